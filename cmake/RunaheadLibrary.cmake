# runahead_library(NAME <folder> SRCS <a.cc ..> DEPS <targets ..> [PRIVATE_DEPS <targets ..>]
#                  [TESTS <a_test.cc ..>] [TEST_DEPS <targets ..>] [THREADED <filter>])
# declares the library runahead_<NAME> of the current folder, and, from tests/<folder>/, one test
# program <NAME>_tests (THREADED: see runahead_test). Without SRCS it is a header-only library.
function(runahead_library)
  cmake_parse_arguments(ARG "" "NAME;THREADED" "SRCS;DEPS;PRIVATE_DEPS;TESTS;TEST_DEPS" ${ARGN})
  set(target runahead_${ARG_NAME})
  if(ARG_SRCS)
    add_library(${target} STATIC ${ARG_SRCS})
    target_link_libraries(${target} PUBLIC runahead_options ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
    file(RELATIVE_PATH folder ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
    if(RUNAHEAD_UNITY AND NOT folder MATCHES "^(kernels|tests)")  # kernels have compile options of their own
      set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 6)
      # It takes a source that is included for a header.
      target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
    endif()
  else()
    add_library(${target} INTERFACE)
    target_link_libraries(${target} INTERFACE runahead_options ${ARG_DEPS})
  endif()
  if(ARG_TESTS AND RUNAHEAD_TESTS)
    runahead_test(NAME ${ARG_NAME}_tests SRCS ${ARG_TESTS} DEPS ${target} ${ARG_TEST_DEPS} THREADED ${ARG_THREADED})
  endif()
endfunction()

# runahead_test(NAME <program> SRCS <a_test.cc ..> DEPS <targets ..> [THREADED <filter>]): one GoogleTest program
# and one ctest entry. Sources are looked up under tests/<current folder>/. THREADED selects, as GoogleTest's filters do,
# the tests that start a thread, or is NONE; the thread sanitizer, ten times slower, then runs only those.
function(runahead_test)
  if(NOT RUNAHEAD_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "NAME;THREADED" "SRCS;DEPS" ${ARGN})
  if(RUNAHEAD_SANITIZE STREQUAL "thread" AND ARG_THREADED STREQUAL "NONE")
    return()
  endif()
  file(RELATIVE_PATH folder ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  if(NOT folder MATCHES "^tests")
    set(folder tests/${folder})
  endif()
  set(paths)
  foreach(source ${ARG_SRCS})
    cmake_path(NORMAL_PATH source)
    list(APPEND paths ${CMAKE_SOURCE_DIR}/${folder}/${source})
  endforeach()
  set_property(GLOBAL APPEND PROPERTY RUNAHEAD_LISTED_TESTS ${paths})
  add_executable(${ARG_NAME} ${paths})
  if(NOT TARGET runahead_source_dir)
    add_library(runahead_source_dir STATIC ${CMAKE_SOURCE_DIR}/tests/source_dir.cc)
    target_compile_definitions(runahead_source_dir PRIVATE RUNAHEAD_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    target_link_libraries(runahead_source_dir PUBLIC runahead_options)
  endif()
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS} runahead_source_dir runahead_options GTest::gmock
                        GTest::gtest_main)
  runahead_compile_tests_fast(${ARG_NAME})
  set(filter)
  if(ARG_THREADED AND RUNAHEAD_SANITIZE STREQUAL "thread")
    set(filter --gtest_filter=${ARG_THREADED})
  endif()
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME} --gtest_brief=1 ${filter} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set(timeout 600)
  if(RUNAHEAD_SANITIZE)
    set(timeout 1500)  # sanitizers cost ten times, and a slow machine twice that again
  endif()
  set_tests_properties(${ARG_NAME} PROPERTIES TIMEOUT ${timeout})
endfunction()

# A test's source took 10 s of processor time, nearly all of it parsing GoogleTest and optimising code that runs once, and
# takes 4 to 7: the tests' own sources are not optimised (what they test is), and their common headers are parsed once.
function(runahead_compile_tests_fast target)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    return()
  endif()
  if(NOT TARGET runahead_test_headers)
    # A program, not a library, so that both are compiled with -fPIE.
    file(WRITE ${CMAKE_BINARY_DIR}/test_headers.cc "int main() { return 0; }\n")
    add_executable(runahead_test_headers EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/test_headers.cc)
    target_link_libraries(runahead_test_headers PRIVATE runahead_options GTest::gmock)
    target_compile_options(runahead_test_headers PRIVATE -O0 -pthread)
    target_precompile_headers(runahead_test_headers PRIVATE <gmock/gmock.h> <gtest/gtest.h> <algorithm> <chrono>
                              <functional> <map> <memory> <optional> <random> <span> <string> <vector>)
  endif()
  # -pthread comes with some libraries only (gRPC), and headers parsed without it do not fit.
  target_compile_options(${target} PRIVATE -O0 -pthread)
  target_precompile_headers(${target} REUSE_FROM runahead_test_headers)
endfunction()

# A test file that no CMakeLists lists would silently never run.
function(runahead_check_every_test_is_listed)
  if(NOT RUNAHEAD_SERVER OR NOT RUNAHEAD_TESTS)
    return()  # tests are rightly absent
  endif()
  get_property(listed GLOBAL PROPERTY RUNAHEAD_LISTED_TESTS)
  file(GLOB_RECURSE present CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*_test.cc)
  if(NOT TARGET runahead_cuda_emulator)
    list(FILTER present EXCLUDE REGEX "/tests/cuda_emulator/")
  endif()
  if(NOT TARGET runahead_kernels_cuda_emulated)
    list(FILTER present EXCLUDE REGEX "/tests/(engine|kernels)/cuda/")
  endif()
  foreach(path ${present})
    if(NOT path IN_LIST listed)
      message(${RUNAHEAD_UNLISTED_TEST} "${path} is listed in no CMakeLists.txt, so it would never run")
    endif()
  endforeach()
endfunction()

# runahead_python_test(NAME <test> SCRIPT <path from the root> [LABELS ..]): one pytest file against the
# built binary (RUNAHEAD_BINARY). Registered where RUNAHEAD_PYTHON names an interpreter (scripts/venv makes one).
function(runahead_python_test)
  if(NOT RUNAHEAD_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "NAME;SCRIPT" "LABELS" ${ARGN})
  if(NOT RUNAHEAD_PYTHON)
    message(STATUS "${ARG_NAME}: left out, RUNAHEAD_PYTHON names no interpreter (scripts/venv makes one)")
    return()
  endif()
  add_test(NAME ${ARG_NAME}
           COMMAND ${RUNAHEAD_PYTHON} -m pytest -q -p no:cacheprovider ${CMAKE_SOURCE_DIR}/${ARG_SCRIPT}
           WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${ARG_NAME} PROPERTIES TIMEOUT 900 LABELS "python;${ARG_LABELS}" ENVIRONMENT
                       "RUNAHEAD_BINARY=${CMAKE_BINARY_DIR}/server/runahead;RUNAHEAD_SANITIZE=${RUNAHEAD_SANITIZE};PYTHONDONTWRITEBYTECODE=1")
endfunction()

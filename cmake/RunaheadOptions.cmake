# Compile options of our own host code, carried by one interface target; nothing is set globally.
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

# A compilers' cache is used where there is one. Paths count from the root, so that another checkout is known again;
# the sloppiness is what a header that is parsed once needs.
find_program(RUNAHEAD_CCACHE ccache)
if(RUNAHEAD_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${RUNAHEAD_CCACHE})
endif()

add_library(runahead_options INTERFACE)
target_compile_features(runahead_options INTERFACE cxx_std_20)
target_include_directories(runahead_options INTERFACE ${CMAKE_SOURCE_DIR})
# nvcc has warnings of its own, by other names.
set(not_cuda $<NOT:$<COMPILE_LANGUAGE:CUDA>>)
target_compile_options(runahead_options INTERFACE $<${not_cuda}:-Wall> $<${not_cuda}:-Wextra> $<${not_cuda}:-Wshadow>
                       $<${not_cuda}:-Wconversion>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 sees overlaps in std::string's own copies that are not there (GCC bug 105651).
  target_compile_options(runahead_options INTERFACE $<${not_cuda}:-Wno-restrict>)
endif()
if(RUNAHEAD_WERROR AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(runahead_options INTERFACE $<${not_cuda}:-Werror>)  # clang builds the fuzzers only
endif()

find_package(Threads REQUIRED)
target_link_libraries(runahead_options INTERFACE Threads::Threads)

if(RUNAHEAD_SANITIZE)
  target_compile_options(runahead_options INTERFACE -fsanitize=${RUNAHEAD_SANITIZE}
                         -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(runahead_options INTERFACE -fsanitize=${RUNAHEAD_SANITIZE})
endif()

if(RUNAHEAD_FUZZ)
  # Coverage of the libraries guides the fuzzers; without it they only see their own main.
  target_compile_options(runahead_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# Compile options of our own host code, carried by one interface target; nothing is set globally.
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

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

# Distribution packages only (scripts/deps.sh installs them); each is used by the folders named.
if(RUNAHEAD_KERNELS_ONLY AND CMAKE_CROSSCOMPILING)
  # No packages of the other machine: GoogleTest from its sources, Highway's headers, which suffice.
  set(INSTALL_GTEST OFF)
  add_subdirectory(/usr/src/googletest googletest EXCLUDE_FROM_ALL)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/headers)
  file(CREATE_LINK /usr/include/hwy ${CMAKE_BINARY_DIR}/headers/hwy SYMBOLIC)
  add_library(PkgConfig::HWY INTERFACE IMPORTED)
  target_include_directories(PkgConfig::HWY INTERFACE ${CMAKE_BINARY_DIR}/headers)
  return()
endif()
if(RUNAHEAD_TESTS)
  find_package(GTest REQUIRED)                                    # tests
endif()
find_package(nlohmann_json REQUIRED)                              # model, text, server
find_package(ICU REQUIRED COMPONENTS uc i18n)                     # text
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)      # text
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy)            # kernels/cpu
if(RUNAHEAD_BENCH)
  find_package(benchmark REQUIRED)                                # bench
endif()
if(RUNAHEAD_SERVER)
  find_package(Boost 1.81 REQUIRED)                               # server (Asio and Beast, header-only)
  find_package(OpenSSL REQUIRED)                                  # server (TLS)
  find_package(Protobuf REQUIRED)                                 # proto
  find_package(gRPC CONFIG REQUIRED)                              # proto, server
  find_package(prometheus-cpp CONFIG REQUIRED COMPONENTS core)    # server (/metrics)
  find_package(spdlog REQUIRED)                                   # server (log sink)
  find_package(CLI11 REQUIRED)                                    # server (command line)
endif()

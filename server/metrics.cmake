runahead_library(
  NAME metrics_exporter
  SRCS metrics_exporter.cc
  DEPS runahead_engine
  PRIVATE_DEPS prometheus-cpp::core
  TESTS metrics_exporter_test.cc)

if(RUNAHEAD_TESTS AND Python3_EXECUTABLE)
  add_test(NAME metrics_doc COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/write_metrics_doc.py --check)
endif()

runahead_library(
  NAME metrics_exporter
  SRCS metric_families.cc metrics_exporter.cc vllm_metrics.cc
  DEPS runahead_engine
  PRIVATE_DEPS prometheus-cpp::core
  TESTS metric_families_test.cc metrics_exporter_test.cc vllm_metrics_test.cc
  TEST_DEPS prometheus-cpp::core)

if(RUNAHEAD_TESTS AND Python3_EXECUTABLE)
  add_test(NAME metrics_doc COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/write_metrics_doc.py --check)
endif()

# Settings: the struct, the table, JSON and environment; and the same table as flags.
runahead_library(
  NAME config
  SRCS config.cc config_table.cc
  DEPS runahead_core
  PRIVATE_DEPS nlohmann_json::nlohmann_json
  TESTS config_test.cc config_table_test.cc
  TEST_DEPS nlohmann_json::nlohmann_json)

runahead_library(
  NAME cli
  SRCS cli.cc
  DEPS runahead_config
  PRIVATE_DEPS CLI11::CLI11
  TESTS cli_test.cc
  TEST_DEPS CLI11::CLI11)

runahead_library(
  NAME config_options
  SRCS config_options.cc
  DEPS runahead_config nlohmann_json::nlohmann_json
  TESTS config_options_test.cc)

# `runahead health`: a client of one GET.
runahead_library(
  NAME health
  SRCS health_command.cc http_probe.cc
  DEPS runahead_config
  PRIVATE_DEPS Boost::headers OpenSSL::SSL OpenSSL::Crypto
  TESTS health_command_test.cc http_probe_test.cc
  TEST_DEPS runahead_http OpenSSL::SSL OpenSSL::Crypto)

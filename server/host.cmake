# Builds models bottom to top; linked by the binary's commands alone.
runahead_library(
  NAME model_host
  SRCS draft_model.cc generation_config.cc memory_check.cc model_host.cc pair_check.cc progress_bar.cc units.cc
  DEPS runahead_server runahead_model runahead_speculative runahead_kernel_registry
  PRIVATE_DEPS nlohmann_json::nlohmann_json runahead_tokenizer runahead_text
  TESTS generation_config_test.cc memory_check_test.cc model_host_test.cc pair_check_test.cc
        progress_bar_test.cc units_test.cc)

runahead_library(
  NAME report_text
  SRCS printed.cc quantiles.cc
  DEPS nlohmann_json::nlohmann_json)

# What `runahead bench` measures and prints; knows an engine, no model.
runahead_library(
  NAME bench_load
  SRCS bench_load.cc bench_report.cc bench_speculate_report.cc bench_steps.cc even_costs.cc
  DEPS runahead_engine runahead_report_text nlohmann_json::nlohmann_json
  TESTS bench_load_test.cc bench_report_test.cc bench_speculate_report_test.cc bench_steps_test.cc
        even_costs_test.cc printed_test.cc quantiles_test.cc)

# The binary's commands but `serve`.
runahead_library(
  NAME commands
  SRCS bench_command.cc bench_speculate.cc bench_speculate_tasks.cc bench_steps_command.cc chat_command.cc
       chat_session.cc inspect_command.cc plan_command.cc
  DEPS runahead_model_host runahead_bench_load runahead_kernels_cpu runahead_health
  TESTS bench_speculate_tasks_test.cc chat_session_test.cc task_thread_test.cc)

# Offline work on checkpoints.
runahead_library(
  NAME compress_commands
  SRCS eval_command.cc quantize_command.cc
  DEPS runahead_model_host runahead_config_options
  PRIVATE_DEPS runahead_eval runahead_quantize runahead_tokenizer
  TESTS eval_command_test.cc quantize_command_test.cc)

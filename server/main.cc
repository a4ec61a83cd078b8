// `runahead`: one program with subcommands.
#include <chrono>
#include <cstdlib>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <CLI/CLI.hpp>

#include "server/bench_command.h"
#include "server/bench_speculate.h"
#include "server/bench_steps_command.h"
#include "server/chat_command.h"
#include "server/cli.h"
#include "server/config_options.h"
#include "server/console_logger.h"
#include "server/eval_command.h"
#include "server/health_command.h"
#include "server/inspect_command.h"
#include "server/loadgen/serve_bench_flags.h"
#include "server/plan_command.h"
#include "server/quantize_command.h"
#include "server/serve_command.h"
#include "server/version.h"

namespace runahead {
namespace {

// What a subcommand does once its flags are parsed.
using Command = std::function<Status()>;

Result<ServeConfig> LoadConfig(const GivenFlags& given) {
  return LoadServeConfig(given, [](const char* name) { return std::getenv(name); });
}

Command AddServe(CLI::App& app) {
  CLI::App* serve = app.add_subcommand("serve", "serve a model over HTTP and gRPC");
  const auto given = std::make_shared<GivenFlags>();  // CLI11 fills it, the command reads it
  AddSettingFlags(*serve, *given);
  return [given]() -> Status {
    RA_ASSIGN_OR_RETURN(const ServeConfig config, LoadConfig(*given));
    ConsoleLogger logger(MakeLogLevel(config), MakeLogFormat(config));
    const ServeOptions options{.model = MakeModelSettings(config),
                               .http = MakeHttpOptions(config),
                               .gate = MakeGateOptions(config),
                               .log = MakeRequestLogSettings(config),
                               .grpc = MakeGrpcOptions(config),
                               .drain_timeout = std::chrono::milliseconds(config.drain_timeout_ms),
                               .serves_page = config.page,
                               .compute_nice = config.compute_nice,
                               .metrics = MakeMetricsDialect(config)};
    return RunServeCommand(options, logger);
  };
}

// Flags of the settings that make a model, and no others; run() gets what they say.
Command AddWithModel(CLI::App& command, std::function<Status(const ModelSettings&)> run) {
  const auto given = std::make_shared<GivenFlags>();
  AddSettingFlags(command, *given, {"Model", "Compute", "KV cache", "Batching", "Speculation"});
  return [given, run = std::move(run)]() -> Status {
    RA_ASSIGN_OR_RETURN(const ServeConfig config, LoadConfig(*given));
    return run(MakeModelSettings(config));
  };
}

Command AddBenchSpeculate(CLI::App& bench) {
  CLI::App* speculate = bench.add_subcommand(
      "speculate", "measure what speculation brings, side by side: off, fixed k, auto");
  const auto options = std::make_shared<SpeculateOptions>();
  speculate->add_option("--prompts", options->prompts_file, "one prompt a line")
      ->capture_default_str();
  speculate->add_option("--tasks", options->tasks, "chat, edit, repeat, traffic")
      ->delimiter(',')
      ->capture_default_str();
  speculate->add_option("--batches", options->batches, "requests at once, of chat")
      ->delimiter(',')
      ->capture_default_str();
  speculate->add_option("--temperatures", options->temperatures, "0 is greedy")
      ->delimiter(',')
      ->capture_default_str();
  speculate->add_option("--fixed", options->fixed, "k to compare auto with")
      ->delimiter(',')
      ->capture_default_str();
  speculate->add_option("--output-tokens", options->output_tokens, "of one answer, at most")
      ->capture_default_str();
  speculate->add_option("--waves", options->waves, "requests for each place of the batch")
      ->capture_default_str();
  speculate->add_option("--rounds", options->rounds, "times each row is measured, in turn")
      ->capture_default_str();
  speculate->add_option("--json", options->json_file, "also write JSON here; - prints it instead");
  return AddWithModel(*speculate, [options](const ModelSettings& settings) {
    NullLogger logger;
    return RunSpeculateBench(settings, *options, logger);
  });
}

Command AddBenchSteps(CLI::App& bench) {
  CLI::App* steps = bench.add_subcommand("steps", "time single steps: one line of JSON for each");
  const auto options = std::make_shared<BenchStepsOptions>();
  steps
      ->add_option(
          "--measure", options->measurements,
          "\"decode|verify|prefill ROWS CONTEXT REPEATS\", bandwidth or peak; -: the lines "
          "of standard input")
      ->capture_default_str();
  return AddWithModel(*steps, [options](ModelSettings settings) {
    settings.loads_text = false;
    return RunBenchSteps(std::move(settings), *options);
  });
}

Command AddBench(CLI::App& app) {
  CLI::App* bench = app.add_subcommand(
      "bench", "measure throughput and latency: in this process, or (serve) of a server");
  const auto options = std::make_shared<BenchOptions>();
  LoadPlan& load = options->load;
  bench->add_option("--input-tokens", load.input_tokens, "prompt length")->capture_default_str();
  bench->add_option("--output-tokens", load.output_tokens, "generated")->capture_default_str();
  bench->add_option("--concurrency", load.concurrency, "requests at once")->capture_default_str();
  bench->add_option("--num-requests", load.num_requests, "in all")->capture_default_str();
  bench->add_option("--shared-prefix", load.shared_prefix, "prompt tokens all have in common")
      ->capture_default_str();
  bench->add_option("--temperature", load.temperature, "0 is greedy")->capture_default_str();
  bench->add_option("--seed", load.seed, "of the random prompts")->capture_default_str();
  bench->add_option("--json", options->json_file, "also write JSON here; - prints it instead");
  const Command speculate = AddBenchSpeculate(*bench);
  const Command steps = AddBenchSteps(*bench);
  const Command serve = AddServeBench(*bench, "runahead " + std::string(Version()));
  const Command load_only = AddWithModel(*bench, [options](ModelSettings settings) {
    settings.loads_text = false;
    NullLogger logger;
    return RunBenchCommand(settings, *options, logger);
  });
  return [bench, speculate, steps, serve, load_only] {
    if (bench->got_subcommand("speculate")) return speculate();
    if (bench->got_subcommand("serve")) return serve();
    return bench->got_subcommand("steps") ? steps() : load_only();
  };
}

Command AddChat(CLI::App& app) {
  CLI::App* chat = app.add_subcommand("chat", "chat with a model in the terminal");
  const auto options = std::make_shared<ChatOptions>();
  chat->add_option("--system", options->system, "system message");
  chat->add_option("--temperature", options->temperature, "0 is greedy")->capture_default_str();
  chat->add_option("--max-tokens", options->max_tokens, "of one answer")->capture_default_str();
  chat->add_flag("--counts", options->shows_counts,
                 "after each answer: its tokens, steps of the model, and drafts");
  return AddWithModel(*chat, [options](const ModelSettings& settings) {
    NullLogger logger;
    return RunChatCommand(settings, *options, logger);
  });
}

Command AddPlan(CLI::App& app) {
  CLI::App* plan = app.add_subcommand("plan", "say what a model takes, before loading it");
  return AddWithModel(
      *plan, [](const ModelSettings& settings) { return RunPlanCommand(settings, std::cout); });
}

// Without --url it asks the server that the same settings would start: in a container the
// environment and the file are the server's own, so a changed port needs no second mention.
Command AddHealth(CLI::App& app) {
  CLI::App* health = app.add_subcommand("health", "ask a running server how it is: 0 is well");
  const auto url = std::make_shared<std::string>();
  health->add_option("--url", *url, "what to ask; without a path /health");
  const auto timeout_ms = std::make_shared<int>(3000);
  health->add_option("--timeout-ms", *timeout_ms, "for the whole answer")
      ->check(CLI::Range(1, 600'000))
      ->capture_default_str();
  const auto given = std::make_shared<GivenFlags>();
  AddSettingFlags(*health, *given, {"Listening", "Access"});
  return [url, timeout_ms, given]() -> Status {
    const std::chrono::milliseconds timeout(*timeout_ms);
    if (!url->empty()) return RunHealthCommand(*url, timeout, std::cout);
    RA_ASSIGN_OR_RETURN(const ServeConfig config,
                        MergeSettings(*given, [](const char* name) { return std::getenv(name); }));
    return RunHealthCommand(HealthUrl(config), timeout, std::cout);
  };
}

Command AddInspect(CLI::App& app) {
  CLI::App* inspect = app.add_subcommand("inspect", "show what a checkpoint holds");
  const auto directory = std::make_shared<std::string>();
  inspect->add_option("directory,--model", *directory, "checkpoint directory")->required();
  const auto draft = std::make_shared<std::string>();
  inspect->add_option("--draft-model", *draft, "directory of a draft model for it");
  return [directory, draft] { return RunInspectCommand(*directory, *draft, std::cout); };
}

Command AddEval(CLI::App& app) {
  CLI::App* eval = app.add_subcommand(
      "eval", "perplexity of a text, and how far a model is from its unquantized self");
  const auto options = std::make_shared<EvalCommandOptions>();
  eval->add_option("--file", options->text_file, "text, read as it is (UTF-8)")->required();
  eval->add_option("--reference", options->reference,
                   "checkpoint to compare with; without it the model's own, in full precision");
  eval->add_option("--reference-set", options->reference_sets,
                   "setting=value of the reference alone, such as dtype=f32; may be given again");
  eval->add_flag("--no-reference", options->no_reference, "perplexity alone");
  eval->add_option("--stride", options->stride,
                   "tokens that each window scores; 0: half of it (--max-model-len)")
      ->capture_default_str();
  eval->add_option("--max-tokens", options->max_tokens, "of the text; 0: all")
      ->capture_default_str();
  eval->add_option("--json", options->json_file, "also write JSON here; - prints it instead");
  const auto given = std::make_shared<GivenFlags>();
  AddSettingFlags(*eval, *given, {"Model", "Compute", "KV cache"});
  return [given, options]() -> Status {
    RA_ASSIGN_OR_RETURN(const ServeConfig config, LoadConfig(*given));
    return RunEvalCommand(config, *options);
  };
}

Command AddQuantize(CLI::App& app) {
  CLI::App* quantize = app.add_subcommand(
      "quantize", "write a checkpoint with INT8 or INT4 weights (compressed-tensors)");
  const auto options = std::make_shared<QuantizeCommandOptions>();
  quantize->add_option("--model", options->model, "checkpoint directory")->required();
  quantize->add_option("--output", options->output, "directory to be made")->required();
  quantize
      ->add_option("--quantization", options->quantization,
                   "int8, int4, or int4-g32 .. int4-g128-zp: linear layers, head and embeddings")
      ->required();
  quantize
      ->add_option("--group-size,--quantization-group-size", options->group_size,
                   "of int4: weights that share a scale")
      ->capture_default_str();
  quantize->add_flag("--zero-points,--quantization-zero-points", options->has_zero_points,
                     "of int4: a zero point a group");
  quantize
      ->add_option("--override,--quantization-overrides", options->overrides,
                   "pattern=format of some weights, such as lm_head=int8, down_proj=int4-g32 or "
                   "model.embed_tokens=none; the last that matches holds")
      ->delimiter(',');
  quantize->add_flag("!--no-clip-search", options->searches_clip,
                     "take each group's range as it is instead of the scale of least error");
  quantize->add_option("--threads", options->num_threads, "0: one per physical core")
      ->capture_default_str();
  return [options] { return RunQuantizeCommand(*options, std::cout); };
}

// What a command prints is all that it is for; a server goes on without.
Status CheckPrinted(std::string_view command) {
  if (std::cout.flush() || command == "serve") return {};
  return {StatusCode::kInternal, "cannot write to standard output: is the disk full?"};
}

int Run(int argc, char** argv) {
  CLI::App app("Runahead: an LLM inference server");
  app.set_version_flag("--version", std::string(Version()));
  app.require_subcommand(1);
  const std::pair<const char*, Command> commands[] = {
      {"serve", AddServe(app)},       {"bench", AddBench(app)},     {"chat", AddChat(app)},
      {"plan", AddPlan(app)},         {"inspect", AddInspect(app)}, {"eval", AddEval(app)},
      {"quantize", AddQuantize(app)}, {"health", AddHealth(app)}};
  CLI11_PARSE(app, argc, argv);
  for (const auto& [name, command] : commands) {
    if (!app.got_subcommand(name)) continue;
    Status status = command();
    if (status.ok()) status = CheckPrinted(name);
    if (!status.ok()) std::cerr << "runahead: " << status.message() << std::endl;
    return status.ok() ? 0 : 1;
  }
  return 1;
}

}  // namespace
}  // namespace runahead

int main(int argc, char** argv) {
  try {
    return runahead::Run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "runahead: " << error.what() << std::endl;
    return 1;
  }
}

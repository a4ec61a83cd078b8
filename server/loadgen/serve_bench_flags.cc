#include "server/loadgen/serve_bench_flags.h"

#include <memory>

#include <CLI/CLI.hpp>

#include "server/loadgen/serve_bench.h"

namespace runahead {
namespace {

void AddServerFlags(CLI::App& app, ServeBenchOptions& o) {
  const std::string group = "Server";
  app.add_option("--url", o.url, "of any OpenAI-compatible server")
      ->capture_default_str()
      ->group(group);
  app.add_option("--model", o.model, "default: the first that the server names")->group(group);
  app.add_option("--endpoint", o.endpoint, "{chat, completions}")
      ->capture_default_str()
      ->group(group);
  app.add_option("--api-key", o.api_key, "sent as a bearer token")
      ->envname("RUNAHEAD_BENCH_API_KEY")
      ->group(group);
  app.add_option("--header", o.headers, "\"Name: value\" of every request; may be given again")
      ->group(group);
  app.add_option("--ca-file", o.ca_file, "https: PEM file of whom to trust")->group(group);
  app.add_flag("--insecure", o.is_insecure, "https: trust any certificate")->group(group);
  app.add_option("--timeout", o.timeout_s, "seconds a request may take in all")
      ->capture_default_str()
      ->group(group);
}

void AddLoadFlags(CLI::App& app, ServeBenchOptions& o) {
  const std::string group = "Load";
  app.add_option("--num-requests", o.num_requests, "in all")->capture_default_str()->group(group);
  app.add_option("--concurrency", o.concurrency,
                 "requests in flight: as many clients, each sending when it was answered (default "
                 "8); with --rate: at most (default: no limit)")
      ->group(group);
  app.add_option("--rate", o.rate, "requests per second, sent when due whatever became of others")
      ->group(group);
  app.add_option("--burstiness", o.burstiness,
                 "shape of the gamma distribution of the gaps: 1 Poisson, less in bursts, more "
                 "steadily, inf evenly")
      ->capture_default_str()
      ->group(group);
  app.add_option("--warm-up", o.num_warm_up,
                 "requests before those that count (default: one a client)")
      ->group(group);
  app.add_option("--seed", o.seed, "of gaps, prompts, lengths and sampling")
      ->capture_default_str()
      ->group(group);
}

void AddPromptFlags(CLI::App& app, ServeBenchOptions& o) {
  const std::string group = "Requests";
  app.add_option("--prompts", o.prompts_file,
                 "file of prompts: JSON lines (prompt, messages, OpenAI batch), ShareGPT, or .txt "
                 "with one a line")
      ->group(group);
  app.add_flag("--shuffle", o.shuffles, "take the file's prompts in another order")->group(group);
  app.add_option("--input-tokens", o.input_tokens,
                 "of synthetic prompts: N or MIN-MAX, chat template included")
      ->capture_default_str()
      ->group(group);
  app.add_option("--shared-prefix", o.shared_prefix, "of them, shared by the prompts of a group")
      ->capture_default_str()
      ->group(group);
  app.add_option("--prefix-groups", o.num_groups, "groups of prompts, taking turns")
      ->capture_default_str()
      ->group(group);
  app.add_option("--output-tokens", o.output_tokens, "max_tokens: N or MIN-MAX")
      ->capture_default_str()
      ->group(group);
  app.add_option("--temperature", o.temperature, "0 is greedy")
      ->capture_default_str()
      ->group(group);
  app.add_flag_callback(
         "--ignore-eos", [&o] { o.ignores_eos = true; },
         "go on to max_tokens (default with synthetic prompts)")
      ->group(group);
  app.add_flag_callback(
         "--no-ignore-eos", [&o] { o.ignores_eos = false; },
         "end where the model does (default with those of a file)")
      ->group(group);
  app.add_flag("!--no-stream", o.streams, "ask for whole answers: E2E is all there is to time")
      ->group(group);
  app.add_option("--extra-body", o.extra_body, "JSON object of further fields of each request")
      ->group(group);
}

void AddReportFlags(CLI::App& app, ServeBenchOptions& o) {
  const std::string group = "Report";
  app.add_option("--slo", o.slo,
                 "limits in ms for goodput: ttft:200,tpot:50,itl:100,e2e:5000; or relaxed, server, "
                 "interactive")
      ->group(group);
  app.add_option("--name", o.name, "of the run (default: the model's)")->group(group);
  app.add_option("--json", o.json_file, "also write JSON here; - prints it instead")->group(group);
  app.add_option("--html", o.html_file, "also write a page with plots here")->group(group);
  app.add_option("--compare", o.compare, "run nothing; compare these files of --json")
      ->type_name("FILE...")
      ->group(group);
}

}  // namespace

std::function<Status()> AddServeBench(CLI::App& bench, const std::string& client_name) {
  CLI::App* serve = bench.add_subcommand(
      "serve", "load an OpenAI-compatible server over HTTP and report latency and throughput");
  const auto options = std::make_shared<ServeBenchOptions>();
  options->client_name = client_name;
  AddServerFlags(*serve, *options);
  AddLoadFlags(*serve, *options);
  AddPromptFlags(*serve, *options);
  AddReportFlags(*serve, *options);
  return [options] { return RunServeBench(*options); };
}

}  // namespace runahead

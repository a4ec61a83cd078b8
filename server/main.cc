// `runahead`: one program with subcommands.
#include <exception>
#include <iostream>
#include <string>

#include <CLI/CLI.hpp>

#include "server/console_logger.h"
#include "server/serve_command.h"
#include "server/version.h"

namespace {

void AddModelFlags(CLI::App& app, runahead::ModelSettings& model) {
  app.add_option("--model", model.directory, "checkpoint directory")->required();
  app.add_option("--served-model-name", model.served_name, "name clients use");
  app.add_option("--backend", model.backend, "auto, cpu or ref");
  app.add_option("--threads", model.backend_options.num_threads, "CPU kernel threads");
  app.add_option("--max-model-len", model.max_model_len, "tokens of prompt and answer together");
  app.add_option("--max-num-seqs", model.max_num_seqs, "sequences running at once");
  app.add_option("--max-num-batched-tokens", model.max_num_batched_tokens, "tokens of one step");
  app.add_option("--max-queue", model.max_queue, "waiting requests before 429");
}

void AddServeFlags(CLI::App& app, runahead::ServeOptions& serve) {
  AddModelFlags(app, serve.model);
  app.add_option("--host", serve.http.host, "address to listen on");
  app.add_option("--http-port,--port", serve.http.port, "HTTP port; 0 picks a free one");
  app.add_option("--api-key", serve.gate.api_keys, "key clients must send; may be given again");
  app.add_option("--cors-origin", serve.gate.cors_origins, "origin browsers may call from");
  app.add_option("--tls-cert", serve.http.tls_cert_file, "PEM certificate chain");
  app.add_option("--tls-key", serve.http.tls_key_file, "PEM private key");
  app.add_option("--http-threads", serve.http.num_threads, "I/O threads");
  app.add_option("--max-connections", serve.http.max_connections, "HTTP connections at once");
  app.add_option_function<int>(
      "--drain-timeout",
      [&serve](int seconds) { serve.drain_timeout = std::chrono::seconds(seconds); },
      "seconds running requests have to finish after SIGTERM");
}

int Run(int argc, char** argv) {
  using namespace runahead;  // NOLINT: the whole of main
  CLI::App app("Runahead: an LLM inference server");
  app.set_version_flag("--version", std::string(Version()));
  app.require_subcommand(1);
  CLI::App* serve = app.add_subcommand("serve", "serve a model over HTTP");
  ServeOptions serve_options;
  AddServeFlags(*serve, serve_options);
  CLI11_PARSE(app, argc, argv);
  ConsoleLogger logger(LogLevel::kInfo);
  const Status status = RunServeCommand(serve_options, logger);
  if (status.ok()) return 0;
  std::cerr << "runahead: " << status.message() << std::endl;
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "runahead: " << error.what() << std::endl;
    return 1;
  }
}

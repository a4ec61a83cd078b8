#include "server/serve_command.h"

#include <cstdlib>
#include <functional>
#include <future>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>

#include <sys/resource.h>

#include "server/explain_format.h"
#include "server/grpc_server.h"
#include "server/http_routes.h"
#include "server/model_host.h"
#include "server/openai_api.h"
#include "server/page_routes.h"
#include "server/progress_bar.h"
#include "server/rejection.h"
#include "server/shutdown_signal.h"
#include "server/thread_priority.h"
#include "server/version.h"

namespace runahead {
namespace {

// For answers that are made but not yet read, and for the step that runs when the drain ends.
constexpr std::chrono::milliseconds kLastWrites{5000};

// The host part of a URL that reaches a server listening on `host`.
std::string ReachableHost(const std::string& host) {
  if (host == "0.0.0.0" || host == "::") return "localhost";
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

// Changes with what may change a seeded answer: program, weights and how they are computed.
std::string FingerprintOf(const ModelHost& host) {
  const ModelSettings& settings = host.settings();
  std::string facts = std::string(Version()) + "|" + settings.directory + "|" + settings.dtype +
                      "|" + settings.kv_cache_dtype + "|" + host.backend().info().name;
  // Coupled verification changes nothing, whoever drafts.
  const SpeculationSettings& speculation = settings.speculation;
  if (speculation.verification == VerifyMode::kRejection) {
    facts += "|rejection|" + speculation.draft_directory;
  }
  std::ostringstream text;
  text << "fp_" << std::hex << std::hash<std::string>()(facts);
  return text.str();
}

ModelFacts FactsOf(ModelHost& host) {
  const EngineConfig& config = host.engine().config();
  return {.max_context = config.max_context,
          .max_queue = config.max_queue,
          .block_size = config.block_size,
          .cache_dtype = std::string(DTypeName(host.cache().shape().dtype)),
          .has_prefix_cache = config.enable_prefix_cache,
          .health = [&engine = host.engine()] { return engine.health(); }};
}

// Lines that work as printed, with nothing installed but curl and Python.
void PrintExamples(const ServeOptions& options, const ServedModel& model, int port) {
  const bool is_tls = !options.http.tls_cert_file.empty();
  const std::string base = std::string(is_tls ? "https" : "http") + "://" +
                           ReachableHost(options.http.host) + ":" + std::to_string(port);
  const std::string url = base + "/v1/chat/completions";
  const bool has_keys = !options.gate.api_keys.empty();
  std::cout << "Serving '" << model.name << "' on " << base << " (OpenAI clients: base_url=" << base
            << "/v1)\n"
            << (options.serves_page ? "In a browser: " + base + "/\n\n" : "\n") << "  curl -N "
            << url << " -H 'Content-Type: application/json'"
            << (has_keys ? " -H 'Authorization: Bearer KEY'" : "") << " -d '{\"model\": \""
            << model.name
            << "\", \"stream\": true, \"messages\": [{\"role\": \"user\", \"content\": \"Count "
               "from 1 to 10.\"}]}'\n\n"
            << "  python3 -c \"import json, urllib.request as r; "
               "[print(json.loads(line[6:])['choices'][0]['delta'].get('content', ''), end='', "
               "flush=True) for line in r.urlopen(r.Request('"
            << url << "', json.dumps({'model': '" << model.name
            << "', 'stream': True, 'messages': [{'role': 'user', 'content': 'Count from 1 to "
               "10.'}]}).encode(), {'Content-Type': 'application/json'"
            << (has_keys ? ", 'Authorization': 'Bearer KEY'" : "")
            << "})) if line.startswith(b'data: {')]; print()\"\n"
            << std::endl;
}

// Shells often allow 1024 open files, fewer than the connections we take.
void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);  // where it fails, connections wait in the backlog
}

// Threads inherit how far they give way from the one that starts them: those that compute from this
// one's, which ends with the loading; all others from the main thread.
Result<std::unique_ptr<ModelHost>> LoadGivingWay(const ServeOptions& options, const Clock& clock,
                                                 Logger& logger) {
  const auto load = [&] {
    if (options.compute_nice != 0) GiveWay(options.compute_nice);
    return ModelHost::Load(options.model, clock, logger, ProgressBar("Loading"));
  };
  return std::async(std::launch::async, load).get();
}

// Null where neither the access log nor explain wants to know of requests.
std::unique_ptr<RequestLog> MakeRequestLog(const RequestLogSettings& settings, const Clock& clock,
                                           Logger& logger) {
  if (settings.max_kept == 0 && !settings.has_access_log) return nullptr;
  if (!settings.has_access_log) return std::make_unique<RequestLog>(settings, clock, nullptr);
  return std::make_unique<RequestLog>(
      settings, clock, [&logger, names = settings](const RequestFacts& facts) {
        const std::string key_name = KeyName(names, facts.origin.key);
        logger.LogEvent(LogLevel::kInfo, "request", FormatAccessText(facts, key_name),
                        FormatAccessMembers(facts, key_name));
      });
}

// Both ways in; gRPC may be off.
struct Doors {
  HttpServer& http;
  GrpcServer* grpc;
};

Result<std::unique_ptr<GrpcServer>> StartGrpc(const GrpcOptions& options, ModelRegistry& models,
                                              const Generation::Post& post, RequestLog* log) {
  if (options.port < 0) return std::unique_ptr<GrpcServer>();
  return GrpcServer::Start(options, models, post, log);
}

// Blocks until the engine has nothing left to do or has failed; a second signal ends the wait.
Status ServeUntilDone(Engine& engine, Doors doors, const ShutdownSignal& signal,
                      std::chrono::milliseconds drain_timeout, const Clock& clock, Logger& logger) {
  std::thread watcher([&] {
    engine.WaitUntilDrained();
    signal.Raise();
  });
  bool was_asked = signal.Wait() == ShutdownSignal::Cause::kAsked;
  if (was_asked) {
    logger.Log(LogLevel::kInfo, "Draining: new requests are refused; again to stop at once.");
    doors.http.StartDraining();
    if (doors.grpc != nullptr) doors.grpc->StartDraining();
    engine.Drain(clock.Now() + drain_timeout);
    ShutdownSignal::Cause cause = signal.WaitFor(drain_timeout + kLastWrites);
    if (cause == ShutdownSignal::Cause::kAsked) {
      logger.Log(LogLevel::kWarning, "Stopping at once.");
      engine.Drain(clock.Now());
      cause = signal.WaitFor(kLastWrites);
    }
    if (cause != ShutdownSignal::Cause::kRaised) {
      // A step that never ends cannot be waited for, and its thread cannot be stopped.
      logger.Log(LogLevel::kError, "The engine did not stop in time: leaving without it.");
      std::_Exit(1);
    }
  }
  watcher.join();
  if (engine.health() == EngineHealth::kFailed) {
    return {StatusCode::kInternal, "The engine failed; the log above says why."};
  }
  return {};
}

}  // namespace

Status RunServeCommand(const ServeOptions& options, Logger& logger) {
  // Before any thread starts, so that all inherit the mask and the signal comes to us.
  const ShutdownSignal signal;
  RaiseFileLimit();
  // A port that is taken should be known before minutes of loading.
  RA_ASSIGN_OR_RETURN(const std::unique_ptr<HttpServer> http, HttpServer::Listen(options.http));
  const SteadyClock clock;
  RA_ASSIGN_OR_RETURN(const std::unique_ptr<ModelHost> host, LoadGivingWay(options, clock, logger));
  ServedModel& model = host->served();
  model.fingerprint = FingerprintOf(*host);
  for (const std::string& line : host->Describe()) std::cout << line << "\n";

  ModelRegistry models;
  models.Add(model);
  MetricsExporter exporter({.version = std::string(Version()),
                            .backend = host->backend().info().name,
                            .quantization = options.model.quantization.format},
                           options.metrics);
  exporter.AddModel(model.name, host->metrics(), FactsOf(*host));
  const Generation::Post post = [&http](std::function<void()> task) {
    http->Post(std::move(task));
  };
  const std::unique_ptr<RequestLog> log = MakeRequestLog(options.log, clock, logger);
  const OpenAiApi api(models, post, log.get());
  Router router = MakeRouter({.api = &api,
                              .models = &models,
                              .scrape = [&exporter] { return exporter.Scrape(); },
                              .log = options.log.max_kept > 0 ? log.get() : nullptr,
                              .clock = &clock});
  if (options.serves_page) AddPageRoutes(router);
  const HttpGate gate(
      options.gate, router, clock,
      [&host](const Status& status) { CountRejection(host->metrics(), status); }, log.get());
  RA_ASSIGN_OR_RETURN(const std::unique_ptr<GrpcServer> grpc,
                      StartGrpc(options.grpc, models, post, log.get()));
  http->Serve(router, gate);
  if (grpc != nullptr) {
    std::cout << "gRPC on " << ReachableHost(options.grpc.host) << ":" << grpc->port() << "\n";
  }
  PrintExamples(options, model, http->port());

  const Status ended = ServeUntilDone(host->engine(), {.http = *http, .grpc = grpc.get()}, signal,
                                      options.drain_timeout, clock, logger);
  if (grpc != nullptr) grpc->Shutdown(std::chrono::system_clock::now() + kLastWrites);
  http->Stop(kLastWrites);
  return ended;
}

}  // namespace runahead

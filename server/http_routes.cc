#include "server/http_routes.h"

#include <utility>

#include "server/explain_api.h"
#include "server/version.h"

namespace runahead {
namespace {

const char* HealthName(EngineHealth health) {
  switch (health) {
    case EngineHealth::kServing:
      return "ok";
    case EngineHealth::kDraining:
      return "draining";
    case EngineHealth::kStuck:
      return "stuck";
    case EngineHealth::kFailed:
      return "failed";
    case EngineHealth::kStopped:
      return "stopped";
  }
  return "unknown";
}

HttpReply StatusReply(bool good, EngineHealth health) {
  HttpResponse response;
  response.status = good ? 200 : 503;
  response.body = std::string("{\"status\":\"") + HealthName(health) + "\"}";
  return response;
}

// The worst of all engines; each is read without a lock.
EngineHealth WorstHealth(const ModelRegistry& models) {
  EngineHealth worst = EngineHealth::kServing;
  for (const ServedModel* model : models.models()) worst = std::max(worst, model->engine->health());
  return worst;
}

// Alive: a process that drains is healthy, and must not be killed for it.
HttpReply Health(const ModelRegistry& models) {
  const EngineHealth health = WorstHealth(models);
  return StatusReply(health == EngineHealth::kServing || health == EngineHealth::kDraining, health);
}

// Takes new requests.
HttpReply Ready(const ModelRegistry& models) {
  const EngineHealth health = WorstHealth(models);
  return StatusReply(health == EngineHealth::kServing, health);
}

HttpReply MetricsReply(const std::function<std::string()>& scrape) {
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = scrape();
  return response;
}

HttpReply VersionReply() {
  HttpResponse response;
  response.body = "{\"version\":\"" + std::string(Version()) + "\"}";
  return response;
}

}  // namespace

Router MakeRouter(RouteSources sources) {
  const OpenAiApi* api = sources.api;
  const ModelRegistry* models = sources.models;
  using In = const HttpRequest&;
  Router router;
  router.Add({"POST", "/v1/chat/completions", [api](In r) { return api->ChatCompletions(r); }});
  router.Add({"POST", "/v1/completions", [api](In r) { return api->Completions(r); }});
  router.Add({"GET", "/v1/models", [api](In r) { return api->ListModels(r); }});
  router.Add({"GET", "/v1/models/", [api](In r) { return api->GetModel(r); }});
  router.Add({"POST", "/tokenize", [api](In r) { return api->Tokenize(r); }});
  router.Add({"POST", "/detokenize", [api](In r) { return api->Detokenize(r); }});
  if (sources.log != nullptr) {
    router.Add({.method = "GET",
                .path = "/v1/requests/",
                .handler = [log = sources.log,
                            clock = sources.clock](In r) { return Explain(*log, *clock, r); },
                .is_quick = true});
  }
  const auto add_open = [&](const char* path, HttpHandler handler, bool is_quick) {
    router.Add({.method = "GET",
                .path = path,
                .handler = std::move(handler),
                .is_open = true,
                .is_quick = is_quick});
  };
  add_open(
      "/health", [models](In) { return Health(*models); }, true);
  add_open(
      "/ready", [models](In) { return Ready(*models); }, true);
  add_open(
      "/version", [](In) { return VersionReply(); }, true);
  add_open(
      "/metrics", [scrape = std::move(sources.scrape)](In) { return MetricsReply(scrape); }, false);
  return router;
}

}  // namespace runahead

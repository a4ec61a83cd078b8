// The routes of the HTTP door. Called once at start-up.
#pragma once

#include <functional>
#include <string>

#include "core/clock.h"
#include "server/openai_api.h"
#include "server/request_log.h"
#include "server/router.h"
#include "server/served_model.h"

namespace runahead {

struct RouteSources {
  const OpenAiApi* api = nullptr;
  const ModelRegistry* models = nullptr;
  std::function<std::string()> scrape;  // the text of /metrics
  const RequestLog* log = nullptr;      // what can be explained; null: no such route
  const Clock* clock = nullptr;         // with `log`
};

// What the sources point to outlives the router.
Router MakeRouter(RouteSources sources);

}  // namespace runahead

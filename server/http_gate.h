// HttpGate: what happens to every request before and after its handler: ids, keys, CORS, methods,
// deadlines. Immutable, thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/status.h"
#include "server/api_keys.h"
#include "server/http_message.h"
#include "server/request_log.h"
#include "server/router.h"

namespace runahead {

struct GateOptions {
  std::vector<std::string> api_keys;      // empty: open
  std::vector<std::string> cors_origins;  // empty: no CORS; "*": every origin
};

class HttpGate {
 public:
  // `router`, `clock` and `log` outlive the gate. `on_refused` hears of what the gate itself turns
  // away; may be empty. `log` keeps a record of every request but those of open routes; null: of
  // none.
  HttpGate(GateOptions options, const Router& router, const Clock& clock,
           std::function<void(const Status&)> on_refused, RequestLog* log = nullptr);

  // Gives the request its id, trace, record and deadline. Then either the route to run, or the
  // answer that ends it here.
  struct Admitted {
    const Route* route = nullptr;
    HttpResponse refusal = {};  // without a route
  };
  Admitted Admit(HttpRequest& request) const;

  // Counts a request that the connection itself had to turn away.
  void CountRefused(const Status& status) const;

  // Header fields that every answer to `request` carries.
  void Finish(const HttpRequest& request, HttpResponse& response) const;

 private:
  void Identify(HttpRequest& request, const Route* route) const;
  HttpResponse Refuse(const Status& status) const;
  std::optional<std::string> AllowedOrigin(const HttpRequest& request) const;
  HttpResponse Preflight(const HttpRequest& request) const;

  ApiKeys keys_;
  std::vector<std::string> cors_origins_;
  const Router& router_;
  const Clock& clock_;
  std::function<void(const Status&)> on_refused_;
  RequestLog* const log_;
};

// 32 hexadecimal digits nobody can guess.
std::string NewRequestId();

}  // namespace runahead

// Router: which handler answers a method and path. Immutable once built; thread-safe.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http_message.h"

namespace runahead {

using HttpHandler = std::function<HttpReply(const HttpRequest&)>;

struct Route {
  std::string method;  // GET routes answer HEAD too
  std::string path;    // one ending in '/' matches everything below it
  HttpHandler handler;
  bool is_open = false;   // needs no API key
  bool is_quick = false;  // answered on the socket's thread: never behind a long tokenization
};

class Router {
 public:
  void Add(Route route) { routes_.push_back(std::move(route)); }

  // The route for `method` and `path`; nullptr when there is none.
  const Route* Find(std::string_view method, std::string_view path) const;

  // Methods that `path` answers, for Allow: "GET, HEAD, OPTIONS"; empty when the path is unknown.
  std::string AllowedMethods(std::string_view path) const;

 private:
  std::vector<Route> routes_;
};

}  // namespace runahead

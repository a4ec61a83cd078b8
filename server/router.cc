#include "server/router.h"

namespace runahead {
namespace {

bool Matches(const Route& route, std::string_view path) {
  if (route.path == path) return true;
  return route.path.size() > 1 && route.path.back() == '/' && path.starts_with(route.path) &&
         path.size() > route.path.size();
}

}  // namespace

const Route* Router::Find(std::string_view method, std::string_view path) const {
  if (method == "HEAD") method = "GET";
  for (const Route& route : routes_) {
    if (route.method == method && Matches(route, path)) return &route;
  }
  return nullptr;
}

std::string Router::AllowedMethods(std::string_view path) const {
  std::string allowed;
  for (const Route& route : routes_) {
    if (!Matches(route, path)) continue;
    allowed += route.method + ", ";
    if (route.method == "GET") allowed += "HEAD, ";
  }
  return allowed.empty() ? allowed : allowed + "OPTIONS";
}

}  // namespace runahead

#include "server/loadgen/server_url.h"

#include <algorithm>

namespace runahead {
namespace {

Status NoUrl(std::string_view url, const char* why) {
  return InvalidArgument("--url: \"" + std::string(url) + "\" " + why +
                         "; it should be like http://127.0.0.1:8000");
}

bool IsPort(std::string_view text) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.empty() || text.size() > 5 || !std::ranges::all_of(text, is_digit)) return false;
  const int port = std::stoi(std::string(text));
  return port >= 1 && port <= 65535;
}

}  // namespace

std::string ServerUrl::Authority() const {
  const bool is_default = port == (is_tls ? "443" : "80");
  const std::string name = host.find(':') == host.npos ? host : "[" + host + "]";
  return is_default ? name : name + ":" + port;
}

Result<ServerUrl> ParseServerUrl(std::string_view url) {
  ServerUrl out;
  std::string_view rest = url;
  const auto takes = [&rest](std::string_view scheme) {
    if (!rest.starts_with(scheme)) return false;
    rest.remove_prefix(scheme.size());
    return true;
  };
  out.is_tls = takes("https://");
  if (!out.is_tls && !takes("http://")) return NoUrl(url, "has neither http:// nor https://");
  if (rest.find_first_of(" \t\r\n?#") != rest.npos) {
    return NoUrl(url, "has a query, a fragment or a blank");
  }
  const size_t slash = rest.find('/');
  std::string_view authority = rest.substr(0, slash);
  std::string_view path = slash == rest.npos ? std::string_view() : rest.substr(slash);
  if (authority.find('@') != authority.npos) return NoUrl(url, "has a user; keys go to --api-key");
  const size_t bracket = authority.starts_with('[') ? authority.find(']') : 0;
  if (bracket == authority.npos) return NoUrl(url, "has a bracket that is not closed");
  const size_t colon = authority.find(':', bracket);
  out.port = colon == authority.npos ? (out.is_tls ? "443" : "80") : authority.substr(colon + 1);
  if (!IsPort(out.port)) return NoUrl(url, "has no port from 1 to 65535");
  out.host = authority.substr(0, colon);
  if (bracket > 0) out.host = authority.substr(1, bracket - 1);
  if (out.host.empty()) return NoUrl(url, "names no host");
  while (path.ends_with('/')) path.remove_suffix(1);
  if (path.ends_with("/v1")) path.remove_suffix(3);
  out.base = path;
  return out;
}

}  // namespace runahead

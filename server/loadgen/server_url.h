// ServerUrl: where an OpenAI-compatible server is. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "core/status.h"

namespace runahead {

struct ServerUrl {
  bool is_tls = false;
  std::string host = {};  // without brackets
  std::string port = {};
  std::string base = {};  // what stands before /v1, "" or "/prefix"

  std::string Authority() const;  // of the Host header, with brackets around an IPv6 address
};

// http or https, host, optional port and path; a trailing /v1 is taken off, as clients' base URLs
// have it. Names and passwords in it are refused: keys have a flag of their own.
Result<ServerUrl> ParseServerUrl(std::string_view url);

}  // namespace runahead

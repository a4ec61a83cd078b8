// ProbeHttp: one GET with a deadline, for programs that ask a server how it is. Thread-safe.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "core/status.h"

namespace runahead {

struct ProbeUrl {
  bool is_tls = false;
  std::string host;  // a name or an address, without the brackets of IPv6
  int port = 0;
  std::string path;
};

// "http[s]://host[:port][/path]". The default port is the scheme's; the path of a URL that has none
// is `default_path`. No user names, no fragments.
Result<ProbeUrl> ParseProbeUrl(std::string_view url, std::string_view default_path);

struct ProbeReply {
  int status = 0;
  std::string body;
};

// Gives up at the deadline, whatever the server does; only the system's look-up of a host name,
// which comes first, takes as long as it takes. A certificate is not verified: who asks how a
// server is sends no secret and believes no more than the status. At most 64 KiB are read.
Result<ProbeReply> ProbeHttp(const ProbeUrl& url, std::chrono::milliseconds timeout);

}  // namespace runahead

// ClientOptions: which server a client asks, and how. Plain data.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "server/loadgen/server_url.h"

namespace runahead {

struct ClientOptions {
  ServerUrl url = {};
  std::string api_key = {};  // empty: none
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string ca_file = {};  // TLS: whom to trust; empty: whom the system trusts
  bool is_insecure = false;  // TLS: trusts everybody
  std::chrono::milliseconds timeout = std::chrono::minutes(10);  // of a request, to its last byte
};

}  // namespace runahead

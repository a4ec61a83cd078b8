// LoadClient: asks a server over HTTP, one request after another or many at once, and writes down
// when what came. One thread, which must do nothing else meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/status.h"
#include "server/loadgen/client_options.h"
#include "server/loadgen/load_report.h"

namespace runahead {

class ClientPool;

struct LoadSpec {
  std::string path = {};  // behind the URL's base
  int concurrency = 1;    // at most in flight; 0: without limit (open loop only)
  double rate = 0;        // requests/s of an open loop; 0: a closed loop of `concurrency` clients
  double burstiness = 1;  // of the open loop, as in arrivals.h
  uint64_t seed = 1;      // of its gaps
};

struct LoadProgress {
  int num_total = 0;
  int num_done = 0;  // failed ones included
  int num_failed = 0;
  int num_in_flight = 0;
  double elapsed_s = 0;
};

using LoadWatch = std::function<void(const LoadProgress&)>;

class LoadClient {
 public:
  // Resolves the host. An error says what to do.
  static Result<std::unique_ptr<LoadClient>> Make(const ClientOptions& options);
  ~LoadClient();

  // The body of a 200; `method` is GET or POST.
  Result<std::string> Call(const std::string& method, const std::string& path,
                           const std::string& body);

  // Sends all bodies, in order. `watch`, which may be null, is called a few times a second. SIGINT
  // and SIGTERM end the run early; what was in flight then is no part of it, and the client is of
  // no more use.
  LoadRun Run(const LoadSpec& spec, const std::vector<std::string>& bodies, const LoadWatch& watch);

 private:
  explicit LoadClient(std::unique_ptr<ClientPool> pool);

  std::unique_ptr<ClientPool> pool_;
};

}  // namespace runahead

// `runahead health`: asks a running server how it is, for the health checks of containers and
// scripts. Start-up thread only.
#pragma once

#include <chrono>
#include <iosfwd>
#include <string>

#include "core/status.h"
#include "server/config.h"

namespace runahead {

// /health of the server that these settings start, as this machine reaches it.
std::string HealthUrl(const ServeConfig& config);

// OK when the answer is 200, which is printed; else an error that says what came instead. A `url`
// without a path asks /health.
Status RunHealthCommand(const std::string& url, std::chrono::milliseconds timeout,
                        std::ostream& out);

}  // namespace runahead

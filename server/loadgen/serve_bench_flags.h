// The flags of `runahead bench serve`. Start-up thread only.
#pragma once

#include <functional>
#include <string>

#include "core/status.h"

namespace CLI {
class App;
}

namespace runahead {

// Adds the subcommand to `bench`; what is returned runs it once flags are parsed. `client_name` is
// this program's, with its version.
std::function<Status()> AddServeBench(CLI::App& bench, const std::string& client_name);

}  // namespace runahead

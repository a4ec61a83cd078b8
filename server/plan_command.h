// `runahead plan`: the exact memory arithmetic of serving a model, from its headers alone. Start-up
// thread only.
#pragma once

#include <iosfwd>

#include "core/status.h"
#include "server/model_settings.h"

namespace runahead {

// Prints weights, KV blocks and workspace, how many full contexts the cache holds, and whether it
// fits this machine. A checkpoint without its weights (config.json alone) is planned too.
Status RunPlanCommand(const ModelSettings& settings, std::ostream& out);

}  // namespace runahead

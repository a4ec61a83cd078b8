// Reads the sampling defaults of a checkpoint. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "core/status.h"
#include "server/served_model.h"

namespace runahead {

// From the text of a generation_config.json; `do_sample: false` or absence of a field keeps the
// API's own default (a client that says nothing expects temperature 1). Values out of range are
// refused by name.
Result<SamplingDefaults> ParseSamplingDefaults(std::string_view generation_config_json);

// From <directory>/generation_config.json; the API's defaults where there is none.
Result<SamplingDefaults> LoadSamplingDefaults(const std::string& directory);

}  // namespace runahead

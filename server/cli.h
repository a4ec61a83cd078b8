// The settings' table as command-line flags, and where settings come from. Start-up thread only.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"
#include "server/config.h"

namespace CLI {
class App;
}

namespace runahead {

// What the command line said, in its order; owned by main() while CLI11 fills it.
struct GivenFlags {
  std::string config_file;
  std::vector<std::pair<const Setting*, std::vector<std::string>>> settings;
};

// Adds --config and one flag per setting of the named sections (all of them without names). `given`
// outlives the parse.
void AddSettingFlags(CLI::App& app, GivenFlags& given,
                     std::initializer_list<std::string_view> sections = {});

// Defaults, then the file (--config, else RUNAHEAD_CONFIG), then the environment, then flags.
// Each setting is checked by itself alone, so that no model need be named.
Result<ServeConfig> MergeSettings(const GivenFlags& given, const EnvironmentLookup& lookup);

// The same, checked as a whole (CheckConfig).
Result<ServeConfig> LoadServeConfig(const GivenFlags& given, const EnvironmentLookup& lookup);

}  // namespace runahead

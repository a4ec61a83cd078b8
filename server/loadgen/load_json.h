// LoadReport as JSON, and back for comparisons. Pure functions.
#pragma once

#include <string>

#include "nlohmann/json_fwd.hpp"

#include "core/status.h"
#include "server/loadgen/load_report.h"

namespace runahead {

nlohmann::ordered_json ToJson(const LoadReport& report);

// As a file has it. Words of a server that are no UTF-8 are mended.
std::string ToJsonText(const LoadReport& report);

// Of a text that ToJsonText wrote; an error says what is missing.
Result<LoadReport> ParseLoadReport(const std::string& text);

}  // namespace runahead

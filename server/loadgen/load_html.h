// LoadReports as one HTML page that needs nothing but itself. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "server/loadgen/load_report.h"

namespace runahead {

// Of one run its figures, plots, setting and what the words mean; of several, side by side.
std::string ToHtml(const std::vector<LoadReport>& reports);

}  // namespace runahead

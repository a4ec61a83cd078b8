// LoadReports as text for a terminal. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "server/loadgen/load_report.h"

namespace runahead {

std::string ToTable(const LoadReport& report);
// One line for each of several runs.
std::string ToComparison(const std::vector<LoadReport>& reports);

}  // namespace runahead

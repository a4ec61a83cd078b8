// The plots of a page about loads. Pure functions.
#pragma once

#include <vector>

#include "server/loadgen/load_report.h"
#include "server/loadgen/svg_plot.h"

namespace runahead {

// Distributions of TTFT, TPOT and E2E, gaps between chunks, and over time TTFT, throughput and
// requests in flight. Of several reports each has its colour, c0 and on; plots that would be empty
// are left out.
std::vector<Plot> MakePlots(const std::vector<LoadReport>& reports);

}  // namespace runahead

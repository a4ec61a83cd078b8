// A progress bar on a terminal's standard error. Start-up thread only.
#pragma once

#include <functional>
#include <string>

namespace runahead {

// "\rLoading [####    ] 50%", with a line break at 1. What can be drawn once is not drawn again.
std::string ProgressLine(const std::string& label, double fraction);

// Draws ProgressLine for every whole per cent; null where standard error is no terminal.
std::function<void(double fraction)> ProgressBar(const std::string& label);

}  // namespace runahead

#include "server/progress_bar.h"

#include <algorithm>
#include <iostream>

#include <unistd.h>

namespace runahead {

std::string ProgressLine(const std::string& label, double fraction) {
  constexpr int kWidth = 40;
  const double shown = std::clamp(fraction, 0.0, 1.0);
  const auto filled = static_cast<size_t>(shown * kWidth);
  return "\r" + label + " [" + std::string(filled, '#') + std::string(kWidth - filled, ' ') + "] " +
         std::to_string(static_cast<int>(shown * 100)) + "%" + (shown >= 1 ? "\n" : "");
}

std::function<void(double)> ProgressBar(const std::string& label) {
  if (isatty(STDERR_FILENO) == 0) return nullptr;
  return [label, last = std::string()](double fraction) mutable {
    std::string line = ProgressLine(label, fraction);
    if (line == last) return;
    std::cerr << line << std::flush;
    last = std::move(line);
  };
}

}  // namespace runahead

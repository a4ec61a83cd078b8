#include "compress/eval_windows.h"

#include <algorithm>

#include "core/check.h"

namespace runahead {

std::vector<EvalWindow> SlidingWindows(int num_tokens, int window, int stride) {
  RA_CHECK(window >= 2 && stride >= 1 && stride < window);
  std::vector<EvalWindow> windows;
  for (int scored = 1; scored < num_tokens;) {
    const int end = std::min(num_tokens, windows.empty() ? window : scored + stride);
    windows.push_back({.begin = std::max(0, end - window), .first_scored = scored, .end = end});
    scored = end;
  }
  return windows;
}

}  // namespace runahead

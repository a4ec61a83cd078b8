#include "server/loadgen/load_progress.h"

#include "server/printed.h"

namespace runahead {

std::string LoadProgressLine(const LoadProgress& p) {
  constexpr int kWidth = 30;
  const int filled = p.num_total > 0 ? kWidth * p.num_done / p.num_total : 0;
  std::string out = "\r[" + std::string(static_cast<size_t>(filled), '#') +
                    std::string(static_cast<size_t>(kWidth - filled), ' ') + "] ";
  out += Printed("%d of %d, %d in flight", p.num_done, p.num_total, p.num_in_flight);
  if (p.num_failed > 0) out += Printed(", %d failed", p.num_failed);
  if (p.elapsed_s > 0) out += Printed(", %.1f requests/s", p.num_done / p.elapsed_s);
  return out + "\x1b[K";
}

}  // namespace runahead

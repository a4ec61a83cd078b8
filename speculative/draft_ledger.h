// DraftLedger: holds speculation to its bound: it may have cost at most 2 % of decode time. Engine
// thread only.
#pragma once

#include "core/clock.h"

namespace runahead {

// Every step that drafted, caught up or probed is booked with what it took and with what the
// modelled steps without drafts would have taken for the same tokens. Once the sum of the
// differences passes the allowance, speculation rests until steps without drafts have earned it
// back; past gains are credited only up to the same allowance, so that a good morning does not pay
// for a bad evening.
class DraftLedger {
 public:
  static constexpr double kMaxLoss = 0.02;  // of decode time

  void BookPlain(double seconds);
  void BookSpeculative(double seconds, double plain_seconds);

  bool allows_drafts() const;
  double loss_seconds() const;    // positive: speculation has cost so much on balance
  double decode_seconds() const;  // booked in all
};

}  // namespace runahead

// DraftLedger: holds speculation to its bound: it may have cost at most 2 % of decode time. Engine
// thread only.
#pragma once

#include <algorithm>

#include "core/clock.h"

namespace runahead {

// Every step that drafted, caught up or probed is booked with what it took and with what the
// modelled steps without drafts would have taken for the same tokens. Once the sum of the
// differences passes the allowance, speculation rests until steps without drafts have earned it
// back; past gains are credited only up to the same allowance, so that a good morning does not pay
// for a bad evening.
//
// It is a bucket of credit: decode time earns 2 % of itself, gains are paid in, losses taken out,
// and it holds kMaxCredit plain steps at most. So over any stretch of time speculation costs at
// most 2 % of it and what the bucket held. A draft model's catching up serves many steps to come
// and is written off over kWriteOffSteps.
class DraftLedger {
 public:
  static constexpr double kMaxLoss = 0.02;    // of decode time
  static constexpr double kFirstCredit = 1;   // plain steps
  static constexpr double kMaxCredit = 4;     // plain steps
  static constexpr double kRestsUntil = 0.5;  // plain steps of credit, once it was used up
  static constexpr double kWriteOffSteps = 32;

  void BookPlain(double seconds);
  void BookSpeculative(double seconds, double plain_seconds);
  // What is not in any step's seconds: it becomes a loss little by little.
  void BookCatchUp(double seconds) { unwritten_ += seconds; }

  bool allows_drafts() const { return !is_resting_; }
  double credit_seconds() const { return credit_; }  // that may still be lost
  double unwritten_seconds() const { return unwritten_; }
  double plain_step_seconds() const { return plain_step_; }
  double loss_seconds() const {
    return loss_;
  }  // positive: speculation has cost so much on balance
  double decode_seconds() const { return decode_; }  // booked in all

 private:
  void Add(double earned, double lost);

  double credit_ = 0;
  double unwritten_ = 0;
  double plain_step_ = 0;  // running mean
  double loss_ = 0;
  double decode_ = 0;
  bool is_resting_ = false;
};

}  // namespace runahead

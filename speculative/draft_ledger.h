// DraftLedger: holds speculation to its bound: it may have cost at most 2 % of decode time. Engine
// thread only.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "core/clock.h"

namespace runahead {

// Every step that drafted, caught up or probed is booked with what it took and with what the
// modelled steps without drafts would have taken for the same tokens. Once the sum of the
// differences passes the allowance, speculation rests until steps without drafts have earned it
// back.
//
// It is a bucket of credit: decode time earns 2 % of itself, gains are paid in, losses taken out.
// How much it holds depends on what speculation gained lately: where it gained nothing, less than a
// plain step, so that even a stretch of fifty steps is never much more than 2 % slower; where it
// gains, a share of that, so that a few rejected drafts in a row, which are ordinary, do not stop
// what pays. A good morning does not pay for a bad evening. A draft model's catching up serves many
// steps to come and is written off over kWriteOffSteps.
class DraftLedger {
 public:
  static constexpr double kMaxLoss = 0.02;    // of decode time
  static constexpr double kFirstCredit = 1;   // plain steps
  static constexpr double kFirstRoom = 2;     // that the bucket holds in batches never tried,
  static constexpr double kLeastRoom = 0.75;  // and where drafts do not pay
  static constexpr double kMostRoom = 8;      // likewise, where it gained enough
  static constexpr double kGainShare = 0.25;  // of the gains of the last kGainSteps steps
  static constexpr double kGainSteps = 32;
  static constexpr double kRestsUntil = 0.25;  // plain steps of credit, once it was used up
  static constexpr double kWriteOffSteps = 32;

  // Of a step of so many sequences.
  void BookPlain(double seconds, int num_sequences);
  void BookSpeculative(double seconds, double plain_seconds, int num_sequences);
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
  static constexpr size_t kNumSizes = 12;

  static size_t SizeOf(int num_sequences);
  void Add(double earned, double lost, size_t size);
  double Room(size_t size) const;

  double credit_ = 0;
  double unwritten_ = 0;
  double plain_step_ = 0;  // running mean
  // By octave of the batch: decayed sums over its steps with drafts, never below nothing.
  std::array<double, kNumSizes> gained_ = {};
  std::array<bool, kNumSizes> is_tried_ = {};
  double loss_ = 0;
  double decode_ = 0;
  bool is_resting_ = false;
};

}  // namespace runahead

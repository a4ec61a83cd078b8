#include "speculative/draft_ledger.h"

#include <bit>

namespace runahead {
namespace {

constexpr double kMeanStep = 1.0 / 32;  // of the running mean of plain steps

}  // namespace

size_t DraftLedger::SizeOf(int num_sequences) {
  const int octave = std::bit_width(static_cast<unsigned>(std::max(num_sequences, 1) - 1));
  return std::min(static_cast<size_t>(octave), kNumSizes - 1);
}

void DraftLedger::BookPlain(double seconds, int num_sequences) {
  if (plain_step_ == 0) {
    plain_step_ = seconds;
    credit_ = kFirstCredit * seconds;
  }
  // One long interruption must not buy drafts.
  plain_step_ += kMeanStep * (std::min(seconds, 4 * plain_step_) - plain_step_);
  decode_ += seconds;
  Add(kMaxLoss * seconds, 0, SizeOf(num_sequences));
}

void DraftLedger::BookSpeculative(double seconds, double plain_seconds, int num_sequences) {
  const size_t size = SizeOf(num_sequences);
  decode_ += seconds;
  double& gained = gained_[size];
  if (!is_tried_[size]) gained = kFirstRoom / kGainShare * plain_step_;
  is_tried_[size] = true;
  gained = std::max(0.0, gained * (1 - 1 / kGainSteps) + plain_seconds - seconds);
  Add(kMaxLoss * seconds, seconds - plain_seconds, size);
}

// Drafts that pay in a batch pay in a smaller one.
double DraftLedger::Room(size_t size) const {
  const auto own = gained_.begin() + static_cast<std::ptrdiff_t>(size);
  const double gained = *std::max_element(own, gained_.end());
  const double least = is_tried_[size] ? kLeastRoom : kFirstRoom;
  return std::clamp(kGainShare * gained, least * plain_step_, kMostRoom * plain_step_);
}

void DraftLedger::Add(double earned, double lost, size_t size) {
  const double written_off = unwritten_ / kWriteOffSteps;
  unwritten_ -= written_off;
  lost += written_off;
  loss_ += lost;
  credit_ = std::min(credit_ + earned - lost, Room(size));
  if (credit_ <= 0) is_resting_ = true;
  if (credit_ >= kRestsUntil * plain_step_) is_resting_ = false;
}

}  // namespace runahead

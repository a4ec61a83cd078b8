#include "speculative/draft_ledger.h"

namespace runahead {
namespace {

constexpr double kMeanStep = 1.0 / 32;  // of the running mean of plain steps

}  // namespace

void DraftLedger::BookPlain(double seconds) {
  if (plain_step_ == 0) {
    plain_step_ = seconds;
    credit_ = kFirstCredit * seconds;
  }
  // One long interruption must not buy drafts.
  plain_step_ += kMeanStep * (std::min(seconds, 4 * plain_step_) - plain_step_);
  decode_ += seconds;
  Add(kMaxLoss * seconds, 0);
}

void DraftLedger::BookSpeculative(double seconds, double plain_seconds) {
  decode_ += seconds;
  Add(kMaxLoss * seconds, seconds - plain_seconds);
}

void DraftLedger::Add(double earned, double lost) {
  const double written_off = unwritten_ / kWriteOffSteps;
  unwritten_ -= written_off;
  lost += written_off;
  loss_ += lost;
  credit_ = std::min(credit_ + earned - lost, kMaxCredit * plain_step_);
  if (credit_ <= 0) is_resting_ = true;
  if (credit_ >= kRestsUntil * plain_step_) is_resting_ = false;
}

}  // namespace runahead

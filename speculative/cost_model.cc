#include "speculative/cost_model.h"

namespace runahead {
namespace {

constexpr int kUnseenSteps =
    8;  // without a draft pass, before the draft model is thought to move along

}  // namespace

void CostModel::SeedTarget(int num_rows, int64_t num_context, Duration time) {
  target_.Seed(num_rows, num_context, Seconds(time));
}

void CostModel::SeedDraft(int num_rows, int64_t num_context, Duration time) {
  draft_.Seed(num_rows, num_context, Seconds(time));
}

double CostModel::ObserveTarget(int num_rows, int64_t num_context, Duration time) {
  if (num_rows == 0) return 1;
  const double moved = target_.Observe(num_rows, num_context, Seconds(time));
  if (++num_since_draft_ > kUnseenSteps && moved != 1) draft_.Scale(moved);
  return moved;
}

void CostModel::ObserveDraft(const DraftPass& pass) {
  if (pass.num_rows == 0) return;
  draft_.Observe(pass.num_rows, pass.num_context, Seconds(pass.time));
  num_since_draft_ = 0;
}

double CostModel::TargetRowSeconds(int num_rows, int64_t num_context) const {
  const int half = num_rows / 2;
  return (TargetSeconds(num_rows, num_context) - TargetSeconds(half, num_context)) /
         (num_rows - half);
}

double CostModel::DraftSeconds(int num_rows, int64_t num_context) const {
  if (knows_draft()) return draft_.At(num_rows, num_context);
  return kUnknownDraftShare * target_.At(num_rows, num_context);
}

}  // namespace runahead

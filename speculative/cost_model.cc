#include "speculative/cost_model.h"

namespace runahead {
namespace {

constexpr int kKnownPasses = 3;  // after which a curve says what a pass mostly takes

}  // namespace

// What the weather adds is no part of what so many rows cost, and would make those dear that
// happened to be run in it.
void CostModel::Observe(CostCurve& curve, int num_rows, int64_t num_context, Duration time) {
  if (curve.num_observed(num_rows) >= kKnownPasses) {
    const double usual = curve.At(num_rows, num_context);
    if (usual > 0) weather_.Observe(Seconds(time) / usual);
  }
  curve.Observe(num_rows, num_context, Seconds(time) / weather_.factor());
}

void CostModel::SeedTarget(int num_rows, int64_t num_context, Duration time) {
  target_.Seed(num_rows, num_context, Seconds(time));
}

void CostModel::SeedDraft(int num_rows, int64_t num_context, Duration time) {
  draft_.Seed(num_rows, num_context, Seconds(time));
}

void CostModel::ObserveTarget(int num_rows, int64_t num_context, Duration time) {
  if (num_rows > 0) Observe(target_, num_rows, num_context, time);
}

void CostModel::ObserveDraft(const DraftPass& pass) {
  if (pass.num_rows > 0) Observe(draft_, pass.num_rows, pass.num_context, pass.time);
}

double CostModel::TargetRowSeconds(int num_rows, int64_t num_context) const {
  const int half = num_rows / 2;
  return (TargetSeconds(num_rows, num_context) - TargetSeconds(half, num_context)) /
         (num_rows - half);
}

double CostModel::DraftSeconds(int num_rows, int64_t num_context) const {
  if (!knows_draft()) return kUnknownDraftShare * TargetSeconds(num_rows, num_context);
  return weather_.factor() * draft_.At(num_rows, num_context);
}

}  // namespace runahead

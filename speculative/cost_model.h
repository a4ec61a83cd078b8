// CostModel: predicted durations of steps, learned from measured ones. Engine thread only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/clock.h"
#include "speculative/cost_curve.h"
#include "speculative/weather.h"

namespace runahead {

// One forward pass of the draft model.
struct DraftPass {
  int num_rows = 0;
  int num_sequences = 0;
  int64_t num_context = 0;  // tokens attended to, over the sequences
  Duration time = {};
  bool is_catch_up = false;  // no draft came of it
};

// time = weather * (f(rows) + g * context): f a table over row counts with interpolation between
// those measured, each entry a robust running mean (single spikes do not move it), monotone in rows
// where little is known; one for the target and one for the draft model, who share the weather.
class CostModel {
 public:
  // Start-up measurements, so that the first decision is not blind; may be none.
  void SeedTarget(int num_rows, int64_t num_context, Duration time);
  void SeedDraft(int num_rows, int64_t num_context, Duration time);

  void ObserveTarget(int num_rows, int64_t num_context, Duration time);
  void ObserveDraft(const DraftPass& pass);

  // Seconds, in the weather of the moment. Of a draft model that was never measured, a share of
  // the target's.
  double TargetSeconds(int num_rows, int64_t num_context) const {
    return weather_.factor() * target_.At(num_rows, num_context);
  }
  // Of one row more of the target beyond kManyRows. There costs are known by eighths of an octave,
  // which says nothing of a few rows: this is the slope over the octave below.
  double TargetRowSeconds(int num_rows, int64_t num_context) const;
  double DraftSeconds(int num_rows, int64_t num_context) const;
  bool knows_target() const { return !target_.empty(); }
  bool knows_draft() const { return !draft_.empty(); }

  const CostCurve& target() const { return target_; }
  const CostCurve& draft() const { return draft_; }

  static constexpr double kUnknownDraftShare = 0.12;
  static constexpr int kManyRows = 64;

 private:
  void Observe(CostCurve& curve, int num_rows, int64_t num_context, Duration time);

  CostCurve target_;
  CostCurve draft_;
  Weather weather_;
};

}  // namespace runahead

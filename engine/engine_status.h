// EngineStatus: what everybody may know of the engine without asking its thread. Thread-safe,
// lock-free.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/clock.h"
#include "engine/engine_health.h"

namespace runahead {

// The phase only moves down this list, except that a drained engine does not fail.
enum class EnginePhase : int32_t { kServing, kDraining, kStopped, kFailed };

class EngineStatus {
 public:
  EnginePhase phase() const { return phase_.load(); }
  bool accepts_requests() const { return phase() == EnginePhase::kServing; }

  // Any thread. Nothing where the engine drains, has stopped or has failed already.
  void BeginDrain() {
    EnginePhase expected = EnginePhase::kServing;
    if (phase_.compare_exchange_strong(expected, EnginePhase::kDraining)) phase_.notify_all();
  }
  // Engine thread; sticky.
  void Stop() { End(EnginePhase::kStopped); }
  void Fail() { End(EnginePhase::kFailed); }
  bool has_ended() const { return phase() >= EnginePhase::kStopped; }

  // Blocks until stopped or failed.
  void WaitUntilEnded() const {
    for (EnginePhase now = phase(); now < EnginePhase::kStopped; now = phase()) phase_.wait(now);
  }

  // Engine thread, around each step.
  void BeginStep(TimePoint now) { step_start_.store(now.time_since_epoch().count()); }
  void EndStep() { step_start_.store(kNoStep); }

  EngineHealth Health(TimePoint now, Duration stuck_after) const {
    switch (phase()) {
      case EnginePhase::kFailed:
        return EngineHealth::kFailed;
      case EnginePhase::kStopped:
        return EngineHealth::kStopped;
      case EnginePhase::kServing:
      case EnginePhase::kDraining:
        break;
    }
    const Duration::rep start = step_start_.load();
    if (start != kNoStep && now - TimePoint(Duration(start)) > stuck_after) {
      return EngineHealth::kStuck;
    }
    return accepts_requests() ? EngineHealth::kServing : EngineHealth::kDraining;
  }

 private:
  static constexpr Duration::rep kNoStep = 0;

  void End(EnginePhase phase) {
    if (has_ended()) return;
    phase_.store(phase);
    phase_.notify_all();
  }

  std::atomic<EnginePhase> phase_ = EnginePhase::kServing;
  std::atomic<Duration::rep> step_start_ = kNoStep;
};

}  // namespace runahead

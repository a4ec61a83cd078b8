// EngineDoor: what any thread may ask of the engine; it answers without asking the engine's thread.
// Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "core/clock.h"
#include "core/status.h"
#include "engine/engine_config.h"
#include "engine/engine_health.h"
#include "engine/engine_status.h"
#include "engine/message.h"
#include "engine/metrics.h"
#include "engine/response_stream.h"
#include "engine/submit_gate.h"

namespace runahead {

class EngineDoor {
 public:
  // The clock and the metrics are borrowed.
  EngineDoor(const EngineConfig& config, const Clock& clock, Metrics& metrics);

  // As Engine's.
  Result<std::unique_ptr<ResponseStream>> Submit(std::unique_ptr<Request> request);
  void Drain(TimePoint deadline);
  void Stop();
  EngineHealth health() const { return status_.Health(clock_.Now(), config_.stuck_after); }

  // For the engine's thread.
  EngineMailbox& mailbox() { return *mailbox_; }
  SubmitGate& gate() { return gate_; }
  EngineStatus& status() { return status_; }

 private:
  Status Admit(const Request& request);
  ResponseStream::Control ControlOf(RequestId id, bool may_finish_early) const;

  const EngineConfig config_;
  const Clock& clock_;
  Metrics& metrics_;
  std::shared_ptr<EngineMailbox> mailbox_;  // shared with the streams, which may outlive the engine
  SubmitGate gate_;
  EngineStatus status_;
  std::atomic<uint64_t> next_id_ = 1;
};

}  // namespace runahead

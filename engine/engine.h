// Engine: one thread, one loop, all serving state. The public API is thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "core/status.h"
#include "engine/engine_config.h"
#include "engine/engine_health.h"
#include "engine/metrics.h"
#include "engine/request.h"
#include "engine/response_stream.h"
#include "engine/speculation_parts.h"

namespace runahead {

class StepRunner;

class Engine {
 public:
  // All are borrowed and outlive the engine; `runner` and the draft model are used by the engine's
  // thread alone from here on.
  Engine(const EngineConfig& config, StepRunner& runner, const Clock& clock, Metrics& metrics,
         Logger& logger, const SpeculationParts& speculation = {});
  // Stops at the end of the current step; open streams end as kFailed (unavailable).
  ~Engine();

  // kInvalidArgument (context_length_exceeded, ids out of range), kResourceExhausted when the queue
  // is full, kUnavailable when draining or failed. Never blocks on the engine.
  Result<std::unique_ptr<ResponseStream>> Submit(std::unique_ptr<Request> request);

  // Refuses new requests; those accepted go on until they finish or `deadline` passes.
  void Drain(TimePoint deadline);
  // Blocks until drained or failed.
  void WaitUntilDrained();

  // Lock-free: never waits for the engine.
  EngineHealth health() const;
  const EngineConfig& config() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace runahead

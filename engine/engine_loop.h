// EngineLoop: one turn of the engine after the other, without the thread that makes them. Engine
// thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "engine/active_request.h"
#include "engine/engine_config.h"
#include "engine/engine_status.h"
#include "engine/message.h"
#include "engine/speculation_parts.h"
#include "engine/speculator.h"
#include "engine/step_ledger.h"
#include "engine/submit_gate.h"
#include "engine/timeline_recorder.h"
#include "kvcache/block_pool.h"
#include "kvcache/prefix_cache.h"
#include "model/model_runner.h"
#include "scheduler/scheduler.h"

namespace runahead {

// What the loop works with, all of it borrowed: it outlives the loop, whose end takes back what it
// gave the runner and the draft model to do meanwhile.
struct EngineParts {
  StepRunner& runner;
  const Clock& clock;
  Metrics& metrics;
  Logger& logger;
  EngineMailbox& mailbox;
  SubmitGate& gate;
  EngineStatus& status;
  SpeculationParts speculation = {};
};

// Between two turns every request that was taken from the mailbox and whose outcome is not yet
// counted is in `active_`, as long as the scheduler has it, or in `settling_`. Events that wait to
// be pushed are the last step's, and only where another turn follows at once.
class EngineLoop {
 public:
  // `entropy` seeds the requests that bring no seed.
  EngineLoop(const EngineConfig& config, const EngineParts& parts, uint64_t entropy);
  ~EngineLoop();

  // One turn: mail, then one step where there is something to run. False: nothing to do before
  // wait_until(), unless a message comes. Never throws: what the runner throws fails the engine.
  bool RunOnce();
  TimePoint wait_until() const { return wait_until_; }
  bool stop_asked() const { return stop_asked_; }

  // Ends what is left: streams end as failed (unavailable).
  void Shutdown();

  // RA_CHECKs the invariant above and the scheduler's. Between turns.
  void CheckIntegrity() const;

 private:
  // One turn's timing, as far as it is known.
  struct TurnRecord {
    TimePoint start;
    Duration in_runner = {};
    int num_sequences = 0;  // 0: no step was run
    int num_tokens = 0;
  };

  bool Turn();

  // Mail.
  bool DrainMailbox();  // whether there was any
  void On(SubmitMessage& message);
  void On(const FinishMessage& message);
  void On(const CancelMessage& message);
  void On(const SettleMessage& message);
  void On(const DrainMessage& message);
  void On(const StopMessage& message);
  void DrawSeed(Request& request);
  RequestSpec SpecOf(RequestId id, Request& request, TimePoint arrival) const;

  // A step.
  void RunStep(Batch& batch);
  void NoteStep(std::span<const SequenceRun> runs, Duration in_model, TimePoint end);
  Duration CopyBlocks(const Batch& batch);
  std::span<const SequenceRun> RunsOf(const Batch& batch);
  void Publish(const Progress& progress, const ModelOutput& output, TimePoint now);
  void PublishSequence(const SequenceProgress& progress, const ModelOutput& output, size_t s,
                       TimePoint now);
  void CountTokens(ActiveRequest& request, const SequenceProgress& progress, TimePoint now);

  // Ends.
  void ReportEnded(const Batch& batch, TimePoint now);
  // The scheduler has forgotten the request: counts its outcome, or lets it settle first.
  void EndRequest(RequestId id, RequestPhase phase, TimePoint now);
  void CountEnd(std::unique_ptr<ActiveRequest> request, FinishReason outcome, RequestPhase phase,
                TimePoint now);
  void Settle(RequestId id, TimePoint now);
  void FailAll(const std::string& why, TimePoint now);
  void EndDrain(TimePoint now);

  // Counts, then events.
  void Commit();
  void CommitNews();
  void CommitCounts();
  EngineGauges Gauges() const;
  void PushNow();  // the host's time, in no step of the runner
  void PushEvents();

  ActiveRequest* Find(RequestId id) const;  // active, or null
  void Touch(ActiveRequest& request);

  const EngineConfig config_;
  EngineParts parts_;
  BlockPool pool_;
  PrefixCache cache_;
  Scheduler scheduler_;
  Speculator speculator_;
  ActiveRequests active_;
  ActiveRequests settling_;  // over, but the front end may still Finish them early
  std::vector<std::unique_ptr<ActiveRequest>> ended_;  // counted; gone once their events are pushed
  std::vector<ActiveRequest*> touched_;                // have events to push
  std::vector<SequenceRun> runs_;
  StepLedger ledger_;
  TimelineRecorder timelines_;
  std::mt19937_64 seeds_;
  uint64_t num_admitted_ = 0;
  uint64_t num_discarded_by_scheduler_ = 0;  // of its counter, what the ledger has
  bool drain_asked_ = false;
  bool stop_asked_ = false;
  TimePoint drain_deadline_ = kNoDeadline;
  TimePoint wait_until_ = kNoDeadline;
  TurnRecord turn_;
  // A step's events are pushed while the device computes the next one (StepRunner::DoMeanwhile).
  bool pushes_meanwhile_ = false;
  Duration carried_host_ = {};  // pushing events follows the counting: booked with the next step
};

}  // namespace runahead

// Metrics: what the engine and its front ends count. Thread-safe.
//
// A request is in exactly one place at any instant, and every scrape sees that: Snapshot() returns
// counts taken together, for which
//   received = finished{stop,length} + rejected{reason} + cancelled{phase} + expired{phase} +
//   failed + waiting + running
// holds, where waiting and running are counted from the engine's queue and running set, never kept
// by increments. Names, units and help of the exported series are in server/metric_names.h.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "core/speculation.h"

namespace runahead {

// Cumulative histogram with fixed upper bounds; the last bucket is unbounded.
struct HistogramCounts {
  std::vector<double> bounds;     // ascending
  std::vector<uint64_t> buckets;  // [bounds + 1], not cumulative
  double sum = 0;
  uint64_t count = 0;

  explicit HistogramCounts(std::span<const double> upper_bounds);
  void Observe(double value, uint64_t times = 1);
};

enum class RejectReason : uint8_t {
  kInvalid,
  kTooLong,
  kQueueFull,
  kUnavailable,
  kUnauthenticated,
  kNotFound,
  kTooLarge
};
inline constexpr int kNumRejectReasons = 7;
enum class RequestPhase : uint8_t { kQueued, kRunning };  // running includes prefill
inline constexpr int kNumPhases = 2;
inline RequestPhase PhaseOf(bool was_running) {
  return was_running ? RequestPhase::kRunning : RequestPhase::kQueued;
}

// What one drafter proposed and what came of it. A draft is what one sequence had to judge in one
// step.
struct DrafterCounts {
  uint64_t drafts = 0;
  uint64_t drafted_tokens = 0;
  uint64_t accepted_tokens = 0;
  std::array<uint64_t, kMaxDrafts> drafted_at = {};   // by position in the draft
  std::array<uint64_t, kMaxDrafts> accepted_at = {};  // likewise
  HistogramCounts accepted_length;                    // accepted tokens of a draft

  DrafterCounts();
};

// Every value the exporter shows, taken at one instant.
struct MetricsSnapshot {
  uint64_t received = 0;
  uint64_t finished_stop = 0;
  uint64_t finished_length = 0;
  std::array<uint64_t, kNumRejectReasons> rejected = {};
  std::array<uint64_t, kNumPhases> cancelled = {};
  std::array<uint64_t, kNumPhases> expired = {};
  uint64_t failed = 0;
  uint64_t waiting = 0;  // counted: on the way to the engine, or in its queue (preempted ones too)
  uint64_t running = 0;  // counted: in the running set, or its outcome waits for the front end

  uint64_t prompt_tokens = 0;
  uint64_t cached_prompt_tokens = 0;
  uint64_t generated_tokens = 0;  // sampled or accepted, the discarded ones included
  uint64_t discarded_tokens = 0;  // generated past a stop string or for a request that was dropped
  uint64_t prefix_query_tokens = 0;
  uint64_t prefix_hit_tokens = 0;
  uint64_t preemptions = 0;
  uint64_t steps = 0;
  int num_blocks = 0;
  int used_blocks = 0;    // referenced by a sequence
  int cached_blocks = 0;  // free, but findable

  HistogramCounts queue_seconds;
  HistogramCounts prefill_seconds;
  HistogramCounts decode_seconds;
  HistogramCounts ttft_seconds;
  HistogramCounts inter_token_seconds;  // per token: those of one step share its gap
  HistogramCounts inter_chunk_seconds;  // per step that gave a choice more tokens
  HistogramCounts inference_seconds;    // prefill and decode of one request
  HistogramCounts token_seconds;        // mean time per token after the first, of one request
  HistogramCounts e2e_seconds;
  HistogramCounts step_seconds;
  HistogramCounts batch_sequences;  // sequences per step
  HistogramCounts batch_tokens;     // rows per step
  HistogramCounts host_seconds;     // of a step outside the runner
  HistogramCounts request_prompt_tokens;
  HistogramCounts request_computed_tokens;  // of the prompt: those no prefix served
  HistogramCounts request_generated_tokens;
  HistogramCounts request_longest_tokens;  // of the longest choice
  HistogramCounts request_max_tokens;      // asked for
  HistogramCounts request_choices;         // likewise

  std::array<DrafterCounts, kNumDrafterKinds> drafters;  // by DrafterKind
  uint64_t draft_catch_up_tokens = 0;     // rows the draft model ran to come level with the target
  HistogramCounts draft_seconds;          // of a step that drafted or caught up: its drafters
  HistogramCounts verify_seconds;         // of a step with drafts: the target's run
  HistogramCounts tokens_per_run;         // emitted by one sequence in one target step
  double draft_length = 0;                // mean k over the sequences of the last decode step
  double speculation_loss_seconds = 0;    // the ledger's balance; negative: time gained
  double speculation_booked_seconds = 0;  // decode time that balance is about; only grows
  bool speculation_rests = false;         // the ledger forbids drafts for now

  // How requests cross from Submit to the engine's queue; Snapshot() adds the difference to
  // waiting.
  uint64_t submitted = 0;  // accepted by Submit
  uint64_t admitted = 0;   // of those, taken over by the engine thread

  MetricsSnapshot();

  // Blocks held by sequences over all blocks.
  double Utilization() const;

  // The right side of the invariant above.
  uint64_t Accounted() const;
  bool Reconciles() const { return received == Accounted(); }
};

class Metrics {
 public:
  // Front ends: a request refused before the engine saw it counts as received and rejected at once.
  void CountRejected(RejectReason reason);

  // Engine::Submit, before the request is on its way: it is received, and waiting until the engine
  // has admitted it.
  void CountSubmitted();

  // Engine thread: applies one step's changes under the lock, as one change.
  template <typename F>
  void Update(F&& change) {
    const std::lock_guard lock(mutex_);
    change(snapshot_);
  }

  MetricsSnapshot Snapshot() const;

 private:
  mutable std::mutex mutex_;  // held for a copy or a step's increments only (docs/contract.md)
  MetricsSnapshot snapshot_;
};

}  // namespace runahead

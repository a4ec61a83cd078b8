// Sequence: one choice of a request while it is served: its tokens, its blocks and how far each
// model has come. Engine thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/clock.h"
#include "kvcache/block.h"
#include "kvcache/block_table.h"

namespace runahead {

// Names a request among those in flight; the engine numbers them.
enum class RequestId : uint64_t {};

// What the scheduler must know of a request: integers and times, no sampling.
struct RequestSpec {
  RequestId id = {};
  std::vector<int32_t> prompt = {};    // at least one token
  int num_choices = 1;                 // n
  int max_tokens = 16;                 // per choice; 0: compute the prompt only
  int min_tokens = 0;                  // a stop id does not end a choice before this many
  std::vector<int32_t> stop_ids = {};  // eos merged in, unless ignored
  int priority = 0;                    // lower runs earlier
  TimePoint arrival = {};
  TimePoint deadline = kNoDeadline;
  std::string cache_salt = {};
  // False for prompt logprobs: every prompt token must be run, so nothing is looked up until the
  // prompt is done.
  bool looks_up_prefix = true;
};

enum class SequenceStatus : uint8_t {
  kAwaitsPrompt,  // a further choice: its request's choice 0 has not computed the prompt yet
  kWaiting,       // in the waiting queue, never run
  kPreempted,     // in the waiting queue, has run, holds no block
  kRunning,
};

enum class EndReason : uint8_t {
  kNone,     // goes on
  kStop,     // a stop id
  kLength,   // max_tokens or the context
  kExpired,  // past its deadline
  kFailed,   // does not fit the KV cache even alone
};

// Invariants (checked by Scheduler::CheckIntegrity):
//   num_computed(target) < num_tokens;    num_computed(draft) <= num_computed(target), between
//   steps; the block table covers num_computed(target) tokens, and between steps nothing beyond
//   num_tokens; the first num_published blocks of the table are published in the prefix cache.
//
//   tokens:  [ prompt .............. | output ........ ]( drafts, during a step )
//             0         num_computed ^        num_tokens ^
//             ^^^^^^^^^^ K/V valid    ^^^^^^^^^^^^^^^^^^^ what the next step runs
class Sequence {
 public:
  // Made by the scheduler; `order` numbers requests as they arrived.
  Sequence(const RequestSpec& spec, int choice, uint64_t order, int max_context);

  RequestId request() const { return request_; }
  int choice() const { return choice_; }
  int priority() const { return priority_; }
  uint64_t order() const { return order_; }  // of arrival, over all requests
  TimePoint arrival() const { return arrival_; }
  TimePoint deadline() const { return deadline_; }
  SequenceStatus status() const { return status_; }

  int num_tokens() const { return num_tokens_; }  // prompt and output, without drafts
  int num_prompt_tokens() const { return num_prompt_tokens_; }
  int num_output_tokens() const { return num_tokens_ - num_prompt_tokens_; }
  std::span<const int32_t> tokens() const { return Slice(0, num_tokens_); }
  std::span<const int32_t> prompt() const { return Slice(0, num_prompt_tokens_); }
  std::span<const int32_t> output() const { return Slice(num_prompt_tokens_, num_output_tokens()); }

  int num_computed(CacheModel model) const { return num_computed_[static_cast<size_t>(model)]; }
  int num_computed() const { return num_computed(CacheModel::kTarget); }
  int num_uncomputed() const { return num_tokens_ - num_computed(); }  // 1 while it decodes
  const BlockTable& block_table() const { return block_table_; }

  int max_tokens() const { return max_tokens_; }  // already clipped to the context
  int min_tokens() const { return min_tokens_; }
  std::span<const int32_t> stop_ids() const { return stop_ids_; }  // ascending
  bool IsStopId(int32_t token) const;
  int num_tokens_left() const { return max_tokens_ - num_output_tokens(); }
  // Sampled rows of the next step at which stop ids are banned: row i makes output token
  // num_output_tokens() + i.
  int num_suppressed_rows() const {
    return min_tokens_ > num_output_tokens() ? min_tokens_ - num_output_tokens() : 0;
  }

  // A step has held the sequence, even if it was preempted since.
  bool HasBegun() const { return num_cached_tokens_ >= 0; }
  // Prompt tokens that the prefix cache (or choice 0) served when it began; -1 before.
  int num_cached_tokens() const { return num_cached_tokens_; }
  // The most tokens that were ever computed. A preempted sequence computes some again: prompt
  // logprobs at positions below this one have been reported already.
  int num_ever_computed() const { return num_ever_computed_; }
  bool HasComputedPrompt() const { return num_ever_computed_ >= num_prompt_tokens_; }

  // Engine, between Schedule and Apply: the drafts to judge in this step, right behind the tokens.
  // At most the entry's num_draft; Apply takes them away again.
  void SetDrafts(std::span<const int32_t> drafts);
  std::span<const int32_t> drafts() const { return Slice(num_tokens_, num_drafts()); }
  // The q tokens a step runs: those not computed, or the first of them, then the drafts.
  std::span<const int32_t> TokensToRun(int num_run) const { return Slice(num_computed(), num_run); }

  // Drafter, between Schedule and Apply: the draft model has K/V for the first num_tokens of tokens
  // and drafts. Apply lowers it to what the target has verified.
  void SetDraftComputed(int num_tokens);

 private:
  friend class Scheduler;
  friend class SequenceBlocks;
  friend class SequenceQueues;

  const std::string& cache_salt() const { return cache_salt_; }
  bool MayLookUpPrefix() const { return looks_up_prefix_ || HasComputedPrompt(); }
  void DropDrafts() { tokens_.resize(static_cast<size_t>(num_tokens_)); }
  void AppendOutput(std::span<const int32_t> tokens);
  void SetComputed(int num_target, int num_draft);

  std::span<const int32_t> Slice(int begin, int count) const {
    return std::span(tokens_).subspan(static_cast<size_t>(begin), static_cast<size_t>(count));
  }
  int num_drafts() const { return static_cast<int>(tokens_.size()) - num_tokens_; }

  RequestId request_;
  int choice_;
  int priority_;
  uint64_t order_;
  TimePoint arrival_;
  TimePoint deadline_;
  int max_tokens_;
  int min_tokens_;
  std::vector<int32_t> stop_ids_;
  std::string cache_salt_;
  bool looks_up_prefix_;
  SequenceStatus status_ = SequenceStatus::kWaiting;

  std::vector<int32_t> tokens_;  // num_tokens_ of them, then the drafts of the step in flight
  int num_tokens_;
  int num_prompt_tokens_;
  std::array<int, kNumCacheModels> num_computed_ = {};
  std::array<int, kNumCacheModels> num_recorded_ = {};  // of them, those the pool's blocks know of
  int num_draft_ran_ = 0;                               // SetDraftComputed, until Apply
  int num_ever_computed_ = 0;
  int num_cached_tokens_ = -1;
  int num_published_ = 0;  // leading blocks of the table known to the prefix cache
  struct {
    int num_draft = 0;
    int num_catch_up = 0;
  } draft_limit_;  // of the step being made
  BlockTable block_table_;
};

}  // namespace runahead

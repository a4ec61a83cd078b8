// Request and TokenEvent: what goes into the engine and what comes out. Value types; a Request is
// immutable once submitted.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/logprobs.h"
#include "core/sampling_params.h"
#include "core/speculation.h"
#include "core/status.h"

namespace runahead {

class TimelineSlot;  // engine/timeline_slot.h

struct Request {
  std::string id;               // the client's X-Request-Id or one made by the front end; for logs
  std::vector<int32_t> prompt;  // token ids, at least one
  SamplingParams sampling;
  std::optional<uint64_t> seed;  // the engine draws and logs one where absent
  int num_choices = 1;           // n
  int max_tokens =
      16;  // per choice, >= 1 (>= 0 with prompt logprobs); the engine clips it to the context
  int min_tokens = 0;  // before this many, stop ids are banned
  std::vector<int32_t>
      stop_token_ids;  // end the choice; the model's eos ids are added unless ignore_eos
  bool ignore_eos = false;
  int priority = 0;  // lower runs earlier
  TimePoint deadline = kNoDeadline;
  // The front end matches stop strings, so it may yet Finish a choice that the engine has ended:
  // the outcome is counted when the stream is destroyed, or once every choice was cut by Finish.
  bool may_finish_early = false;
  std::string cache_salt;  // prefixes are shared only between equal salts
  SpeculationParams speculation;
  std::vector<int32_t> prediction;  // what the client expects the output to be; drafts come of it
  // Where the engine tells how the time goes; shared with who may ask. Null: nobody will.
  std::shared_ptr<TimelineSlot> timeline_slot;
};

enum class FinishReason : uint8_t {
  kNone,       // the stream goes on
  kStop,       // stop id, eos, or a stop string (Finish)
  kLength,     // max_tokens or the context
  kCancelled,  // the client went away
  kExpired,    // past the deadline
  kFailed,     // the engine failed; error says why
};

// When things happened to a request, for usage and metrics.
struct RequestTimings {
  TimePoint submitted;
  TimePoint scheduled;  // first step that ran a token of it
  TimePoint first_token;
};

// One thing that happened to one choice. Per choice: any number of tokens, then exactly one finish
// (which may ride on the last token). Queue growth is bounded by n x max_tokens, so a push never
// blocks.
struct TokenEvent {
  int choice = 0;
  int32_t token = -1;                           // -1: no token (a bare finish, or prompt facts)
  std::optional<PositionLogprobs> logprobs;     // of `token`
  DrafterKind drafted_by = DrafterKind::kNone;  // proposed `token`, which the target accepted
  FinishReason finish = FinishReason::kNone;
  std::optional<int32_t> stop_token;  // the stop id that matched: its token is not part of the text
  Status error;                       // with kFailed, kExpired
  TimePoint time;                     // when the step that made it ended
  // On the first token of each step that made any: what was proposed in that step. Counts of drafts
  // end with the tokens counted, so a front end that cuts at a stop string adds up what it kept.
  bool starts_step = false;
  DrafterKind step_drafter = DrafterKind::kNone;
  int num_drafted = 0;
  // On the first event of the request's choice 0 only:
  int num_cached_tokens = 0;                      // prompt tokens served from the prefix cache
  std::vector<PositionLogprobs> prompt_logprobs;  // of prompt tokens 1.., where asked
};

}  // namespace runahead

// Generation: one request from text to text, between a front end and the engine. HTTP and gRPC
// share it.
//
// It tokenizes, submits, detokenizes, matches stop strings and counts usage. Its pump runs on the
// I/O pool as events arrive, never behind a slow socket: the front end takes deltas when its peer
// can read.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "nlohmann/json.hpp"

#include "core/logprobs.h"
#include "core/sampling_params.h"
#include "core/status.h"
#include "engine/request.h"
#include "server/draft_usage.h"

namespace runahead {

class RequestRecord;  // server/request_record.h
class ServedModel;    // server/served_model.h: tokenizer, chat template, engine, name, limits

// What to run: chat messages, text, or token ids.
struct ChatPrompt {
  nlohmann::ordered_json messages;
  nlohmann::ordered_json template_kwargs = nullptr;
  bool add_generation_prompt = true;
};
struct TextPrompt {
  std::string text;
  bool add_special_tokens = true;
};
struct TokenPrompt {
  std::vector<int32_t> ids;
};
using Prompt = std::variant<ChatPrompt, TextPrompt, TokenPrompt>;

// What a request says about speculation; what it leaves open is as the server was set.
struct SpeculationRequest {
  std::optional<SpeculationMode> mode;
  std::optional<int> max_tokens;
  bool include_usage = false;    // usage shows what was drafted and accepted
  bool include_drafter = false;  // tokens show who proposed them
};

// A validated request of any door. Ranges are those of SamplingParams.
struct GenerationRequest {
  std::string id;
  std::string model;
  Prompt prompt;
  SamplingParams sampling;
  std::optional<uint64_t> seed;
  int num_choices = 1;
  std::optional<int> max_tokens;  // absent: what the context leaves
  int min_tokens = 0;
  std::vector<std::string> stop;
  std::vector<int32_t> stop_token_ids;
  bool include_stop_in_output = false;
  bool skip_special_tokens = true;
  bool ignore_eos = false;
  bool echo = false;  // the prompt comes first, with its logprobs where asked
  int priority = 0;
  TimePoint deadline = kNoDeadline;
  std::string cache_salt;
  SpeculationRequest speculation;
  std::vector<int32_t> prediction;  // what the client expects the answer to be
  // Hears how the time goes; shared with the request's door and who may ask. Null: nobody will.
  std::shared_ptr<RequestRecord> record;
};

// A token with its text and logprobs, for the `logprobs` objects of both doors.
struct TokenDetail {
  int32_t id = 0;
  std::string bytes;  // what the token adds, as bytes
  std::optional<PositionLogprobs> logprobs = std::nullopt;
  int64_t text_offset = 0;  // code points of the choice's text before the token
  std::optional<DrafterKind> drafted_by = std::nullopt;  // of a generated token, where asked
};

// What became certain of one choice since the last delta.
struct Delta {
  int choice = 0;
  std::string text;
  std::vector<TokenDetail> tokens;
  FinishReason finish = FinishReason::kNone;
  std::optional<std::variant<std::string, int32_t>>
      stop_reason;  // the stop string or id that matched
  Status error;     // with kFailed / kExpired
};

struct Usage {
  int prompt_tokens = 0;
  int completion_tokens = 0;  // over all choices; ends at the matching token of a stop string
  int cached_tokens = 0;
  DraftUsage drafts = {};        // ends where completion_tokens end
  bool includes_drafts = false;  // the request asked to see them
};

// Token ids of a prompt, rendered by the chat template where it is a chat. Errors name "messages"
// or "prompt".
Result<std::vector<int32_t>> EncodePrompt(const ServedModel& model, const Prompt& prompt);

// Token ids of a predicted answer, as far as the context reaches.
std::vector<int32_t> EncodePrediction(const ServedModel& model, const std::string& text);

// Thread-safe. Destroying it cancels what still runs.
class Generation {
 public:
  // How to get onto the I/O pool: posts a task that runs soon on one of its threads.
  using Post = std::function<void(std::function<void()>)>;

  // Renders, tokenizes and submits on the calling (I/O) thread. Errors name the request's field.
  static Result<std::shared_ptr<Generation>> Start(ServedModel& model,
                                                   const GenerationRequest& request, Post post);
  virtual ~Generation() = default;

  // All deltas that wait; never blocks. Adjacent deltas of one choice are merged.
  virtual std::vector<Delta> Take() = 0;

  // `ready` runs once on the I/O pool when deltas wait (at once when some do already).
  virtual void Arm(std::function<void()> ready) = 0;

  // Every choice has finished and every delta was taken.
  virtual bool finished() const = 0;

  virtual Usage usage() const = 0;
  virtual const std::vector<int32_t>& prompt_ids() const = 0;
  virtual const std::vector<PositionLogprobs>& prompt_logprobs()
      const = 0;  // once the first delta came
};

}  // namespace runahead

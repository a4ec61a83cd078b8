#include "engine/validate.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>

namespace runahead {
namespace {

constexpr const char* kTooLong = "context_length_exceeded";

Status CheckIds(std::span<const int32_t> ids, int vocab_size, const char* param) {
  const auto wrong =
      std::find_if(ids.begin(), ids.end(), [&](int32_t id) { return id < 0 || id >= vocab_size; });
  if (wrong == ids.end()) return {};
  return InvalidArgument("token id " + std::to_string(*wrong) + " is not in the vocabulary of " +
                             std::to_string(vocab_size) + " tokens",
                         param);
}

Status CheckPrompt(const EngineConfig& config, const Request& request) {
  if (request.prompt.empty()) return InvalidArgument("the prompt is empty", "prompt");
  // Room for one token, unless only the prompt's logprobs are wanted.
  const auto needed = static_cast<int64_t>(request.prompt.size()) + std::min(request.max_tokens, 1);
  if (needed > config.max_context) {
    return InvalidArgument("the maximum context length is " + std::to_string(config.max_context) +
                               " tokens, but the prompt alone has " +
                               std::to_string(request.prompt.size()),
                           "prompt", kTooLong);
  }
  const int64_t capacity = int64_t{config.num_blocks} * config.block_size;
  if (needed > capacity) {
    return InvalidArgument("the whole KV cache holds " + std::to_string(capacity) +
                               " tokens, but the prompt alone has " +
                               std::to_string(request.prompt.size()),
                           "prompt", kTooLong);
  }
  return CheckIds(request.prompt, config.vocab_size, "prompt");
}

Status CheckCounts(const Request& request) {
  if (request.num_choices < 1) return InvalidArgument("must be at least 1", "n");
  const int least = request.sampling.num_prompt_logprobs >= 0 ? 0 : 1;
  if (request.max_tokens < least) {
    return InvalidArgument("must be at least " + std::to_string(least), "max_tokens");
  }
  if (request.min_tokens < 0) return InvalidArgument("must not be negative", "min_tokens");
  const int num_drafts = request.speculation.max_tokens;
  if (num_drafts < 0 || num_drafts > kMaxDrafts) {
    return InvalidArgument("must be between 0 and " + std::to_string(kMaxDrafts),
                           "speculation.max_tokens");
  }
  return {};
}

// Comparisons are written so that NaN fails them.
Status CheckRanges(const SamplingParams& sampling) {
  if (!(std::isfinite(sampling.temperature) && sampling.temperature >= 0)) {
    return InvalidArgument("must be finite and not negative", "temperature");
  }
  if (!(sampling.top_p > 0 && sampling.top_p <= 1)) {
    return InvalidArgument("must be above 0 and at most 1", "top_p");
  }
  if (!(sampling.min_p >= 0 && sampling.min_p <= 1)) {
    return InvalidArgument("must be between 0 and 1", "min_p");
  }
  if (sampling.top_k < 0) return InvalidArgument("must not be negative", "top_k");
  if (!(std::isfinite(sampling.repetition_penalty) && sampling.repetition_penalty > 0)) {
    return InvalidArgument("must be finite and above 0", "repetition_penalty");
  }
  if (!std::isfinite(sampling.presence_penalty)) {
    return InvalidArgument("must be finite", "presence_penalty");
  }
  if (!std::isfinite(sampling.frequency_penalty)) {
    return InvalidArgument("must be finite", "frequency_penalty");
  }
  return {};
}

Status CheckSampling(const SamplingParams& sampling, int vocab_size) {
  RA_RETURN_IF_ERROR(CheckRanges(sampling));
  for (const auto& [id, bias] : sampling.logit_bias) {
    RA_RETURN_IF_ERROR(CheckIds(std::span(&id, 1), vocab_size, "logit_bias"));
    if (std::isnan(bias)) return InvalidArgument("must be a number", "logit_bias");
  }
  RA_RETURN_IF_ERROR(CheckIds(sampling.allowed_token_ids, vocab_size, "allowed_token_ids"));
  return CheckIds(sampling.banned_token_ids, vocab_size, "banned_token_ids");
}

}  // namespace

Status ValidateRequest(const EngineConfig& config, const Request& request) {
  RA_RETURN_IF_ERROR(CheckCounts(request));
  RA_RETURN_IF_ERROR(CheckPrompt(config, request));
  RA_RETURN_IF_ERROR(CheckIds(request.stop_token_ids, config.vocab_size, "stop_token_ids"));
  RA_RETURN_IF_ERROR(CheckIds(request.prediction, config.vocab_size, "prediction"));
  return CheckSampling(request.sampling, config.vocab_size);
}

RejectReason RejectReasonOf(const Status& refusal) {
  switch (refusal.code()) {
    case StatusCode::kResourceExhausted:
      return RejectReason::kQueueFull;
    case StatusCode::kUnavailable:
      return RejectReason::kUnavailable;
    default:
      return refusal.reason() == kTooLong ? RejectReason::kTooLong : RejectReason::kInvalid;
  }
}

}  // namespace runahead

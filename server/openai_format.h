// Answers of /v1/chat/completions and /v1/completions: objects, chunks and their logprobs. Pure
// functions, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/generation.h"
#include "server/json_body.h"
#include "server/openai_parse.h"
#include "text/tokenizer.h"

namespace runahead {

// What every object of one answer repeats.
struct AnswerHead {
  OpenAiRoute route = OpenAiRoute::kChat;
  std::string id;  // "chatcmpl-..." or "cmpl-..."
  int64_t created_unix_seconds = 0;
  std::string model;
  std::string system_fingerprint;
  bool wants_logprobs = false;
  bool include_usage = false;           // chunks carry "usage": null, the last one the figures
  bool continuous_usage_stats = false;  // every chunk carries the figures so far
};

// One finished choice.
struct ChoiceAnswer {
  int index = 0;
  std::string text;
  std::vector<TokenDetail> tokens;
  FinishReason finish = FinishReason::kStop;
  std::optional<std::variant<std::string, int32_t>> stop_reason;
  Json prompt_logprobs;  // null: not asked for
};

// One line of JSON; invalid UTF-8 becomes U+FFFD.
std::string Dump(const Json& json);

Json FormatUsage(const Usage& usage);

// The whole answer.
Json FormatAnswer(const AnswerHead& head, const std::vector<ChoiceAnswer>& choices,
                  const Usage& usage, const Tokenizer& tokenizer);

// The first chunk of a chat choice: its role.
Json FormatRoleChunk(const AnswerHead& head, int choice);

// The chunks of one delta: its text, then its end. `usage` is for continuous_usage_stats,
// `tokenizer` (may be null without) for logprobs.
std::vector<Json> FormatDelta(const AnswerHead& head, const Delta& delta, const Usage& usage,
                              const Tokenizer* tokenizer);

// The chunk after the last choice's end, with include_usage.
Json FormatUsageChunk(const AnswerHead& head, const Usage& usage);

// vLLM's form: one entry a prompt token, null for the first, else {"<id>": {logprob, rank,
// decoded_token}}.
Json FormatPromptLogprobs(const std::vector<PositionLogprobs>& logprobs,
                          const Tokenizer& tokenizer);

// "stop" or "length"; other reasons are errors and have no name here.
const char* FinishReasonName(FinishReason finish);

}  // namespace runahead

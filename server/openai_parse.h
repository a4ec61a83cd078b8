// ParseOpenAiRequest: a body of /v1/chat/completions or /v1/completions to what the engine's side
// needs. Pure functions, thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/status.h"
#include "server/generation.h"
#include "server/openai_fields.h"
#include "server/served_model.h"

namespace runahead {

// A parsed body. Every prompt becomes a request of its own: a copy of `base` with that prompt.
struct OpenAiRequest {
  OpenAiRoute route = OpenAiRoute::kChat;
  GenerationRequest base;                 // without id, prompt, prediction and deadline
  std::vector<Prompt> prompts;            // one for chat
  std::optional<std::string> prediction;  // of the answer to each of them
  std::string request_id;                 // of the body; empty: none
  std::optional<double> timeout_seconds;
  bool stream = false;
  bool include_usage = false;           // one more chunk at the end
  bool continuous_usage_stats = false;  // usage in every chunk (vLLM)
  bool wants_logprobs = false;
  bool wants_prompt_logprobs = false;
};

// `defaults` apply where the body says nothing.
Result<OpenAiRequest> ParseOpenAiRequest(const Json& body, OpenAiRoute route,
                                         const SamplingDefaults& defaults);

// The `model` member of a body, for finding `defaults`.
Result<std::string> ParseModelName(const Json& body);

// Checked messages in the form chat templates expect: text parts joined by a newline, `developer`
// as `system`, tool-call arguments as objects.
Result<Json> ParseMessages(const Json& body);

}  // namespace runahead

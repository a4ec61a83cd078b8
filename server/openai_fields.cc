#include "server/openai_fields.h"

#include <algorithm>
#include <array>
#include <string>

namespace runahead {
namespace {

constexpr FieldUse kHandled = FieldUse::kHandled;
constexpr FieldUse kIgnored = FieldUse::kIgnored;
constexpr FieldUse kRefused = FieldUse::kRefused;

// name, chat, completion, use, harmless values. A test walks this against the OpenAPI file.
constexpr auto kFields = std::to_array<OpenAiField>({
    // What both routes of OpenAI's API have, or one of them.
    {"model", true, true, kHandled},
    {"messages", true, false, kHandled},
    {"prompt", false, true, kHandled},
    {"temperature", true, true, kHandled},
    {"top_p", true, true, kHandled},
    {"n", true, true, kHandled},
    {"stream", true, true, kHandled},
    {"stream_options", true, true, kHandled},
    {"stop", true, true, kHandled},
    {"max_tokens", true, true, kHandled},
    {"max_completion_tokens", true, false, kHandled},
    {"presence_penalty", true, true, kHandled},
    {"frequency_penalty", true, true, kHandled},
    {"logit_bias", true, true, kHandled},
    {"logprobs", true, true, kHandled},
    {"top_logprobs", true, false, kHandled},
    {"seed", true, true, kHandled},
    {"reasoning_effort", true, false, kHandled},  // handed to the chat template
    {"user", true, true, kIgnored},
    {"safety_identifier", true, false, kIgnored},
    {"prediction", true, true, kHandled},  // ours on completions
    {"metadata", true, false, kIgnored},
    {"prompt_cache_key", true, false, kIgnored},
    {"prompt_cache_retention", true, false, kIgnored},
    {"prompt_cache_options", true, false, kIgnored},
    {"verbosity", true, false, kIgnored},
    {"parallel_tool_calls", true, false, kIgnored},  // says nothing without tools
    {"tools", true, false, kRefused, "[[]]"},
    {"tool_choice", true, false, kRefused, R"(["none", "auto"])"},
    {"functions", true, false, kRefused, "[[]]"},
    {"function_call", true, false, kRefused, R"(["none", "auto"])"},
    {"response_format", true, true, kRefused, R"([{"type": "text"}])"},
    {"modalities", true, false, kRefused, R"([["text"]])"},
    {"audio", true, false, kRefused},
    {"web_search_options", true, false, kRefused},
    {"moderation", true, false, kRefused},
    {"service_tier", true, false, kRefused, R"(["auto", "default"])"},
    {"store", true, false, kRefused, "[false]"},
    {"suffix", false, true, kRefused, R"([""])"},
    {"best_of", false, true, kRefused, "[1]"},
    {"echo", false, true, kHandled},

    // What vLLM added and clients of it send.
    {"top_k", true, true, kHandled},
    {"min_p", true, true, kHandled},
    {"repetition_penalty", true, true, kHandled},
    {"stop_token_ids", true, true, kHandled},
    {"include_stop_str_in_output", true, true, kHandled},
    {"ignore_eos", true, true, kHandled},
    {"min_tokens", true, true, kHandled},
    {"skip_special_tokens", true, true, kHandled},
    {"allowed_token_ids", true, true, kHandled},
    {"banned_token_ids", true, true, kHandled},  // ours
    {"prompt_logprobs", true, true, kHandled},
    {"add_special_tokens", true, true, kHandled},
    {"add_generation_prompt", true, false, kHandled},
    {"chat_template_kwargs", true, false, kHandled},
    {"documents", true, false, kHandled},
    {"priority", true, true, kHandled},
    {"request_id", true, true, kHandled},
    {"cache_salt", true, true, kHandled},
    {"timeout", true, true, kHandled},      // ours
    {"speculation", true, true, kHandled},  // ours
    {"session_id", true, true, kIgnored},
    {"stream_interval", true, true, kIgnored},
    {"include_reasoning", true, false, kIgnored},
    {"spaces_between_special_tokens", true, true, kIgnored},
    {"use_beam_search", true, true, kRefused, "[false]"},
    {"length_penalty", true, true, kRefused, "[1, 1.0]"},
    {"truncate_prompt_tokens", true, true, kRefused},
    {"truncation_side", true, true, kRefused},
    {"logprob_token_ids", true, true, kRefused, "[[]]"},
    {"bad_words", true, true, kRefused, "[[]]"},
    {"repetition_detection", true, true, kRefused},
    {"watermarking", true, true, kRefused, "[false]"},
    {"logits_processors", true, true, kRefused, "[[]]"},
    {"continue_final_message", true, false, kRefused, "[false]"},
    {"chat_template", true, false, kRefused},
    {"mm_processor_kwargs", true, false, kRefused, "[{}]"},
    {"thinking_token_budget", true, false, kRefused},
    {"structured_outputs", true, true, kRefused},
    {"guided_json", true, true, kRefused},
    {"guided_regex", true, true, kRefused},
    {"guided_choice", true, true, kRefused},
    {"guided_grammar", true, true, kRefused},
    {"guided_decoding_backend", true, true, kIgnored},
    {"kv_transfer_params", true, true, kRefused, "[{}]"},
    {"return_token_ids", true, true, kRefused, "[false]"},
    {"return_tokens_as_token_ids", true, true, kRefused, "[false]"},
    {"return_prompt_text", true, true, kRefused, "[false]"},
    {"vllm_xargs", true, true, kRefused, "[{}]"},
    // The other route's `echo` means another thing here.
    {"echo", true, false, kRefused, "[false]"},
});

}  // namespace

std::span<const OpenAiField> OpenAiFields() { return kFields; }

Status CheckUnsupported(const Json& body, OpenAiRoute route) {
  for (const OpenAiField& field : kFields) {
    const bool is_here = route == OpenAiRoute::kChat ? field.in_chat : field.in_completion;
    if (field.use != FieldUse::kRefused || !is_here) continue;
    const Json* value = FindMember(body, field.name);
    if (value == nullptr) continue;
    const Json harmless = Json::parse(field.harmless);
    if (std::find(harmless.begin(), harmless.end(), *value) != harmless.end()) continue;
    const std::string name(field.name);
    return InvalidArgument("The parameter '" + name + "' is not supported with this value.", name,
                           "unsupported_parameter");
  }
  return {};
}

}  // namespace runahead

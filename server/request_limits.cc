#include "server/request_limits.h"

#include <algorithm>
#include <array>
#include <limits>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>

namespace runahead {
namespace {

// NaN fails every comparison, so it fails here too. The words are those of the JSON reader's own
// checks.
template <typename T>
Status InRange(T value, T low, T high, const char* name) {
  if (value >= low && value <= high) return {};
  std::ostringstream text;
  text << "'" << name << "' must be " << (std::is_integral_v<T> ? "an integer" : "a number")
       << " from " << low << " to " << high << ".";
  return InvalidArgument(text.str(), name);
}

Status AtLeast(int value, int low, const char* name) {
  return InRange(value, low, std::numeric_limits<int>::max(), name);
}

Status CheckTokenIds(const std::vector<int32_t>& ids, const ServedModel& model, const char* name) {
  const int vocab_size = model.engine->config().vocab_size;
  const auto bad =
      std::ranges::find_if(ids, [&](int32_t id) { return id < 0 || id >= vocab_size; });
  if (bad == ids.end()) return {};
  return InvalidArgument(std::string(name) + " holds " + std::to_string(*bad) +
                             ", which is no token id: the vocabulary has " +
                             std::to_string(vocab_size),
                         name);
}

Status CheckLogitBias(const SamplingParams& sampling, const ServedModel& model) {
  if (sampling.logit_bias.size() > kMaxLogitBias) {
    return InvalidArgument("logit_bias has more than " + std::to_string(kMaxLogitBias) + " entries",
                           "logit_bias");
  }
  for (const auto& [token, bias] : sampling.logit_bias) {
    RA_RETURN_IF_ERROR(CheckTokenIds({token}, model, "logit_bias"));
    RA_RETURN_IF_ERROR(InRange(bias, -100.0f, 100.0f, "logit_bias"));
  }
  return {};
}

Status CheckSampling(const SamplingParams& sampling, const ServedModel& model) {
  RA_RETURN_IF_ERROR(InRange(sampling.temperature, 0.0f, 2.0f, "temperature"));
  RA_RETURN_IF_ERROR(InRange(sampling.top_p, 0.0f, 1.0f, "top_p"));
  RA_RETURN_IF_ERROR(InRange(sampling.min_p, 0.0f, 1.0f, "min_p"));
  RA_RETURN_IF_ERROR(AtLeast(sampling.top_k, 0, "top_k"));
  RA_RETURN_IF_ERROR(InRange(sampling.presence_penalty, -2.0f, 2.0f, "presence_penalty"));
  RA_RETURN_IF_ERROR(InRange(sampling.frequency_penalty, -2.0f, 2.0f, "frequency_penalty"));
  RA_RETURN_IF_ERROR(InRange(sampling.repetition_penalty, 0.01f, 100.0f, "repetition_penalty"));
  RA_RETURN_IF_ERROR(InRange(sampling.num_logprobs, -1, kMaxTopLogprobs, "top_logprobs"));
  RA_RETURN_IF_ERROR(InRange(sampling.num_prompt_logprobs, -1, kMaxTopLogprobs, "prompt_logprobs"));
  RA_RETURN_IF_ERROR(CheckLogitBias(sampling, model));
  RA_RETURN_IF_ERROR(CheckTokenIds(sampling.allowed_token_ids, model, "allowed_token_ids"));
  return CheckTokenIds(sampling.banned_token_ids, model, "banned_token_ids");
}

Status CheckStops(const GenerationRequest& request, const ServedModel& model) {
  if (request.stop.size() > kMaxStopStrings) {
    return InvalidArgument("stop has " + std::to_string(request.stop.size()) +
                               " strings; the limit is " + std::to_string(kMaxStopStrings),
                           "stop");
  }
  size_t bytes = 0;
  for (const std::string& text : request.stop) {
    if (text.empty()) return InvalidArgument("stop holds an empty string", "stop");
    bytes += text.size();
  }
  if (bytes > kMaxStopBytes) {
    return InvalidArgument(
        "the stop strings together exceed " + std::to_string(kMaxStopBytes) + " bytes", "stop");
  }
  return CheckTokenIds(request.stop_token_ids, model, "stop_token_ids");
}

Status CheckSpeculation(const SpeculationRequest& request) {
  if (request.max_tokens) {
    return InRange(*request.max_tokens, 0, kMaxDrafts, "speculation.max_tokens");
  }
  if (request.mode != SpeculationMode::kFixed) return {};
  return InvalidArgument("'speculation.max_tokens' is required with the mode fixed.",
                         "speculation.max_tokens");
}

std::string At(size_t index, const char* field) {
  return "messages[" + std::to_string(index) + "]." + field;
}

}  // namespace

void ApplyDefaults(const SamplingDefaults& defaults, SamplingParams& sampling) {
  sampling.temperature = defaults.temperature;
  sampling.top_p = defaults.top_p;
  sampling.top_k = defaults.top_k;
  sampling.repetition_penalty = defaults.repetition_penalty;
}

Status CheckRanges(const GenerationRequest& request, const ServedModel& model) {
  RA_RETURN_IF_ERROR(CheckSampling(request.sampling, model));
  RA_RETURN_IF_ERROR(InRange(request.num_choices, 1, kMaxChoices, "n"));
  if (request.max_tokens.has_value()) {
    const bool scores_prompt = request.echo || request.sampling.num_prompt_logprobs >= 0;
    RA_RETURN_IF_ERROR(AtLeast(*request.max_tokens, scores_prompt ? 0 : 1, "max_tokens"));
  }
  RA_RETURN_IF_ERROR(AtLeast(request.min_tokens, 0, "min_tokens"));
  if (request.max_tokens.has_value() && request.min_tokens > *request.max_tokens) {
    return InvalidArgument("min_tokens is more than max_tokens", "min_tokens");
  }
  RA_RETURN_IF_ERROR(CheckSpeculation(request.speculation));
  return CheckStops(request, model);
}

Status CheckMessages(const nlohmann::ordered_json& messages) {
  constexpr std::array<std::string_view, 6> kRoles = {"system",    "developer", "user",
                                                      "assistant", "tool",      "function"};
  if (!messages.is_array() || messages.empty()) {
    return InvalidArgument("messages must be an array of at least one message", "messages");
  }
  if (messages.size() > kMaxMessages) {
    return InvalidArgument("messages has more than " + std::to_string(kMaxMessages) + " entries",
                           "messages");
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    const auto& message = messages[i];
    if (!message.is_object()) {
      return InvalidArgument("a message must be an object", "messages[" + std::to_string(i) + "]");
    }
    const auto role = message.find("role");
    if (role == message.end() || !role->is_string()) {
      return InvalidArgument("a message needs a role", At(i, "role"));
    }
    if (std::ranges::find(kRoles, role->get_ref<const std::string&>()) == kRoles.end()) {
      return InvalidArgument("unknown role '" + role->get<std::string>() +
                                 "': system, developer, user, assistant and tool are known",
                             At(i, "role"));
    }
  }
  return {};
}

}  // namespace runahead

#include "server/openai_parse.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <utility>

#include "server/json_fields.h"
#include "server/request_limits.h"

namespace runahead {
namespace {

constexpr int kMaxInt = std::numeric_limits<int>::max();
constexpr size_t kMaxTokenIds = 1'000'000;
constexpr size_t kMaxLabelBytes = 4096;  // request ids, salts

void ReadLogitBias(FieldReader& fields, SamplingParams& sampling) {
  const Json* bias = fields.Object("logit_bias");
  if (bias == nullptr) return;
  std::map<int32_t, float> by_id;
  for (const auto& [key, value] : bias->items()) {
    int32_t id = -1;
    const char* end = key.data() + key.size();
    const auto parsed = std::from_chars(key.data(), end, id);
    if (parsed.ec != std::errc() || parsed.ptr != end || id < 0) {
      return fields.Fail("logit_bias", "must have token ids as keys");
    }
    const double number = value.is_number() ? value.get<double>() : 1e9;
    if (!(number >= -100 && number <= 100)) {
      return fields.Fail("logit_bias", "must have numbers from -100 to 100 as values");
    }
    by_id[id] = static_cast<float>(number);
  }
  sampling.logit_bias.assign(by_id.begin(), by_id.end());
}

std::vector<int32_t> SortedUnique(std::vector<int32_t> ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

void ReadSampling(FieldReader& fields, const SamplingDefaults& defaults, GenerationRequest& out) {
  SamplingParams& sampling = out.sampling;
  const auto number = [&](std::string_view name, double min, double max, float otherwise) {
    const std::optional<double> value = fields.Number(name, min, max);
    return value ? static_cast<float>(*value) : otherwise;
  };
  sampling.temperature = number("temperature", 0, 2, defaults.temperature);
  // OpenAI allows top_p 0, which leaves the most likely token alone, as any tiny mass does.
  sampling.top_p = std::max(number("top_p", 0, 1, defaults.top_p), 1e-6f);
  sampling.top_k = std::max(fields.Int("top_k", -1, kMaxInt).value_or(defaults.top_k), 0);
  sampling.min_p = number("min_p", 0, 1, 0);
  sampling.repetition_penalty =
      number("repetition_penalty", 0.01, 100, defaults.repetition_penalty);
  sampling.presence_penalty = number("presence_penalty", -2, 2, 0);
  sampling.frequency_penalty = number("frequency_penalty", -2, 2, 0);
  ReadLogitBias(fields, sampling);
  const Json* allowed = fields.Find("allowed_token_ids");
  sampling.allowed_token_ids = SortedUnique(fields.TokenIds("allowed_token_ids", kMaxTokenIds));
  if (allowed != nullptr && sampling.allowed_token_ids.empty()) {
    fields.Fail("allowed_token_ids", "must not be empty");
  }
  sampling.banned_token_ids = SortedUnique(fields.TokenIds("banned_token_ids", kMaxTokenIds));
  sampling.num_prompt_logprobs = fields.Int("prompt_logprobs", 0, kMaxTopLogprobs).value_or(-1);
  const Json* seed = fields.Find("seed");
  if (seed != nullptr && seed->is_number_unsigned()) {
    out.seed = seed->get<uint64_t>();
  } else if (seed != nullptr) {
    const auto value = fields.Integer("seed", std::numeric_limits<int64_t>::min(),
                                      std::numeric_limits<int64_t>::max());
    if (value) out.seed = static_cast<uint64_t>(*value);
  }
}

void ReadStop(FieldReader& fields, GenerationRequest& out) {
  if (const Json* stop = fields.Find("stop")) {
    const Json list = stop->is_string() ? Json::array({*stop}) : *stop;
    if (!list.is_array()) return fields.Fail("stop", "must be a string or an array of strings");
    if (list.size() > kMaxStopStrings) {
      return fields.Fail("stop",
                         "must have at most " + std::to_string(kMaxStopStrings) + " strings");
    }
    size_t total = 0;
    for (const Json& item : list) {
      if (!item.is_string()) return fields.Fail("stop", "must hold strings only");
      total += item.get_ref<const std::string&>().size();
      if (!item.get_ref<const std::string&>().empty()) out.stop.push_back(item);
    }
    if (total > kMaxStopBytes) {
      return fields.Fail("stop",
                         "must have at most " + std::to_string(kMaxStopBytes) + " bytes in all");
    }
  }
  out.stop_token_ids = fields.TokenIds("stop_token_ids", 1024);
  out.include_stop_in_output = fields.Bool("include_stop_str_in_output").value_or(false);
  out.ignore_eos = fields.Bool("ignore_eos").value_or(false);
  out.skip_special_tokens = fields.Bool("skip_special_tokens").value_or(true);
}

void ReadLengths(FieldReader& fields, OpenAiRequest& out) {
  GenerationRequest& base = out.base;
  base.num_choices = fields.Int("n", 1, kMaxChoices).value_or(1);
  if (out.route == OpenAiRoute::kChat) {
    base.max_tokens = fields.Int("max_tokens", 1, kMaxInt);
    const std::optional<int> newer = fields.Int("max_completion_tokens", 1, kMaxInt);
    if (newer) base.max_tokens = newer;
  } else {
    base.max_tokens = fields.Int("max_tokens", 0, kMaxInt).value_or(16);
  }
  base.min_tokens = fields.Int("min_tokens", 0, kMaxInt).value_or(0);
  if (base.max_tokens && base.min_tokens > *base.max_tokens) {
    fields.Fail("min_tokens", "must not exceed max_tokens");
  }
  base.priority = fields.Int("priority", -kMaxInt, kMaxInt).value_or(0);
}

void ReadLogprobs(FieldReader& fields, OpenAiRequest& out) {
  if (out.route == OpenAiRoute::kCompletion) {
    const std::optional<int> num = fields.Int("logprobs", 0, kMaxTopLogprobs);
    out.wants_logprobs = num.has_value();
    out.base.sampling.num_logprobs = num.value_or(-1);
    return;
  }
  out.wants_logprobs = fields.Bool("logprobs").value_or(false);
  const std::optional<int> top = fields.Int("top_logprobs", 0, kMaxTopLogprobs);
  if (top.value_or(0) > 0 && !out.wants_logprobs) {
    fields.Fail("top_logprobs", "needs 'logprobs' to be true");
  }
  out.base.sampling.num_logprobs = out.wants_logprobs ? top.value_or(0) : -1;
}

void ReadStream(FieldReader& fields, OpenAiRequest& out) {
  out.stream = fields.Bool("stream").value_or(false);
  const Json* options = fields.Object("stream_options");
  if (options == nullptr) return;
  if (!out.stream) return fields.Fail("stream_options", "needs 'stream' to be true");
  FieldReader inner(*options, "stream_options.");
  out.include_usage = inner.Bool("include_usage").value_or(false);
  out.continuous_usage_stats = inner.Bool("continuous_usage_stats").value_or(false);
  static_cast<void>(inner.Bool("include_obfuscation"));
  if (!inner.status().ok()) fields.Fail("stream_options", "has a member of a wrong type");
}

void ReadSpeculation(FieldReader& fields, SpeculationRequest& out) {
  const Json* object = fields.Object("speculation");
  if (object == nullptr) return;
  FieldReader inner(*object, "speculation.");
  if (const auto mode = inner.String("mode", kMaxLabelBytes)) {
    out.mode = *mode == "auto"    ? SpeculationMode::kAuto
               : *mode == "off"   ? SpeculationMode::kOff
               : *mode == "fixed" ? std::optional(SpeculationMode::kFixed)
                                  : std::nullopt;
    if (!out.mode) inner.Fail("mode", "must be auto, off or fixed");
  }
  out.max_tokens = inner.Int("max_tokens", 0, kMaxDrafts);
  out.include_usage = inner.Bool("include_usage").value_or(false);
  out.include_drafter = inner.Bool("include_drafter").value_or(false);
  fields.Fail(inner.status());
}

// {"type": "content", "content": "text" or [{"type": "text", "text": ".."}, ..]}; parts are one
// text.
std::optional<std::string> ReadPrediction(FieldReader& fields) {
  const Json* object = fields.Object("prediction");
  if (object == nullptr) return std::nullopt;
  const auto fail = [&](const std::string& name, const char* what) {
    fields.Fail("prediction." + name, what);
    return std::nullopt;
  };
  const Json* type = FindMember(*object, "type");
  if (type == nullptr || *type != "content") return fail("type", "must be \"content\"");
  const Json* content = FindMember(*object, "content");
  if (content == nullptr) return fail("content", "is required");
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array() || content->empty()) {
    return fail("content", "must be a string or an array of text parts");
  }
  std::string text;
  for (size_t i = 0; i < content->size(); ++i) {
    const Json& part = (*content)[i];
    const Json* part_type = part.is_object() ? FindMember(part, "type") : nullptr;
    const Json* part_text = part.is_object() ? FindMember(part, "text") : nullptr;
    const bool is_text = part_type != nullptr && *part_type == "text" && part_text != nullptr &&
                         part_text->is_string();
    if (!is_text) return fail("content[" + std::to_string(i) + "]", "must be a text part");
    text += part_text->get_ref<const std::string&>();
  }
  return text;
}

void ReadLabels(FieldReader& fields, OpenAiRequest& out) {
  out.request_id = fields.String("request_id", kMaxLabelBytes).value_or("");
  out.base.cache_salt = fields.String("cache_salt", kMaxLabelBytes).value_or("");
  out.timeout_seconds = fields.Number("timeout", 0, 1e7);
}

// One prompt of /v1/completions: text, or an array of ids.
void AddPrompt(FieldReader& fields, const Json& item, bool add_special, OpenAiRequest& out) {
  if (item.is_string()) {
    out.prompts.emplace_back(TextPrompt{item.get<std::string>(), add_special});
    return;
  }
  TokenPrompt tokens;
  for (const Json& id : item) {
    const std::optional<int64_t> value = AsInteger(id);
    if (!value || *value < 0 || *value > kMaxInt) {
      return fields.Fail("prompt", "must hold token ids that are integers from 0");
    }
    tokens.ids.push_back(static_cast<int32_t>(*value));
  }
  out.prompts.emplace_back(std::move(tokens));
}

void ReadCompletionPrompts(FieldReader& fields, OpenAiRequest& out) {
  const bool add_special = fields.Bool("add_special_tokens").value_or(true);
  const Json* prompt = fields.Find("prompt");
  if (prompt == nullptr) return fields.Fail("prompt", "is required");
  const bool is_one =
      prompt->is_string() || (prompt->is_array() && !prompt->empty() && (*prompt)[0].is_number());
  if (is_one) return AddPrompt(fields, *prompt, add_special, out);
  if (!prompt->is_array() || prompt->empty()) {
    return fields.Fail("prompt", "must be a string, an array of strings, or token ids");
  }
  if (prompt->size() * static_cast<size_t>(out.base.num_choices) >
      static_cast<size_t>(kMaxChoices)) {
    return fields.Fail("prompt", "must not ask for more than " + std::to_string(kMaxChoices) +
                                     " choices over all prompts");
  }
  const bool are_strings = (*prompt)[0].is_string();
  for (const Json& item : *prompt) {
    if (are_strings ? !item.is_string() : !item.is_array()) {
      return fields.Fail("prompt", "must hold strings only, or arrays of token ids only");
    }
    AddPrompt(fields, item, add_special, out);
  }
}

Status ReadChatPrompt(FieldReader& fields, const Json& body, OpenAiRequest& out) {
  ChatPrompt prompt;
  RA_ASSIGN_OR_RETURN(prompt.messages, ParseMessages(body));
  prompt.add_generation_prompt = fields.Bool("add_generation_prompt").value_or(true);
  // What the caller hands the template by name wins over what we hand it.
  const Json* kwargs = fields.Object("chat_template_kwargs");
  prompt.template_kwargs = kwargs != nullptr ? *kwargs : Json::object();
  const auto hand_over = [&](const char* name, const Json& value) {
    if (!prompt.template_kwargs.contains(name)) prompt.template_kwargs[name] = value;
  };
  if (const auto effort = fields.String("reasoning_effort", kMaxLabelBytes)) {
    hand_over("reasoning_effort", *effort);
  }
  if (const Json* documents = fields.Find("documents")) {
    if (!documents->is_array()) fields.Fail("documents", "must be an array");
    hand_over("documents", *documents);
  }
  out.prompts.emplace_back(std::move(prompt));
  return {};
}

}  // namespace

Result<std::string> ParseModelName(const Json& body) {
  if (!body.is_object()) return InvalidArgument("The request body must be a JSON object.");
  FieldReader fields(body);
  std::optional<std::string> name = fields.String("model", kMaxLabelBytes);
  if (fields.status().ok() && !name) fields.Fail("model", "is required");
  if (!fields.status().ok()) return fields.status();
  return *std::move(name);
}

Result<OpenAiRequest> ParseOpenAiRequest(const Json& body, OpenAiRoute route,
                                         const SamplingDefaults& defaults) {
  OpenAiRequest out;
  out.route = route;
  RA_ASSIGN_OR_RETURN(out.base.model, ParseModelName(body));
  RA_RETURN_IF_ERROR(CheckUnsupported(body, route));
  FieldReader fields(body);
  ReadSampling(fields, defaults, out.base);
  ReadStop(fields, out.base);
  ReadLengths(fields, out);
  ReadLogprobs(fields, out);
  ReadStream(fields, out);
  ReadLabels(fields, out);
  ReadSpeculation(fields, out.base.speculation);
  out.prediction = ReadPrediction(fields);
  if (route == OpenAiRoute::kChat) {
    RA_RETURN_IF_ERROR(ReadChatPrompt(fields, body, out));
  } else {
    out.base.echo = fields.Bool("echo").value_or(false);
    ReadCompletionPrompts(fields, out);
    // Echoed tokens show the logprobs the generated ones do.
    if (out.base.echo && out.wants_logprobs && out.base.sampling.num_prompt_logprobs < 0) {
      out.base.sampling.num_prompt_logprobs = out.base.sampling.num_logprobs;
    }
  }
  out.wants_prompt_logprobs = fields.Find("prompt_logprobs") != nullptr;
  if (out.wants_prompt_logprobs && out.stream) {
    fields.Fail("prompt_logprobs", "cannot be streamed");
  }
  if (!fields.status().ok()) return fields.status();
  return out;
}

}  // namespace runahead

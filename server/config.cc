#include "server/config.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>

#include "nlohmann/json.hpp"

namespace runahead {
namespace {

using Json = nlohmann::ordered_json;

template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <typename... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

// "a", "b" or "c"
std::string ListOfWords(std::string_view words) {
  std::string out = "\"" + std::string(words) + "\"";
  for (size_t at = 0; (at = out.find(' ', at)) != std::string::npos; at += 4) {
    const bool is_last = out.find(' ', at + 1) == std::string::npos;
    out.replace(at, 1, is_last ? "\" or \"" : "\", \"");
    if (is_last) break;
  }
  return out;
}

bool IsWordOf(std::string_view word, std::string_view words) {
  while (!words.empty()) {
    const size_t end = std::min(words.find(' '), words.size());
    if (words.substr(0, end) == word) return true;
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return false;
}

Status Complain(const Setting& setting, const std::string& source, const std::string& what) {
  return InvalidArgument(source + " must be " + what, std::string(setting.key));
}

Status SetInteger(const Setting& setting, int64_t value, const std::string& source,
                  ServeConfig& config) {
  if (value < setting.low || value > setting.high) {
    return Complain(setting, source,
                    "from " + std::to_string(setting.low) + " to " + std::to_string(setting.high) +
                        ", not " + std::to_string(value));
  }
  if (const auto* field = std::get_if<int ServeConfig::*>(&setting.field)) {
    config.** field = static_cast<int>(value);
  } else {
    config.*std::get<int64_t ServeConfig::*>(setting.field) = value;
  }
  return {};
}

Status SetString(const Setting& setting, std::string value, const std::string& source,
                 ServeConfig& config) {
  if (!setting.choices.empty() && !IsWordOf(value, setting.choices)) {
    return Complain(setting, source, ListOfWords(setting.choices) + ", not \"" + value + "\"");
  }
  config.*std::get<std::string ServeConfig::*>(setting.field) = std::move(value);
  return {};
}

Status SetList(const Setting& setting, std::vector<std::string> items, const std::string& source,
               ServeConfig& config) {
  for (const std::string& item : items) {
    if (!setting.choices.empty() && !IsWordOf(item, setting.choices)) {
      return Complain(setting, source,
                      "a list of " + ListOfWords(setting.choices) + ", not \"" + item + "\"");
    }
  }
  config.*std::get<std::vector<std::string> ServeConfig::*>(setting.field) = std::move(items);
  return {};
}

Status SetFromJson(const Setting& setting, const Json& value, const std::string& source,
                   ServeConfig& config) {
  const auto wrong_type = [&] {
    return Complain(setting, source,
                    "of type " + std::string(TypeName(setting)) + ", not " + value.type_name());
  };
  return std::visit(
      Overloaded{
          [&](std::string ServeConfig::*) {
            return value.is_string() ? SetString(setting, value.get<std::string>(), source, config)
                                     : wrong_type();
          },
          [&](bool ServeConfig::*field) {
            if (!value.is_boolean()) return wrong_type();
            config.*field = value.get<bool>();
            return Status();
          },
          [&](std::vector<std::string> ServeConfig::*) {
            if (!value.is_array()) return wrong_type();
            std::vector<std::string> items;
            for (const Json& item : value) {
              if (!item.is_string()) return Complain(setting, source, "a list of strings");
              items.push_back(item.get<std::string>());
            }
            return SetList(setting, std::move(items), source, config);
          },
          [&](auto) {  // both integers
            if (!value.is_number_integer()) return wrong_type();
            const bool fits = !value.is_number_unsigned() || value.get<uint64_t>() <= INT64_MAX;
            return SetInteger(setting, fits ? value.get<int64_t>() : INT64_MAX, source, config);
          }},
      setting.field);
}

Status UnknownKey(const std::string& source, const std::string& key) {
  const auto nearest = NearestKey(key);
  const std::string hint = nearest ? "; did you mean '" + *nearest + "'?" : "";
  return InvalidArgument(source + ": unknown key '" + key.substr(0, 80) + "'" + hint, key);
}

// Whether settings' keys begin with "key.".
bool IsSection(const std::string& key) {
  return std::ranges::any_of(
      ServeSettings(), [&](const Setting& setting) { return setting.key.starts_with(key + "."); });
}

// `prefix` goes before the object's keys: empty, or a section's "speculative.".
Status SetMembers(const Json& object, const std::string& prefix, const std::string& source,
                  ServeConfig& config) {
  for (const auto& item : object.items()) {
    const std::string key = prefix + item.key();
    if (item.value().is_object() && IsSection(key)) {
      RA_RETURN_IF_ERROR(SetMembers(item.value(), key + ".", source, config));
      continue;
    }
    const Setting* setting = FindSetting(key);
    if (setting == nullptr) return UnknownKey(source, key);
    RA_RETURN_IF_ERROR(SetFromJson(*setting, item.value(), source + ": '" + key + "'", config));
  }
  return {};
}

std::optional<bool> ParseBoolean(std::string_view text) {
  if (IsWordOf(text, "true 1 yes on")) return true;
  if (IsWordOf(text, "false 0 no off")) return false;
  return std::nullopt;
}

std::vector<std::string> SplitAtCommas(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    if (end > 0) items.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return items;
}

Status CheckDrafters(const ServeConfig& config) {
  const auto names = [&](const char* word) {
    return std::ranges::find(config.drafters, word) != config.drafters.end();
  };
  if (names("none") && config.drafters.size() > 1) {
    return InvalidArgument("speculative.drafters: \"none\" stands alone", "speculative.drafters");
  }
  if (names("model") && config.draft_model.empty()) {
    return InvalidArgument(
        "speculative.drafters names \"model\", but no draft model is set: name its directory with "
        "--draft-model",
        "speculative.drafters");
  }
  return {};
}

}  // namespace

Status ApplyJson(std::string_view json, const std::string& source, ServeConfig& config) {
  constexpr bool kNoExceptions = false;
  constexpr bool kComments = true;
  const Json document = Json::parse(json, nullptr, kNoExceptions, kComments);
  if (document.is_discarded()) return InvalidArgument(source + " is not valid JSON");
  if (!document.is_object()) return InvalidArgument(source + " must hold one JSON object");
  ServeConfig changed = config;  // all of it or nothing
  RA_RETURN_IF_ERROR(SetMembers(document, "", source, changed));
  config = std::move(changed);
  return {};
}

Status ApplyConfigFile(const std::string& path, ServeConfig& config) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Status(StatusCode::kNotFound, "cannot read the configuration " + path);
  const std::string json(std::istreambuf_iterator<char>(file), {});
  return ApplyJson(json, path, config);
}

Status ApplyText(const Setting& setting, const std::string& text, const std::string& source,
                 ServeConfig& config) {
  return std::visit(
      Overloaded{
          [&](std::string ServeConfig::*) { return SetString(setting, text, source, config); },
          [&](bool ServeConfig::*field) {
            const auto value = ParseBoolean(text);
            if (!value) return Complain(setting, source, "true or false, not \"" + text + "\"");
            config.*field = *value;
            return Status();
          },
          [&](std::vector<std::string> ServeConfig::*) {
            return SetList(setting, SplitAtCommas(text), source, config);
          },
          [&](auto) {
            int64_t value = 0;
            const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
            if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) {
              return Complain(setting, source, "an integer, not \"" + text + "\"");
            }
            return SetInteger(setting, value, source, config);
          }},
      setting.field);
}

Status ApplyEnvironment(const EnvironmentLookup& lookup, ServeConfig& config) {
  for (const Setting& setting : ServeSettings()) {
    const std::string name = EnvironmentName(setting);
    if (const char* text = lookup(name.c_str())) {
      RA_RETURN_IF_ERROR(ApplyText(setting, text, name, config));
    }
  }
  return {};
}

Status CheckConfig(const ServeConfig& config) {
  if (config.model.empty()) {
    return InvalidArgument("no model: name a checkpoint directory with --model", "model");
  }
  if (config.tls_cert_file.empty() != config.tls_key_file.empty()) {
    return InvalidArgument("TLS needs both tls_cert_file and tls_key_file", "tls_cert_file");
  }
  if (config.max_num_batched_tokens < config.max_num_seqs) {
    return InvalidArgument(
        "max_num_batched_tokens (" + std::to_string(config.max_num_batched_tokens) +
            ") must not be below max_num_seqs (" + std::to_string(config.max_num_seqs) +
            "): every running sequence needs a token a step",
        "max_num_batched_tokens");
  }
  if (config.num_kv_blocks > 0 && config.kv_cache_bytes > 0) {
    return InvalidArgument("num_kv_blocks and kv_cache_bytes say the same: give one of them",
                           "num_kv_blocks");
  }
  return CheckDrafters(config);
}

}  // namespace runahead

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "server/openai_parse.h"
#include "server/request_limits.h"

namespace runahead {
namespace {

constexpr std::array<std::string_view, 6> kRoles = {"system",    "developer", "user",
                                                    "assistant", "tool",      "function"};

Status Wrong(const std::string& param, std::string_view what) {
  return InvalidArgument("'" + param + "' " + std::string(what) + ".", param);
}

// The text of one content part; only text can be run.
Result<std::string> PartText(const Json& part, const std::string& param) {
  if (!part.is_object()) return Wrong(param, "must be an object with a 'type'");
  const Json* type = FindMember(part, "type");
  if (type == nullptr || !type->is_string()) return Wrong(param + ".type", "must be a string");
  const auto& name = type->get_ref<const std::string&>();
  if (name != "text" && name != "refusal" && name != "input_text") {
    return InvalidArgument(
        "Content parts of type '" + name + "' are not supported by this model: only text is.",
        param + ".type", "unsupported_parameter");
  }
  const char* member = name == "refusal" ? "refusal" : "text";
  const Json* text = FindMember(part, member);
  if (text == nullptr || !text->is_string()) {
    return Wrong(param + "." + member, "must be a string");
  }
  return text->get<std::string>();
}

Result<std::string> ContentText(const Json& content, const std::string& param) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) return Wrong(param, "must be a string or an array of content parts");
  std::string text;
  for (size_t i = 0; i < content.size(); ++i) {
    RA_ASSIGN_OR_RETURN(const std::string part,
                        PartText(content[i], param + "[" + std::to_string(i) + "]"));
    if (i > 0) text += "\n";
    text += part;
  }
  return text;
}

// Templates print arguments with `tojson`, so they want the object and not the string clients send.
Result<Json> ParseToolCalls(const Json& calls, const std::string& param) {
  if (!calls.is_array()) return Wrong(param, "must be an array");
  Json parsed = calls;
  for (size_t i = 0; i < parsed.size(); ++i) {
    const std::string at = param + "[" + std::to_string(i) + "]";
    if (!parsed[i].is_object()) return Wrong(at, "must be an object");
    const auto function = parsed[i].find("function");
    if (function == parsed[i].end()) continue;
    if (!function->is_object()) return Wrong(at + ".function", "must be an object");
    const auto arguments = function->find("arguments");
    if (arguments == function->end() || !arguments->is_string()) continue;
    Result<Json> value = ParseJsonBody(arguments->get_ref<const std::string&>());
    if (value.ok() && value->is_object()) *arguments = std::move(*value);
  }
  return parsed;
}

Result<Json> ParseMessage(const Json& message, const std::string& param) {
  if (!message.is_object()) return Wrong(param, "must be an object");
  const Json* role = FindMember(message, "role");
  if (role == nullptr || !role->is_string()) return Wrong(param + ".role", "must be a string");
  const auto& name = role->get_ref<const std::string&>();
  if (std::find(kRoles.begin(), kRoles.end(), name) == kRoles.end()) {
    return InvalidArgument("Unknown role '" + name +
                               "': expected system, developer, user, assistant, tool or function.",
                           param + ".role");
  }
  Json out = Json::object();
  out["role"] = name == "developer" ? "system" : name;
  const Json* content = FindMember(message, "content");
  const Json* calls = FindMember(message, "tool_calls");
  if (content != nullptr) {
    RA_ASSIGN_OR_RETURN(out["content"], ContentText(*content, param + ".content"));
  } else if (name == "assistant" && (calls != nullptr || FindMember(message, "function_call"))) {
    out["content"] = nullptr;
  } else {
    return Wrong(param + ".content", "is required");
  }
  if (calls != nullptr) {
    RA_ASSIGN_OR_RETURN(out["tool_calls"], ParseToolCalls(*calls, param + ".tool_calls"));
  }
  for (const char* member : {"name", "tool_call_id", "reasoning_content"}) {
    const Json* value = FindMember(message, member);
    if (value == nullptr) continue;
    if (!value->is_string()) return Wrong(param + "." + member, "must be a string");
    out[member] = *value;
  }
  return out;
}

}  // namespace

Result<Json> ParseMessages(const Json& body) {
  const Json* messages = FindMember(body, "messages");
  if (messages == nullptr) return Wrong("messages", "is required");
  if (!messages->is_array() || messages->empty()) {
    return Wrong("messages", "must be an array of at least one message");
  }
  if (messages->size() > kMaxMessages) {
    return Wrong("messages", "must have at most " + std::to_string(kMaxMessages) + " messages");
  }
  Json out = Json::array();
  for (size_t i = 0; i < messages->size(); ++i) {
    RA_ASSIGN_OR_RETURN(Json message,
                        ParseMessage((*messages)[i], "messages[" + std::to_string(i) + "]"));
    out.push_back(std::move(message));
  }
  return out;
}

}  // namespace runahead

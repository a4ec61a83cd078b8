#include "text/chat_template.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "text/jinja/from_json.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"

namespace runahead {
namespace {

using Json = nlohmann::ordered_json;

std::optional<std::string> ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The tokens a template may name, as variables: a string each, as transformers' special_tokens_map.
Json TokenVariables(const Json& config) {
  constexpr const char* kNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};
  Json variables = Json::object();
  for (const char* name : kNames) {
    const auto found = config.find(name);
    if (found == config.end()) continue;
    if (found->is_string()) variables[name] = *found;
    if (found->is_object() && found->contains("content") && (*found)["content"].is_string()) {
      variables[name] = (*found)["content"];  // an AddedToken written out
    }
  }
  const auto additional = config.find("additional_special_tokens");
  if (additional == config.end() || !additional->is_array()) return variables;
  Json tokens = Json::array();
  for (const Json& token : *additional) {
    if (token.is_string()) tokens.push_back(token);
    if (token.is_object() && token.contains("content")) tokens.push_back(token["content"]);
  }
  variables["additional_special_tokens"] = std::move(tokens);
  return variables;
}

struct Sources {
  std::optional<std::string> by_default;
  std::optional<std::string> for_tools;
};

Sources ReadConfigTemplates(const Json& config) {
  Sources sources;
  const auto found = config.find("chat_template");
  if (found == config.end()) return sources;
  if (found->is_string()) sources.by_default = found->get<std::string>();
  if (!found->is_array()) return sources;
  for (const Json& entry : *found) {
    if (!entry.is_object() || !entry.contains("name") || !entry.contains("template")) continue;
    if (!entry["template"].is_string()) continue;
    if (entry["name"] == "default") sources.by_default = entry["template"].get<std::string>();
    if (entry["name"] == "tool_use") sources.for_tools = entry["template"].get<std::string>();
  }
  return sources;
}

}  // namespace

struct ChatTemplate::Compiled {
  jinja::Template by_default;
  std::optional<jinja::Template> for_tools;  // "tool_use", taken when a request brings tools
  Json variables = Json::object();           // bos_token, ...
};

ChatTemplate::ChatTemplate(std::unique_ptr<const Compiled> compiled)
    : compiled_(std::move(compiled)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::Parse(std::string_view source) {
  auto compiled = std::make_unique<Compiled>();
  RA_ASSIGN_OR_RETURN(compiled->by_default, jinja::Parse(source));
  return ChatTemplate(std::move(compiled));
}

Result<ChatTemplate> ChatTemplate::Load(const std::string& directory) {
  const std::filesystem::path root(directory);
  Json config = Json::object();
  const std::filesystem::path config_path = root / "tokenizer_config.json";
  if (const auto text = ReadFile(config_path)) {
    config = Json::parse(*text, nullptr, false);
    if (!config.is_object()) {
      return InvalidArgument(config_path.string() + " is not a JSON object");
    }
  }
  Sources sources = ReadConfigTemplates(config);
  if (auto text = ReadFile(root / "chat_template.jinja")) sources.by_default = std::move(*text);
  if (!sources.by_default) {
    return Status(StatusCode::kNotFound, "no chat template in " + directory);
  }
  auto compiled = std::make_unique<Compiled>();
  const auto explain = [&](const Status& status) {
    return InvalidArgument("the chat template of " + directory + ": " + status.message());
  };
  Result<jinja::Template> by_default = jinja::Parse(*sources.by_default);
  if (!by_default.ok()) return explain(by_default.status());
  compiled->by_default = std::move(*by_default);
  if (sources.for_tools) {
    Result<jinja::Template> for_tools = jinja::Parse(*sources.for_tools);
    if (!for_tools.ok()) return explain(for_tools.status());
    compiled->for_tools = std::move(*for_tools);
  }
  compiled->variables = TokenVariables(config);
  return ChatTemplate(std::move(compiled));
}

Result<std::string> ChatTemplate::Render(const Json& messages, const Options& options) const {
  const bool has_tools = !options.tools.is_null();
  const jinja::Template& source =
      has_tools && compiled_->for_tools ? *compiled_->for_tools : compiled_->by_default;
  jinja::Runtime runtime(jinja::Limits{}, options.now_unix_seconds);
  jinja::Interpreter interpreter(source, runtime);
  const auto set_all = [&](const Json& object) {
    for (const auto& item : object.items()) {
      interpreter.SetVariable(item.key(), jinja::FromJson(runtime, item.value()));
    }
  };
  set_all(compiled_->variables);
  interpreter.SetVariable("messages", jinja::FromJson(runtime, messages));
  interpreter.SetVariable("tools", jinja::FromJson(runtime, options.tools));
  interpreter.SetVariable("documents", jinja::FromJson(runtime, options.documents));
  interpreter.SetVariable("add_generation_prompt", jinja::Value(options.add_generation_prompt));
  if (options.extra.is_object()) set_all(options.extra);
  std::string text = interpreter.Render();
  RA_RETURN_IF_ERROR(runtime.status());
  return text;
}

}  // namespace runahead

// ChatTemplate: messages to the prompt text, by the checkpoint's own Jinja template. Immutable.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "nlohmann/json.hpp"

#include "core/status.h"

namespace runahead {

// Thread-safe after Parse.
class ChatTemplate {
 public:
  // Compiles Jinja source; an error names line and construct.
  static Result<ChatTemplate> Parse(std::string_view source);

  // Reads chat_template from <directory>/chat_template.jinja, else tokenizer_config.json (a string,
  // or a list of {name, template}, whose "default" is taken), with bos_token / eos_token and the
  // other named tokens as variables. kNotFound when the checkpoint has none.
  static Result<ChatTemplate> Load(const std::string& directory);

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  struct Options {
    bool add_generation_prompt = true;
    nlohmann::ordered_json tools;      // array or null
    nlohmann::ordered_json documents;  // array or null
    nlohmann::ordered_json extra;      // chat_template_kwargs: object or null; overrides the rest
    int64_t now_unix_seconds = 0;      // what strftime_now formats
  };

  // The prompt text for `messages` (an array of {role, content, ...} objects, keys in their order).
  // What the template itself raises (`raise_exception`) is kInvalidArgument with its message.
  Result<std::string> Render(const nlohmann::ordered_json& messages, const Options& options) const;

 private:
  struct Compiled;
  explicit ChatTemplate(std::unique_ptr<const Compiled> compiled);
  std::unique_ptr<const Compiled> compiled_;
};

}  // namespace runahead

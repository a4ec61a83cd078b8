// NamePattern: a set of module names as compressed-tensors writes it. Immutable; thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/status.h"

namespace runahead {

// "model.layers.0.mlp.up_proj" names one module, "re:.*mlp.*" every module whose name the regular
// expression matches from its first character on (Python's re.match), "Linear" a class of modules.
// A word is both a name and a class; "re:" is never a class.
class NamePattern {
 public:
  // kInvalidArgument where the expression does not compile.
  static Result<NamePattern> Parse(const std::string& text);

  const std::string& text() const { return text_; }
  bool is_regex() const { return code_ != nullptr; }
  bool MatchesClass(std::string_view name) const { return !is_regex() && text_ == name; }
  // kInvalidArgument where the search takes more steps than an honest expression needs.
  Result<bool> MatchesName(std::string_view name) const;

 private:
  explicit NamePattern(std::string text) : text_(std::move(text)) {}
  std::string text_;
  std::shared_ptr<const void> code_;  // shared by copies: compiled once, never changed
};

}  // namespace runahead

// Jinja source to tokens, with trim_blocks and lstrip_blocks on, as Hugging Face sets them. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace runahead::jinja {

enum class TokenKind {
  kData,           // text between the tags, white space control applied
  kBlockBegin,     // {%
  kBlockEnd,       // %}
  kVariableBegin,  // {{
  kVariableEnd,    // }}
  kName,
  kString,   // escapes resolved
  kInteger,  // digits as written, underscores dropped
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int line = 1;
  std::string text;
};

// Always ends with one kEnd. Errors name the line.
Result<std::vector<Token>> Tokenize(std::string_view source);

// A string literal's body with Python's escapes resolved, or what is wrong with it.
Result<std::string> UnescapeLiteral(std::string_view body);

}  // namespace runahead::jinja

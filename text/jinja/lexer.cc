#include "text/jinja/lexer.h"

#include <algorithm>
#include <optional>

#include "text/jinja/characters.h"
#include "text/utf8.h"

namespace runahead::jinja {
namespace {

constexpr auto kNone = std::string_view::npos;

// "\n" for every kind of line end; one at the very end is dropped, as Jinja does.
std::string NormalizeNewlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out.push_back(source[i]);
      continue;
    }
    out.push_back('\n');
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

bool IsDigitByte(char c) { return c >= '0' && c <= '9'; }

bool IsWordByte(char c) {
  return IsDigitByte(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source)
      : source_(utf8::ReplaceInvalid(NormalizeNewlines(source))) {}

  Result<std::vector<Token>> Run() {
    while (at_ < source_.size() && !failed_) LexRoot();
    if (failed_) return InvalidArgument("line " + std::to_string(line_) + ": " + error_);
    Emit(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  std::string_view Rest() const { return std::string_view(source_).substr(at_); }
  bool Looking(std::string_view text) const { return Rest().starts_with(text); }

  void Fail(std::string error) {
    if (!failed_) error_ = std::move(error);
    failed_ = true;
  }

  void Emit(TokenKind kind, std::string_view text) {
    tokens_.push_back({kind, line_, std::string(text)});
  }

  // Moves past `count` bytes, counting lines.
  void Advance(size_t count) {
    const std::string_view passed = Rest().substr(0, count);
    line_ += static_cast<int>(std::count(passed.begin(), passed.end(), '\n'));
    at_ += count;
  }

  void SkipSpace() { Advance(Rest().size() - StripLeft(Rest()).size()); }

  // The text before a tag, cut as the tag's sign asks.
  std::string_view CutBeforeTag(std::string_view text, char sign, bool is_variable) const {
    if (sign == '-') return StripRight(text);
    if (sign == '+' || is_variable) return text;
    const size_t newline = text.rfind('\n');
    const bool begins_line = newline != kNone || at_ == 0 || source_[at_ - 1] == '\n';
    if (!begins_line) return text;
    const size_t line_begin = newline == kNone ? 0 : newline + 1;
    return StripLeft(text.substr(line_begin)).empty() ? text.substr(0, line_begin) : text;
  }

  void EmitData(std::string_view text, size_t num_bytes_passed) {
    if (!text.empty()) Emit(TokenKind::kData, text);
    Advance(num_bytes_passed);
  }

  static char SignOf(std::string_view text) {
    return !text.empty() && (text[0] == '-' || text[0] == '+') ? text[0] : '\0';
  }

  // Text up to the next tag, and the tag.
  void LexRoot() {
    const std::string_view rest = Rest();
    size_t open = 0;
    while ((open = rest.find('{', open)) != kNone) {
      const char next = open + 1 < rest.size() ? rest[open + 1] : '\0';
      if (next == '{' || next == '%' || next == '#') break;
      ++open;
    }
    if (open == kNone) return EmitData(rest, rest.size());
    const char type = rest[open + 1];
    const char sign = SignOf(rest.substr(open + 2));
    const std::string_view text = CutBeforeTag(rest.substr(0, open), sign, type == '{');
    const size_t raw_length = type == '%' ? RawTagLength(rest.substr(open)) : 0;
    EmitData(text, open);
    if (raw_length > 0) {
      Advance(raw_length);
      return LexRaw();
    }
    Advance(sign == '\0' ? 2 : 3);
    if (type == '#') return LexComment();
    Emit(type == '{' ? TokenKind::kVariableBegin : TokenKind::kBlockBegin, "");
    LexTag(type == '{');
  }

  // The length of "{%- name -%}" with its white space, 0 when that is not what `text` begins with.
  // `trims`: "%}" takes a newline along, "-%}" all white space.
  size_t NamedTagLength(std::string_view text, std::string_view name, bool trims) const {
    size_t at = 2;
    if (SignOf(text.substr(at)) != '\0') ++at;
    const auto skip_space = [&] { at = text.size() - StripLeft(text.substr(at)).size(); };
    skip_space();
    if (!text.substr(at).starts_with(name)) return 0;
    at += name.size();
    skip_space();
    const std::string_view end = text.substr(at);
    if (end.starts_with("-%}")) {
      at += 3;
      skip_space();
      return at;
    }
    if (trims && end.starts_with("+%}")) return at + 3;
    if (!end.starts_with("%}")) return 0;
    at += 2;
    return trims && text.substr(at).starts_with("\n") ? at + 1 : at;
  }

  size_t RawTagLength(std::string_view text) const { return NamedTagLength(text, "raw", false); }

  void LexRaw() {
    const std::string_view rest = Rest();
    for (size_t open = rest.find("{%"); open != kNone; open = rest.find("{%", open + 1)) {
      const size_t length = NamedTagLength(rest.substr(open), "endraw", true);
      if (length == 0) continue;
      const char sign = SignOf(rest.substr(open + 2));
      EmitData(CutBeforeTag(rest.substr(0, open), sign, false), open);
      return Advance(length);
    }
    Fail("the raw block has no end");
  }

  void LexComment() {
    const size_t end = Rest().find("#}");
    if (end == kNone) return Fail("the comment has no end");
    const char sign = end > 0 ? Rest()[end - 1] : '\0';
    Advance(end + 2);
    if (sign == '-') return SkipSpace();
    if (sign != '+' && Looking("\n")) Advance(1);
  }

  // True when the tag's end was there and was consumed.
  bool LexTagEnd(bool is_variable) {
    if (!open_brackets_.empty()) return false;
    const std::string_view end = is_variable ? "}}" : "%}";
    const bool strips = Looking("-") && Rest().substr(1).starts_with(end);
    const bool keeps = !is_variable && Looking("+") && Rest().substr(1).starts_with(end);
    if (!strips && !keeps && !Looking(end)) return false;
    Emit(is_variable ? TokenKind::kVariableEnd : TokenKind::kBlockEnd, "");
    Advance(strips || keeps ? 3 : 2);
    if (strips) SkipSpace();
    if (!strips && !keeps && !is_variable && Looking("\n")) Advance(1);
    return true;
  }

  void LexTag(bool is_variable) {
    open_brackets_.clear();
    while (!failed_) {
      SkipSpace();
      if (at_ >= source_.size()) return Fail("the tag has no end");
      if (LexTagEnd(is_variable)) return;
      const char c = source_[at_];
      if (IsDigitByte(c)) {
        LexNumber();
      } else if (IsWordByte(c)) {
        LexName();
      } else if (c == '"' || c == '\'') {
        LexString(c);
      } else {
        LexOperator();
      }
    }
  }

  void LexName() {
    size_t end = 0;
    while (end < Rest().size() && IsWordByte(Rest()[end])) ++end;
    Emit(TokenKind::kName, Rest().substr(0, end));
    Advance(end);
  }

  // Digits with single underscores between them, from `at` on; appended to `digits`.
  size_t TakeDigits(size_t at, std::string& digits, bool (*is_digit)(char)) const {
    const std::string_view rest = Rest();
    while (at < rest.size()) {
      const bool joins =
          rest[at] == '_' && !digits.empty() && at + 1 < rest.size() && is_digit(rest[at + 1]);
      if (!is_digit(rest[at]) && !joins) break;
      if (!joins) digits.push_back(rest[at]);
      ++at;
    }
    return at;
  }

  void LexNumber() {
    const std::string_view rest = Rest();
    const char prefix =
        rest.size() > 2 && rest[0] == '0' ? static_cast<char>(rest[1] | 0x20) : '\0';
    if (prefix == 'x' || prefix == 'o' || prefix == 'b') return LexPrefixed();
    std::string digits;
    size_t at = TakeDigits(0, digits, IsDigitByte);
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';  // messages.0.role
    bool is_float = false;
    const auto digit_at = [&](size_t i) { return i < rest.size() && IsDigitByte(rest[i]); };
    if (!after_dot && at < rest.size() && rest[at] == '.' && digit_at(at + 1)) {
      is_float = true;
      digits.push_back('.');
      at = TakeDigits(at + 1, digits, IsDigitByte);
    }
    const bool has_exponent = !after_dot && at < rest.size() && (rest[at] | 0x20) == 'e';
    const size_t sign =
        has_exponent && at + 1 < rest.size() && (rest[at + 1] == '-' || rest[at + 1] == '+') ? 1
                                                                                             : 0;
    if (has_exponent && digit_at(at + 1 + sign)) {
      is_float = true;
      digits.push_back('e');
      if (sign != 0 && rest[at + 1] == '-') digits.push_back('-');
      at = TakeDigits(at + 1 + sign, digits, IsDigitByte);
    }
    Emit(is_float ? TokenKind::kFloat : TokenKind::kInteger, digits);
    Advance(at);
  }

  // 0x1f, 0o17, 0b101
  void LexPrefixed() {
    std::string digits(Rest().substr(0, 2));
    const size_t at = TakeDigits(2, digits, [](char c) {
      return IsDigitByte(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    });
    Emit(TokenKind::kInteger, digits);
    Advance(at);
  }

  void LexString(char quote) {
    const std::string_view rest = Rest();
    size_t end = 1;
    while (end < rest.size() && rest[end] != quote) end += rest[end] == '\\' ? 2 : 1;
    if (end >= rest.size()) return Fail("the string has no end");
    Result<std::string> text = UnescapeLiteral(rest.substr(1, end - 1));
    if (!text.ok()) return Fail(text.status().message());
    Emit(TokenKind::kString, *text);
    Advance(end + 1);
  }

  void LexOperator() {
    constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                               "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                               ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
    for (const std::string_view op : kOperators) {
      if (!Looking(op)) continue;
      if (!Balance(op[0])) return;
      Emit(TokenKind::kOperator, op);
      return Advance(op.size());
    }
    Fail("unexpected character '" + std::string(FirstCharacter(Rest())) + "'");
  }

  // Tracks brackets: inside them "}}" closes dicts, not the tag.
  bool Balance(char c) {
    if (c == '{' || c == '(' || c == '[') {
      open_brackets_.push_back(c == '{' ? '}' : c == '(' ? ')' : ']');
    } else if (c == '}' || c == ')' || c == ']') {
      if (open_brackets_.empty() || open_brackets_.back() != c) {
        Fail(std::string("unexpected '") + c + "'");
        return false;
      }
      open_brackets_.pop_back();
    }
    return true;
  }

  const std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  std::string open_brackets_;  // the closing brackets still to come
  std::vector<Token> tokens_;
  bool failed_ = false;
  std::string error_;
};

std::optional<char32_t> ParseDigits(std::string_view digits, int base) {
  char32_t value = 0;
  for (const char c : digits) {
    const int digit = IsDigitByte(c)                           ? c - '0'
                      : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                               : 99;
    if (digit >= base) return std::nullopt;
    value = value * static_cast<char32_t>(base) + static_cast<char32_t>(digit);
  }
  return value;
}

// Resolves the escape whose backslash is gone; returns how many bytes it took, 0 on an error.
size_t Unescape(std::string_view rest, std::string& out) {
  constexpr std::string_view kLetters = "\\'\"abfnrtv";
  constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
  const char c = rest[0];
  if (c == '\n') return 1;  // a continued line
  if (const size_t known = kLetters.find(c); known != kNone) {
    out.push_back(kMeanings[known]);
    return 1;
  }
  if (c >= '0' && c <= '7') {
    size_t length = 1;
    while (length < 3 && length < rest.size() && rest[length] >= '0' && rest[length] <= '7')
      ++length;
    utf8::Append(*ParseDigits(rest.substr(0, length), 8), out);
    return length;
  }
  const size_t num_digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  if (num_digits == 0) {
    out.push_back('\\');  // no escape: both characters stay
    return c == 'N' ? 0 : (out.append(FirstCharacter(rest)), FirstCharacter(rest).size());
  }
  if (rest.size() < num_digits + 1) return 0;
  const auto code = ParseDigits(rest.substr(1, num_digits), 16);
  if (!code || *code > 0x10FFFF) return 0;
  utf8::Append(*code, out);
  return num_digits + 1;
}

}  // namespace

Result<std::string> UnescapeLiteral(std::string_view body) {
  std::string out;
  while (!body.empty()) {
    const size_t backslash = std::min(body.find('\\'), body.size());
    out.append(body.substr(0, backslash));
    body.remove_prefix(backslash);
    if (body.empty()) break;
    body.remove_prefix(1);
    const size_t length = body.empty() ? 0 : Unescape(body, out);
    if (length == 0) return InvalidArgument("the string has a malformed or unsupported escape");
    body.remove_prefix(length);
  }
  return out;
}

Result<std::vector<Token>> Tokenize(std::string_view source) { return Lexer(source).Run(); }

}  // namespace runahead::jinja

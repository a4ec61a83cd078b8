#include "text/jinja/text_ops.h"

#include <cctype>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>

#include "text/jinja/characters.h"
#include "text/jinja/format.h"
#include "text/utf8.h"

namespace runahead::jinja {
namespace {

// True when the character `c` (its bytes) is one of `set`.
bool IsInSet(std::string_view c, std::string_view set) {
  return set.find(c) != std::string_view::npos;
}

}  // namespace

Value StripText(Runtime& runtime, std::string_view text, StripSide side, const Value& characters) {
  const bool white_space = characters.IsNone() || characters.IsUndefined();
  if (!white_space && !characters.IsString()) return runtime.Fail("strip() takes a string");
  if (!runtime.StepText(text.size())) return Value();
  const std::string_view set = white_space ? std::string_view() : characters.text();
  const auto drops = [&](std::string_view c) {
    return white_space ? IsSpace(CodePointOf(c)) : IsInSet(c, set);
  };
  size_t num_dropped = 0;
  while (side != StripSide::kRight && !text.empty() && drops(FirstCharacter(text))) {
    text.remove_prefix(FirstCharacter(text).size());
    ++num_dropped;
  }
  while (side != StripSide::kLeft && !text.empty() && drops(LastCharacter(text))) {
    text.remove_suffix(LastCharacter(text).size());
    ++num_dropped;
  }
  if (!runtime.StepText(num_dropped * (1 + set.size()))) return Value();
  return runtime.NewString(text);
}

Value ReplaceText(Runtime& runtime, std::string_view text, std::string_view old_text,
                  std::string_view new_text, int64_t count) {
  TextBuilder out(runtime);
  if (count < 0) count = std::numeric_limits<int64_t>::max();
  if (old_text.empty()) {  // before every character and at the end
    for (; !text.empty() && count > 0 && !runtime.failed(); --count) {
      out.Append(new_text);
      const std::string_view first = FirstCharacter(text);
      out.Append(first);
      text.remove_prefix(first.size());
    }
    out.Append(text.empty() && count > 0 ? new_text : text);
    return runtime.NewString(out.Take());
  }
  for (; count > 0 && !runtime.failed(); --count) {
    const size_t at = text.find(old_text);
    if (at == std::string_view::npos) break;
    out.Append(text.substr(0, at));
    out.Append(new_text);
    text.remove_prefix(at + old_text.size());
  }
  out.Append(text);
  return runtime.NewString(out.Take());
}

namespace {

// Bytes of the line end at the start of `text`, 0 when there is none.
size_t LineEndLength(std::string_view text) {
  if (text.substr(0, 2) == "\r\n") return 2;
  const std::string_view first = FirstCharacter(text);
  const char32_t c = CodePointOf(first);
  const bool ends = (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 ||
                    c == 0x2028 || c == 0x2029;
  return ends ? first.size() : 0;
}

}  // namespace

std::vector<std::string_view> SplitLines(std::string_view text) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  size_t at = 0;
  while (at < text.size()) {
    const std::string_view rest = text.substr(at);
    const size_t end_length = LineEndLength(rest);
    if (end_length == 0) {
      at += FirstCharacter(rest).size();
      continue;
    }
    lines.push_back(text.substr(begin, at - begin));
    at += end_length;
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

Value JoinTexts(Runtime& runtime, std::string_view separator, const std::vector<Value>& items,
                bool only_strings) {
  TextBuilder out(runtime);
  bool is_first = true;
  for (const Value& item : items) {
    if (runtime.failed()) break;
    if (only_strings && !item.IsString()) return runtime.Fail("join() takes strings only");
    if (!is_first) out.Append(separator);
    is_first = false;
    AppendStr(item, out);
  }
  return runtime.NewString(out.Take());
}

namespace {

// Without white space at the ends, single underscores between digits, and a plus sign; empty when
// that leaves something Python refuses.
std::string Digits(std::string_view text) {
  const std::string_view stripped = Strip(text);
  std::string digits;
  for (size_t i = 0; i < stripped.size(); ++i) {
    if (stripped[i] != '_') {
      digits.push_back(stripped[i]);
      continue;
    }
    const bool between = i > 0 && i + 1 < stripped.size() &&
                         std::isalnum(static_cast<unsigned char>(stripped[i - 1])) &&
                         std::isalnum(static_cast<unsigned char>(stripped[i + 1]));
    if (!between) return {};
  }
  if (digits.starts_with('+') && !digits.starts_with("+-")) digits.erase(0, 1);
  return digits;
}

}  // namespace

std::optional<int64_t> ParsePythonInt(std::string_view text, int base) {
  std::string digits = Digits(text);
  const bool negative = digits.starts_with('-');
  const size_t start = negative ? 1 : 0;
  const std::string prefix = ToLower(std::string_view(digits).substr(start, 2));
  if ((base == 16 && prefix == "0x") || (base == 8 && prefix == "0o") ||
      (base == 2 && prefix == "0b")) {
    digits.erase(start, 2);
  }
  int64_t value = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  const bool is_whole = parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size();
  return is_whole ? std::optional<int64_t>(value) : std::nullopt;
}

std::optional<double> ParsePythonFloat(std::string_view text) {
  const std::string digits = Digits(text);
  const std::string lower = ToLower(digits);
  if (lower.find('(') != std::string::npos) return std::nullopt;  // from_chars reads "nan(x)"
  double value = 0;
  const auto parsed = std::from_chars(lower.data(), lower.data() + lower.size(), value);
  if (lower.empty() || parsed.ptr != lower.data() + lower.size()) return std::nullopt;
  if (parsed.ec == std::errc::result_out_of_range) return std::strtod(lower.c_str(), nullptr);
  return parsed.ec == std::errc() ? std::optional<double>(value) : std::nullopt;
}

}  // namespace runahead::jinja

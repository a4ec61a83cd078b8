#include "text/jinja/characters.h"

#include <algorithm>

#include "text/jinja/unicode_tables.h"
#include "text/utf8.h"

namespace runahead::jinja {
namespace {

// The last range that begins at or before `code_point`, or nothing that contains it.
template <typename Range>
const Range* FindRange(std::span<const Range> ranges, char32_t code_point) {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), code_point,
                       [](char32_t c, const Range& range) { return c < range.first; });
  if (after == ranges.begin()) return nullptr;
  const Range& range = *(after - 1);
  return code_point <= range.last ? &range : nullptr;
}

// 0 where there is no mapping.
int CaseDelta(std::span<const CaseRange> ranges, char32_t code_point) {
  const CaseRange* range = FindRange(ranges, code_point);
  if (range == nullptr) return 0;
  return (code_point - range->first) % static_cast<char32_t>(range->stride) == 0 ? range->delta : 0;
}

char32_t Shift(char32_t code_point, int delta) {
  return static_cast<char32_t>(static_cast<int64_t>(code_point) + delta);
}

const LongUpper* FindLongUpper(char32_t code_point) {
  const auto table = LongUppers();
  const auto found =
      std::lower_bound(table.begin(), table.end(), code_point,
                       [](const LongUpper& e, char32_t c) { return e.code_point < c; });
  return found != table.end() && found->code_point == code_point ? &*found : nullptr;
}

template <typename Visit>
void ForEachCharacter(std::string_view text, const Visit& visit) {
  while (!text.empty()) {
    const utf8::Step step = utf8::Decode(text);
    visit(step.code_point);
    text.remove_prefix(static_cast<size_t>(step.num_bytes));
  }
}

}  // namespace

bool IsSpace(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x9 && c <= 0xD) || (c >= 0x1C && c <= 0x1F);
  return FindRange(SpaceRanges(), c) != nullptr;
}

bool IsLetter(char32_t c) { return FindRange(LetterRanges(), c) != nullptr; }
bool IsDigit(char32_t c) { return FindRange(DigitRanges(), c) != nullptr; }
bool IsPrintable(char32_t c) { return FindRange(UnprintableRanges(), c) == nullptr; }
bool IsUpper(char32_t c) { return CaseDelta(ToLowerRanges(), c) != 0; }
bool IsLower(char32_t c) {
  return CaseDelta(ToUpperRanges(), c) != 0 || FindLongUpper(c) != nullptr;
}

void AppendUpper(char32_t c, std::string& out) {
  if (const LongUpper* entry = FindLongUpper(c)) {
    for (const char32_t part : entry->upper) {
      if (part != 0) utf8::Append(part, out);
    }
    return;
  }
  utf8::Append(Shift(c, CaseDelta(ToUpperRanges(), c)), out);
}

void AppendLower(char32_t c, std::string& out) {
  utf8::Append(Shift(c, CaseDelta(ToLowerRanges(), c)), out);
}

std::string ToUpper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  ForEachCharacter(text, [&](char32_t c) { AppendUpper(c, out); });
  return out;
}

std::string ToLower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  ForEachCharacter(text, [&](char32_t c) { AppendLower(c, out); });
  return out;
}

std::string Capitalize(std::string_view text) {
  std::string out;
  bool is_first = true;
  ForEachCharacter(text, [&](char32_t c) {
    is_first ? AppendUpper(c, out) : AppendLower(c, out);
    is_first = false;
  });
  return out;
}

std::string TitleCase(std::string_view text) {
  std::string out;
  bool after_cased = false;
  ForEachCharacter(text, [&](char32_t c) {
    after_cased ? AppendLower(c, out) : AppendUpper(c, out);
    after_cased = IsCased(c);
  });
  return out;
}

std::string_view FirstCharacter(std::string_view text) {
  return text.substr(0, static_cast<size_t>(utf8::Decode(text).num_bytes));
}

std::string_view LastCharacter(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) --at;
  return text.substr(at);
}

char32_t CodePointOf(std::string_view character) { return utf8::Decode(character).code_point; }

std::string_view StripLeft(std::string_view text) {
  while (!text.empty()) {
    const std::string_view first = FirstCharacter(text);
    if (!IsSpace(CodePointOf(first))) break;
    text.remove_prefix(first.size());
  }
  return text;
}

std::string_view StripRight(std::string_view text) {
  while (!text.empty()) {
    const std::string_view last = LastCharacter(text);
    if (!IsSpace(CodePointOf(last))) break;
    text.remove_suffix(last.size());
  }
  return text;
}

}  // namespace runahead::jinja

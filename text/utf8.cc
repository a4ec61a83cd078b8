#include "text/utf8.h"

#include <algorithm>

namespace runahead::utf8 {
namespace {

// What the first byte promises: the length of the sequence and the range of its second byte.
struct Lead {
  int length = 0;  // 0: not a first byte
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
};

Lead LeadOf(uint8_t byte) {
  if (byte < 0x80) return {1};
  if (byte < 0xC2) return {0};
  if (byte < 0xE0) return {2};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};  // shorter forms exist below
  if (byte == 0xED) return {3, 0x80, 0x9F};  // surrogates above
  if (byte < 0xF0) return {3};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0};
}

bool IsContinuation(char byte) { return (static_cast<uint8_t>(byte) & 0xC0) == 0x80; }

}  // namespace

Step Decode(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const Lead lead = LeadOf(byte(0));
  if (lead.length == 0) return {};
  if (lead.length == 1) return {byte(0), 1, true, false};
  char32_t code_point = byte(0) & (0x7Fu >> lead.length);
  for (int i = 1; i < lead.length; ++i) {
    const size_t at = static_cast<size_t>(i);
    if (at >= text.size()) return {kReplacement, i, false, true};
    const uint8_t low = i == 1 ? lead.low : 0x80;
    const uint8_t high = i == 1 ? lead.high : 0xBF;
    if (byte(at) < low || byte(at) > high) return {kReplacement, i, false, false};
    code_point = (code_point << 6) | (byte(at) & 0x3Fu);
  }
  return {code_point, lead.length, true, false};
}

void Append(char32_t code_point, std::string& out) {
  if (code_point > 0x10FFFF || (code_point >= 0xD800 && code_point <= 0xDFFF)) {
    code_point = kReplacement;
  }
  const auto push = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    push(code_point);
    return;
  }
  const int length = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
  push((0xF00u >> length & 0xFFu) | code_point >> (6 * (length - 1)));
  for (int i = length - 2; i >= 0; --i) push(0x80u | (code_point >> (6 * i) & 0x3Fu));
}

bool IsAscii(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<uint8_t>(c) >= 0x80; });
}

std::string ReplaceInvalid(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Step step = Decode(text);
    const auto num_bytes = static_cast<size_t>(step.num_bytes);
    if (step.is_valid) {
      out.append(text.substr(0, num_bytes));
    } else {
      Append(kReplacement, out);
    }
    text.remove_prefix(num_bytes);
  }
  return out;
}

size_t CertainLength(std::string_view text) {
  // A sequence has at most four bytes, so only the last three can be a start without an end.
  const size_t reach = std::min<size_t>(text.size(), 3);
  for (size_t back = 1; back <= reach; ++back) {
    const std::string_view tail = text.substr(text.size() - back);
    if (IsContinuation(tail[0])) continue;
    const Step step = Decode(tail);
    const bool whole_tail = static_cast<size_t>(step.num_bytes) == back;
    return step.is_incomplete && whole_tail ? text.size() - back : text.size();
  }
  return text.size();
}

int64_t CountCharacters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return !IsContinuation(c); });
}

size_t OffsetOfCharacter(std::string_view text, int64_t index) {
  for (size_t at = 0; at < text.size(); ++at) {
    if (IsContinuation(text[at])) continue;
    if (index-- == 0) return at;
  }
  return text.size();
}

}  // namespace runahead::utf8

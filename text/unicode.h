// Unicode: UTF-8 in and out, character classes and normalization forms of the tokenizers.
// Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace runahead {

struct Utf8Char {
  uint32_t code;
  size_t num_bytes;
};

// The character that starts at `at`, in text that IsValidUtf8.
Utf8Char DecodeUtf8(std::string_view text, size_t at);

void AppendUtf8(uint32_t code, std::string* out);

bool IsValidUtf8(std::string_view text);

// Each maximal invalid part becomes one U+FFFD, as Unicode recommends and Python and Rust do.
std::string LossyUtf8(std::string_view text);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
std::string NormalizeUnicode(NormalForm form, std::string_view text);

// Per character, without context (a final sigma lowers as any other); U+0130 becomes two
// characters.
std::string LowerUnicode(std::string_view text);

bool IsWhiteSpace(uint32_t code);   // property White_Space
bool IsNumeric(uint32_t code);      // general category N
bool IsPunctuation(uint32_t code);  // ASCII punctuation or general category P
bool IsMark(uint32_t code);         // general category M
bool IsWord(uint32_t code);         // \w of UTS 18: Alphabetic, M, Nd, Pc, Join_Control

}  // namespace runahead

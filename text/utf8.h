// utf8: decoding, counting and errors="replace" as Python does them. Pure functions, thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace runahead::utf8 {

inline constexpr char32_t kReplacement = 0xFFFD;

// One step of decoding.
struct Step {
  char32_t code_point = kReplacement;
  int num_bytes = 1;  // to skip: of an invalid sequence, its longest valid start (at least 1)
  bool is_valid = false;
  bool is_incomplete = false;  // the text ends inside a sequence that more bytes could complete
};

// Decodes the character at `text[0]`; `text` is not empty. Surrogates, overlong forms and values
// above U+10FFFF are invalid, and an invalid sequence is cut as the Unicode standard advises
// ("maximal subpart"), which is what Python and Rust do.
Step Decode(std::string_view text);

// Appends the UTF-8 of `code_point`; surrogates and values above U+10FFFF become U+FFFD.
void Append(char32_t code_point, std::string& out);

bool IsAscii(std::string_view text);

// Every invalid sequence replaced by one U+FFFD.
std::string ReplaceInvalid(std::string_view text);

// Length of the longest start of `text` that no further byte can change: all of it but an
// incomplete last character.
size_t CertainLength(std::string_view text);

// Characters of valid UTF-8.
int64_t CountCharacters(std::string_view text);

// Byte offset of character `index` of valid UTF-8; the end when there are fewer characters.
size_t OffsetOfCharacter(std::string_view text, int64_t index);

}  // namespace runahead::utf8

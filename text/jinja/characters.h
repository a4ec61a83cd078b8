// Characters and case as Python's str sees them. Pure functions over valid UTF-8, thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace runahead::jinja {

bool IsSpace(char32_t code_point);
bool IsLetter(char32_t code_point);
bool IsDigit(char32_t code_point);
bool IsPrintable(char32_t code_point);
bool IsUpper(char32_t code_point);  // has a lower case
bool IsLower(char32_t code_point);  // has an upper case
inline bool IsCased(char32_t code_point) { return IsUpper(code_point) || IsLower(code_point); }

void AppendUpper(char32_t code_point, std::string& out);
void AppendLower(char32_t code_point, std::string& out);

std::string ToUpper(std::string_view text);
std::string ToLower(std::string_view text);
std::string Capitalize(std::string_view text);  // the first character upper, the rest lower
std::string TitleCase(std::string_view text);   // str.title: each run of cased characters

// Without white space at the ends that are named.
std::string_view StripLeft(std::string_view text);
std::string_view StripRight(std::string_view text);
inline std::string_view Strip(std::string_view text) { return StripRight(StripLeft(text)); }

// The first character's bytes, and the last's, of a text that is not empty.
std::string_view FirstCharacter(std::string_view text);
std::string_view LastCharacter(std::string_view text);
char32_t CodePointOf(std::string_view character);

}  // namespace runahead::jinja

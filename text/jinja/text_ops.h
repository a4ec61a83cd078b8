// Text helpers shared by string methods and filters. One render, one thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/runtime.h"

namespace runahead::jinja {

// str.strip of a set of characters, or of white space when `characters` is none or undefined.
enum class StripSide { kBoth, kLeft, kRight };
Value StripText(Runtime& runtime, std::string_view text, StripSide side, const Value& characters);

// str.replace; count < 0 replaces all.
Value ReplaceText(Runtime& runtime, std::string_view text, std::string_view old_text,
                  std::string_view new_text, int64_t count);

// str.splitlines, ends dropped.
std::vector<std::string_view> SplitLines(std::string_view text);

// separator.join(items); every item as str() unless `only_strings`, which then must all be.
Value JoinTexts(Runtime& runtime, std::string_view separator, const std::vector<Value>& items,
                bool only_strings);

// int(text) and float(text) as Python reads them; nothing where it refuses.
std::optional<int64_t> ParsePythonInt(std::string_view text, int base = 10);
std::optional<double> ParsePythonFloat(std::string_view text);

}  // namespace runahead::jinja

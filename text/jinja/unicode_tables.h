// Unicode properties that Python's str methods use, as generated tables. Immutable.
#pragma once

#include <cstdint>
#include <span>

namespace runahead::jinja {

// Every `stride`-th character of [first, last] maps to itself plus `delta`. Tables are ascending.
struct CaseRange {
  char32_t first;
  char32_t last;
  int stride;
  int delta;
};

// A character whose upper case is two or three characters; the unused ones are 0.
struct LongUpper {
  char32_t code_point;
  char32_t upper[3];
};

struct CodePointRange {
  char32_t first;
  char32_t last;
};

std::span<const CaseRange> ToUpperRanges();
std::span<const CaseRange> ToLowerRanges();
std::span<const LongUpper> LongUppers();
std::span<const CodePointRange> LetterRanges();       // str.isalpha
std::span<const CodePointRange> DigitRanges();        // str.isdigit
std::span<const CodePointRange> SpaceRanges();        // str.isspace
std::span<const CodePointRange> UnprintableRanges();  // what repr() escapes, unassigned ones aside

}  // namespace runahead::jinja

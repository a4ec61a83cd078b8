#include "text/jinja/builtins.h"
#include "text/jinja/characters.h"

namespace runahead::jinja {
namespace {

// True when there are characters and all of them satisfy the predicate.
template <bool (*kPredicate)(char32_t)>
Value AllAre(Runtime& runtime, const Value& self, const Bound&) {
  std::string_view rest = self.text();
  if (rest.empty() || !runtime.StepText(rest.size())) return Value(false);
  while (!rest.empty()) {
    const std::string_view first = FirstCharacter(rest);
    if (!kPredicate(CodePointOf(first))) return Value(false);
    rest.remove_prefix(first.size());
  }
  return Value(true);
}

bool IsAlphanumeric(char32_t c) { return IsLetter(c) || IsDigit(c); }
bool IsAsciiCharacter(char32_t c) { return c < 0x80; }

// At least one cased character, and none of the other case.
template <bool kUpper>
Value IsInCase(Runtime& runtime, const Value& self, const Bound&) {
  std::string_view rest = self.text();
  if (!runtime.StepText(rest.size())) return Value(false);
  bool found = false;
  while (!rest.empty()) {
    const std::string_view first = FirstCharacter(rest);
    const char32_t c = CodePointOf(first);
    if (kUpper ? IsLower(c) : IsUpper(c)) return Value(false);
    found = found || IsCased(c);
    rest.remove_prefix(first.size());
  }
  return Value(found);
}

Value IsTitle(Runtime& runtime, const Value& self, const Bound&) {
  if (!runtime.StepText(self.text().size())) return Value(false);
  return Value(TitleCase(self.text()) == self.text() && ToLower(self.text()) != self.text());
}

Value IsIdentifier(Runtime&, const Value& self, const Bound&) {
  std::string_view rest = self.text();
  if (rest.empty() || IsDigit(CodePointOf(rest))) return Value(false);
  while (!rest.empty()) {
    const std::string_view first = FirstCharacter(rest);
    const char32_t c = CodePointOf(first);
    if (!IsAlphanumeric(c) && c != '_') return Value(false);
    rest.remove_prefix(first.size());
  }
  return Value(true);
}

constexpr Builtin kStringPredicates[] = {
    {"isspace", "", 0, AllAre<IsSpace>},          {"isalpha", "", 0, AllAre<IsLetter>},
    {"isdigit", "", 0, AllAre<IsDigit>},          {"isdecimal", "", 0, AllAre<IsDigit>},
    {"isnumeric", "", 0, AllAre<IsDigit>},        {"isalnum", "", 0, AllAre<IsAlphanumeric>},
    {"isascii", "", 0, AllAre<IsAsciiCharacter>}, {"isupper", "", 0, IsInCase<true>},
    {"islower", "", 0, IsInCase<false>},          {"istitle", "", 0, IsTitle},
    {"isidentifier", "", 0, IsIdentifier},
};

}  // namespace

std::span<const Builtin> StringPredicates() { return kStringPredicates; }

}  // namespace runahead::jinja

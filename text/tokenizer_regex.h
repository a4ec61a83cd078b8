// Regex: an Oniguruma pattern, as tokenizer.json holds them, run by PCRE2. Immutable; thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace runahead {

// A stretch of a text that a pattern matched, or the gap between two matches.
struct Stretch {
  size_t begin;  // byte offsets
  size_t end;
  bool is_match;
};

// `pattern` in PCRE2's dialect. The classes that differ (\s, \w, \d, \h) are spelled out by Unicode
// property; what PCRE2 would read as something else (class intersections, nested classes) is
// refused by name.
Result<std::string> OnigurumaToPcre2(std::string_view pattern);

class Regex {
 public:
  static Result<Regex> Compile(std::string_view pattern);

  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  // Appends matches and gaps that together cover `text` (valid UTF-8) in order; nothing for an
  // empty text. From where the engine's limits stop the search, the rest is one gap.
  void FindAll(std::string_view text, std::vector<Stretch>* stretches) const;

 private:
  struct Compiled;
  explicit Regex(std::unique_ptr<const Compiled> compiled);
  std::unique_ptr<const Compiled> compiled_;
};

}  // namespace runahead

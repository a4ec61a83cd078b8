// SentencePieceNormalizer: the character map and the white space rules of a tokenizer.model.
// Immutable.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "text/tokenizer_added_tokens.h"
#include "text/tokenizer_normalizers.h"

namespace runahead {

// The rewriting rules of a precompiled_charsmap: a Darts double array over UTF-8 keys whose values
// are offsets of NUL-terminated strings. Thread-safe. A malformed map rewrites nothing rather than
// reading out of bounds.
class CharacterMap {
 public:
  // `blob`: u32 size of the trie in bytes, the trie, the strings; empty for no rules.
  static Result<CharacterMap> Parse(std::string_view blob);

  struct Rule {
    size_t num_bytes = 0;  // of the text that is replaced; 0: no rule applies
    std::string_view replacement;
  };
  // The longest rule for what starts at `at`.
  Rule Find(std::string_view text, size_t at) const;

 private:
  std::string_view StringAt(uint32_t offset) const;

  std::vector<uint32_t> trie_;
  std::string strings_;
};

struct SentencePieceRules {
  CharacterMap map = {};
  StringTrie user_defined = {};  // left as they are
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
};

NormalizerPtr MakeSentencePieceNormalizer(SentencePieceRules rules);

}  // namespace runahead

// AddedTokens: the tokens that are found in the text itself, before any pre-tokenizer. Immutable.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace runahead {

struct AddedToken {
  std::string content;
  int32_t id = -1;
  bool single_word = false;  // not next to a word character
  bool lstrip = false;       // swallows the white space before it
  bool rstrip = false;       // ... and after it
  bool normalized = false;   // looked for in the normalized text instead of the given one
  bool special = false;      // a decoder may skip it; a text may be forbidden to name it
  std::string pattern;       // what is looked for: the content, normalized where `normalized`
};

// A part of a text: one added token, or text between them.
struct TextSegment {
  size_t begin;  // byte offsets
  size_t end;
  int32_t id;  // -1: text
};

// The longest of a set of strings that starts at a given place. Immutable after the last Add.
class StringTrie {
 public:
  // Of two equal strings the first keeps its value. Empty strings are ignored.
  void Add(std::string_view text, int32_t value);

  struct Match {
    int32_t value = -1;  // -1: no match
    size_t num_bytes = 0;
  };
  Match Longest(std::string_view text, size_t at) const;

  bool empty() const { return edges_.empty(); }

 private:
  std::array<bool, 256> can_start_ = {};
  std::unordered_map<uint64_t, int32_t> edges_;  // node << 8 | byte -> node; the root is node 0
  std::vector<int32_t> values_ = {-1};           // by node
};

// Thread-safe.
class AddedTokens {
 public:
  explicit AddedTokens(std::vector<AddedToken> tokens);

  const std::vector<AddedToken>& tokens() const { return tokens_; }

  // Appends the segments of `text`, empty text segments left out: leftmost longest occurrences of
  // the tokens whose `normalized` is as given. Without `parse_special` special tokens stay text.
  void Split(std::string_view text, bool normalized, bool parse_special,
             std::vector<TextSegment>* segments) const;

 private:
  std::vector<AddedToken> tokens_;
  StringTrie plain_;       // value: index into tokens_
  StringTrie normalized_;  // same
};

}  // namespace runahead

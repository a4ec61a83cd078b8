#include "text/tokenizer_added_tokens.h"

#include <algorithm>
#include <utility>

#include "text/unicode.h"

namespace runahead {
namespace {

uint64_t EdgeKey(int32_t node, char byte) {
  return static_cast<uint64_t>(node) << 8 | static_cast<unsigned char>(byte);
}

// Start of the last character of text[0, end).
size_t PreviousCharacter(std::string_view text, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  return begin;
}

bool TouchesWord(std::string_view text, size_t begin, size_t end) {
  const bool before = begin > 0 && IsWord(DecodeUtf8(text, PreviousCharacter(text, begin)).code);
  const bool after = end < text.size() && IsWord(DecodeUtf8(text, end).code);
  return before || after;
}

size_t SkipSpaceBefore(std::string_view text, size_t end) {
  while (end > 0) {
    const size_t begin = PreviousCharacter(text, end);
    if (!IsWhiteSpace(DecodeUtf8(text, begin).code)) break;
    end = begin;
  }
  return end;
}

size_t SkipSpaceAfter(std::string_view text, size_t at) {
  while (at < text.size()) {
    const Utf8Char c = DecodeUtf8(text, at);
    if (!IsWhiteSpace(c.code)) break;
    at += c.num_bytes;
  }
  return at;
}

}  // namespace

void StringTrie::Add(std::string_view text, int32_t value) {
  if (text.empty()) return;
  can_start_[static_cast<unsigned char>(text.front())] = true;
  int32_t node = 0;
  for (const char byte : text) {
    const auto [it, is_new] =
        edges_.emplace(EdgeKey(node, byte), static_cast<int32_t>(values_.size()));
    if (is_new) values_.push_back(-1);
    node = it->second;
  }
  int32_t& slot = values_[static_cast<size_t>(node)];
  if (slot < 0) slot = value;
}

StringTrie::Match StringTrie::Longest(std::string_view text, size_t at) const {
  Match longest;
  if (!can_start_[static_cast<unsigned char>(text[at])]) return longest;
  int32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    const auto it = edges_.find(EdgeKey(node, text[i]));
    if (it == edges_.end()) break;
    node = it->second;
    if (const int32_t value = values_[static_cast<size_t>(node)]; value >= 0) {
      longest = {value, i + 1 - at};
    }
  }
  return longest;
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    StringTrie& trie = tokens_[i].normalized ? normalized_ : plain_;
    trie.Add(tokens_[i].pattern, static_cast<int32_t>(i));
  }
}

void AddedTokens::Split(std::string_view text, bool normalized, bool parse_special,
                        std::vector<TextSegment>* segments) const {
  const StringTrie& trie = normalized ? normalized_ : plain_;
  size_t covered = 0;
  for (size_t at = 0; at < text.size() && !trie.empty();) {
    const StringTrie::Match match = trie.Longest(text, at);
    if (match.value < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<size_t>(match.value)];
    size_t begin = at;
    size_t end = at + match.num_bytes;
    at = end;  // also where the token is turned down: what it covers is not searched again
    if (token.special && !parse_special) continue;
    if (token.single_word && TouchesWord(text, begin, end)) continue;
    if (token.lstrip) begin = std::max(SkipSpaceBefore(text, begin), covered);
    if (token.rstrip) end = SkipSpaceAfter(text, end);
    if (covered < begin) segments->push_back({covered, begin, -1});
    segments->push_back({begin, end, token.id});
    covered = end;
  }
  if (covered < text.size()) segments->push_back({covered, text.size(), -1});
}

}  // namespace runahead

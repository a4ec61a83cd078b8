#include "text/sentencepiece_normalizer.h"

#include <cstring>
#include <utility>

#include "text/unicode.h"

namespace runahead {
namespace {

constexpr std::string_view kSpaceSymbol = "\xE2\x96\x81";  // U+2581

// A unit of Darts-clone's double array (darts.h: DoubleArrayUnit).
bool HasLeaf(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t Value(uint32_t unit) { return unit & 0x7FFFFFFFu; }
uint32_t Label(uint32_t unit) { return unit & (0x80000000u | 0xFFu); }
uint32_t Offset(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }

bool IsCharacterBoundary(std::string_view text, size_t at) {
  return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
}

// As sentencepiece's Normalizer::Normalize.
class SentencePieceNormalizer final : public Normalizer {
 public:
  explicit SentencePieceNormalizer(SentencePieceRules rules) : rules_(std::move(rules)) {}

  void Apply(NormalizedText* text) const override {
    const std::string_view input = text->text;
    std::string out;
    out.reserve(input.size() + input.size() / 2);
    const std::string_view space = rules_.escape_whitespaces ? kSpaceSymbol : " ";
    size_t at = 0;
    if (rules_.remove_extra_whitespaces) {
      while (at < input.size()) {
        const Step step = Rewrite(input, at);
        if (step.output != " ") break;
        at += step.num_bytes;
      }
    }
    if (at == input.size()) {
      text->text.clear();
      return;
    }
    if (rules_.add_dummy_prefix) out.append(space);
    bool after_space = rules_.remove_extra_whitespaces;
    while (at < input.size()) {
      Step step = Rewrite(input, at);
      at += step.num_bytes;
      while (after_space && step.output.starts_with(' ')) step.output.remove_prefix(1);
      if (step.output.empty()) continue;
      for (const char c : step.output) {
        if (c == ' ') {
          out.append(space);
        } else {
          out.push_back(c);
        }
      }
      after_space = rules_.remove_extra_whitespaces && step.output.ends_with(' ');
    }
    while (rules_.remove_extra_whitespaces && out.ends_with(space)) {
      out.resize(out.size() - space.size());
    }
    text->text = std::move(out);
  }

 private:
  struct Step {
    size_t num_bytes;
    std::string_view output;
  };

  Step Rewrite(std::string_view input, size_t at) const {
    const StringTrie::Match user_defined = rules_.user_defined.Longest(input, at);
    if (user_defined.value >= 0) {
      return {user_defined.num_bytes, input.substr(at, user_defined.num_bytes)};
    }
    const CharacterMap::Rule rule = rules_.map.Find(input, at);
    if (rule.num_bytes > 0) return {rule.num_bytes, rule.replacement};
    const size_t num_bytes = DecodeUtf8(input, at).num_bytes;
    return {num_bytes, input.substr(at, num_bytes)};
  }

  SentencePieceRules rules_;
};

}  // namespace

Result<CharacterMap> CharacterMap::Parse(std::string_view blob) {
  CharacterMap map;
  if (blob.empty()) return map;
  uint32_t trie_bytes = 0;
  if (blob.size() < sizeof(trie_bytes)) {
    return InvalidArgument("tokenizer.model: precompiled_charsmap is truncated");
  }
  std::memcpy(&trie_bytes, blob.data(), sizeof(trie_bytes));  // little-endian, as our machines
  blob.remove_prefix(sizeof(trie_bytes));
  if (trie_bytes > blob.size() || trie_bytes % sizeof(uint32_t) != 0) {
    return InvalidArgument("tokenizer.model: precompiled_charsmap has a trie of " +
                           std::to_string(trie_bytes) + " bytes in " + std::to_string(blob.size()));
  }
  map.trie_.resize(trie_bytes / sizeof(uint32_t));
  if (trie_bytes > 0) std::memcpy(map.trie_.data(), blob.data(), trie_bytes);
  map.strings_ = std::string(blob.substr(trie_bytes));
  return map;
}

std::string_view CharacterMap::StringAt(uint32_t offset) const {
  const size_t end = strings_.find('\0', offset);
  return std::string_view(strings_).substr(offset, end - offset);
}

CharacterMap::Rule CharacterMap::Find(std::string_view text, size_t at) const {
  Rule longest;
  if (trie_.empty()) return longest;
  uint32_t node = Offset(trie_[0]);
  for (size_t i = at; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    node ^= byte;
    if (node >= trie_.size() || Label(trie_[node]) != byte) break;
    const uint32_t unit = trie_[node];
    node ^= Offset(unit);
    if (!HasLeaf(unit) || node >= trie_.size()) continue;
    const uint32_t offset = Value(trie_[node]);
    // What is not UTF-8 would break every later stage, so such a rule does not count.
    if (offset >= strings_.size() || !IsCharacterBoundary(text, i + 1)) continue;
    const std::string_view replacement = StringAt(offset);
    if (IsValidUtf8(replacement)) longest = {i + 1 - at, replacement};
  }
  return longest;
}

NormalizerPtr MakeSentencePieceNormalizer(SentencePieceRules rules) {
  return std::make_unique<SentencePieceNormalizer>(std::move(rules));
}

}  // namespace runahead

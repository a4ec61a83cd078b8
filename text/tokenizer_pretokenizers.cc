#include "text/tokenizer_pretokenizers.h"

#include <optional>
#include <utility>

#include "text/tokenizer_byte_level.h"
#include "text/unicode.h"

namespace runahead {
namespace {

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

class ByteLevel final : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, std::optional<Regex> regex)
      : add_prefix_space_(add_prefix_space), regex_(std::move(regex)) {}

  void Apply(PieceList* list) const override {
    if (add_prefix_space_) {
      RewritePieces(
          [](bool, std::string_view view, std::string* out) {
            if (!view.starts_with(' ')) out->push_back(' ');
            out->append(view);
          },
          list);
    }
    if (regex_) {
      SplitPieces([this](std::string_view view,
                         std::vector<Stretch>* stretches) { regex_->FindAll(view, stretches); },
                  false, SplitBehavior::kIsolated, list);
    }
    RewritePieces([](bool, std::string_view view, std::string* out) { AppendByteLevel(view, out); },
                  list);
  }

 private:
  bool add_prefix_space_;
  std::optional<Regex> regex_;
};

class Split final : public PreTokenizer {
 public:
  Split(Pattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void Apply(PieceList* list) const override {
    SplitPieces([this](std::string_view view,
                       std::vector<Stretch>* stretches) { pattern_.FindAll(view, stretches); },
                invert_, behavior_, list);
  }

 private:
  Pattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

class Metaspace final : public PreTokenizer {
 public:
  Metaspace(std::string replacement, PrependScheme scheme, bool split)
      : replacement_(std::move(replacement)), scheme_(scheme), split_(split) {}

  void Apply(PieceList* list) const override {
    RewritePieces([this](bool at_origin, std::string_view view,
                         std::string* out) { Rewrite(at_origin, view, out); },
                  list);
    if (split_) {
      SplitPieces(
          [this](std::string_view view, std::vector<Stretch>* stretches) {
            FindLiteral(view, replacement_, stretches);
          },
          false, SplitBehavior::kMergedWithNext, list);
    }
  }

 private:
  void Rewrite(bool at_origin, std::string_view view, std::string* out) const {
    const bool may_prepend =
        scheme_ == PrependScheme::kAlways || (scheme_ == PrependScheme::kFirst && at_origin);
    if (may_prepend && !view.starts_with(' ') && !view.starts_with(replacement_)) {
      out->append(replacement_);
    }
    for (const char c : view) {
      if (c == ' ') {
        out->append(replacement_);
      } else {
        out->push_back(c);
      }
    }
  }

  std::string replacement_;
  PrependScheme scheme_;
  bool split_;
};

// Splits at characters of a class.
class CharacterSplit final : public PreTokenizer {
 public:
  CharacterSplit(bool (*is_match)(uint32_t), SplitBehavior behavior)
      : is_match_(is_match), behavior_(behavior) {}

  void Apply(PieceList* list) const override {
    SplitPieces(
        [this](std::string_view view, std::vector<Stretch>* stretches) {
          FindCharacters(view, is_match_, stretches);
        },
        false, behavior_, list);
  }

 private:
  bool (*is_match_)(uint32_t);
  SplitBehavior behavior_;
};

// Runs of word characters and runs of other characters that are no space: \w+|[^\w\s]+
void FindWords(std::string_view text, std::vector<Stretch>* stretches) {
  enum Class { kWord, kOther, kSpace };
  const auto class_of = [](uint32_t code) {
    return IsWord(code) ? kWord : IsWhiteSpace(code) ? kSpace : kOther;
  };
  for (size_t at = 0; at < text.size();) {
    const Class first = class_of(DecodeUtf8(text, at).code);
    size_t end = at;
    while (end < text.size()) {
      const Utf8Char c = DecodeUtf8(text, end);
      if (class_of(c.code) != first) break;
      end += c.num_bytes;
    }
    stretches->push_back({at, end, first != kSpace});
    at = end;
  }
}

class Whitespace final : public PreTokenizer {
 public:
  void Apply(PieceList* list) const override {
    SplitPieces(FindWords, /*invert=*/true, SplitBehavior::kRemoved, list);
  }
};

class Bert final : public PreTokenizer {
 public:
  void Apply(PieceList* list) const override {
    CharacterSplit(IsWhiteSpace, SplitBehavior::kRemoved).Apply(list);
    CharacterSplit(IsPunctuation, SplitBehavior::kIsolated).Apply(list);
  }
};

}  // namespace

Result<PreTokenizerPtr> MakeByteLevelPreTokenizer(bool add_prefix_space, bool use_regex) {
  std::optional<Regex> regex;
  if (use_regex) {
    RA_ASSIGN_OR_RETURN(regex, Regex::Compile(kGpt2Pattern));
  }
  return PreTokenizerPtr(std::make_unique<ByteLevel>(add_prefix_space, std::move(regex)));
}

PreTokenizerPtr MakeSplit(Pattern pattern, SplitBehavior behavior, bool invert) {
  return std::make_unique<Split>(std::move(pattern), behavior, invert);
}

PreTokenizerPtr MakeMetaspacePreTokenizer(std::string replacement, PrependScheme scheme,
                                          bool split) {
  return std::make_unique<Metaspace>(std::move(replacement), scheme, split);
}

PreTokenizerPtr MakeDigits(bool individual) {
  return std::make_unique<CharacterSplit>(
      IsNumeric, individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
}

PreTokenizerPtr MakePunctuation(SplitBehavior behavior) {
  return std::make_unique<CharacterSplit>(IsPunctuation, behavior);
}

PreTokenizerPtr MakeWhitespaceSplit() {
  return std::make_unique<CharacterSplit>(IsWhiteSpace, SplitBehavior::kRemoved);
}

PreTokenizerPtr MakeWhitespace() { return std::make_unique<Whitespace>(); }

PreTokenizerPtr MakeBertPreTokenizer() { return std::make_unique<Bert>(); }

}  // namespace runahead

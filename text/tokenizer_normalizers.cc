#include "text/tokenizer_normalizers.h"

#include <utility>

#include "text/tokenizer_byte_level.h"

namespace runahead {
namespace {

class UnicodeNormalizer final : public Normalizer {
 public:
  explicit UnicodeNormalizer(NormalForm form) : form_(form) {}
  void Apply(NormalizedText* text) const override {
    text->text = NormalizeUnicode(form_, text->text);
  }

 private:
  NormalForm form_;
};

class Lowercase final : public Normalizer {
 public:
  void Apply(NormalizedText* text) const override { text->text = LowerUnicode(text->text); }
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void Apply(NormalizedText* text) const override {
    if (!text->text.empty()) text->text.insert(0, prefix_);
  }

 private:
  std::string prefix_;
};

class Replace final : public Normalizer {
 public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  void Apply(NormalizedText* text) const override {
    std::vector<Stretch> stretches;
    pattern_.FindAll(text->text, &stretches);
    std::string out;
    out.reserve(text->text.size());
    for (const Stretch& stretch : stretches) {
      if (stretch.is_match) {
        out.append(content_);
        if (content_.empty() && stretch.begin == 0 && stretch.end > 0) text->at_origin = false;
      } else {
        out.append(text->text, stretch.begin, stretch.end - stretch.begin);
      }
    }
    text->text = std::move(out);
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}

  void Apply(NormalizedText* text) const override {
    std::vector<Stretch> stretches;
    FindCharacters(text->text, IsWhiteSpace, &stretches);
    size_t first = 0;
    size_t last = stretches.size();
    while (left_ && first < last && stretches[first].is_match) ++first;
    while (right_ && last > first && stretches[last - 1].is_match) --last;
    const size_t begin = first == last ? 0 : stretches[first].begin;
    const size_t end = first == last ? 0 : stretches[last - 1].end;
    if (begin > 0) text->at_origin = false;
    text->text = text->text.substr(begin, end - begin);
  }

 private:
  bool left_;
  bool right_;
};

class StripAccents final : public Normalizer {
 public:
  void Apply(NormalizedText* text) const override {
    std::vector<Stretch> stretches;
    FindCharacters(text->text, IsMark, &stretches);
    if (!stretches.empty() && stretches.front().is_match) text->at_origin = false;
    std::string out;
    for (const Stretch& stretch : stretches) {
      if (!stretch.is_match) out.append(text->text, stretch.begin, stretch.end - stretch.begin);
    }
    text->text = std::move(out);
  }
};

class ByteLevelNormalizer final : public Normalizer {
 public:
  void Apply(NormalizedText* text) const override {
    std::string out;
    AppendByteLevel(text->text, &out);
    text->text = std::move(out);
  }
};

}  // namespace

NormalizerPtr MakeUnicodeNormalizer(NormalForm form) {
  return std::make_unique<UnicodeNormalizer>(form);
}

NormalizerPtr MakeLowercase() { return std::make_unique<Lowercase>(); }

NormalizerPtr MakePrepend(std::string prefix) {
  return std::make_unique<Prepend>(std::move(prefix));
}

NormalizerPtr MakeReplace(Pattern pattern, std::string content) {
  return std::make_unique<Replace>(std::move(pattern), std::move(content));
}

NormalizerPtr MakeStrip(bool left, bool right) { return std::make_unique<Strip>(left, right); }

NormalizerPtr MakeStripAccents() { return std::make_unique<StripAccents>(); }

NormalizerPtr MakeByteLevelNormalizer() { return std::make_unique<ByteLevelNormalizer>(); }

}  // namespace runahead

#include "text/tokenizer_normalizers.h"

#include <algorithm>
#include <utility>

#include "text/tokenizer_byte_level.h"

namespace runahead {
namespace {

std::string_view Origin(const NormalizedText& text) {
  return std::string_view(text.text).substr(0, text.origin_bytes);
}

// `origin_bytes` is a guess where characters of the origin combined with others; never more than
// there is.
void Assign(std::string text, size_t origin_bytes, NormalizedText* out) {
  out->origin_bytes = std::min(origin_bytes, text.size());
  out->text = std::move(text);
}

class UnicodeNormalizer final : public Normalizer {
 public:
  explicit UnicodeNormalizer(NormalForm form) : form_(form) {}
  void Apply(NormalizedText* text) const override {
    Assign(NormalizeUnicode(form_, text->text), NormalizeUnicode(form_, Origin(*text)).size(),
           text);
  }

 private:
  NormalForm form_;
};

class Lowercase final : public Normalizer {
 public:
  void Apply(NormalizedText* text) const override {
    Assign(LowerUnicode(text->text), LowerUnicode(Origin(*text)).size(), text);
  }
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void Apply(NormalizedText* text) const override {
    if (text->text.empty()) return;
    text->text.insert(0, prefix_);
    if (text->origin_bytes > 0) text->origin_bytes += prefix_.size();
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
    size_t origin_bytes = 0;
    for (const Stretch& stretch : stretches) {
      const size_t origin_left = text->origin_bytes - std::min(text->origin_bytes, stretch.begin);
      if (stretch.is_match) {
        out.append(content_);
        if (origin_left > 0) origin_bytes = out.size();
      } else {
        out.append(text->text, stretch.begin, stretch.end - stretch.begin);
        origin_bytes += std::min(origin_left, stretch.end - stretch.begin);
      }
    }
    Assign(std::move(out), origin_bytes, text);
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
    Assign(text->text.substr(begin, end - begin),
           text->origin_bytes - std::min(text->origin_bytes, begin), text);
  }

 private:
  bool left_;
  bool right_;
};

class StripAccents final : public Normalizer {
 public:
  void Apply(NormalizedText* text) const override {
    Assign(WithoutMarks(text->text), WithoutMarks(Origin(*text)).size(), text);
  }

 private:
  static std::string WithoutMarks(std::string_view text) {
    std::vector<Stretch> stretches;
    FindCharacters(text, IsMark, &stretches);
    std::string out;
    for (const Stretch& stretch : stretches) {
      if (!stretch.is_match) out.append(text.substr(stretch.begin, stretch.end - stretch.begin));
    }
    return out;
  }
};

class ByteLevelNormalizer final : public Normalizer {
 public:
  void Apply(NormalizedText* text) const override {
    std::string out;
    AppendByteLevel(Origin(*text), &out);
    const size_t origin_bytes = out.size();
    AppendByteLevel(std::string_view(text->text).substr(text->origin_bytes), &out);
    Assign(std::move(out), origin_bytes, text);
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

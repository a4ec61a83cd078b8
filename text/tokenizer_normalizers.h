// Normalizers: the stages that rewrite a text before it is cut into words. Immutable.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "text/tokenizer_pieces.h"
#include "text/unicode.h"

namespace runahead {

// Each behaves as the class of the same name in Hugging Face's `tokenizers`. Thread-safe.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void Apply(NormalizedText* text) const = 0;
};

using NormalizerPtr = std::unique_ptr<const Normalizer>;

NormalizerPtr MakeUnicodeNormalizer(NormalForm form);
NormalizerPtr MakeLowercase();
NormalizerPtr MakePrepend(std::string prefix);  // not to an empty text
NormalizerPtr MakeReplace(Pattern pattern, std::string content);
NormalizerPtr MakeStrip(bool left, bool right);
NormalizerPtr MakeStripAccents();
NormalizerPtr MakeByteLevelNormalizer();

}  // namespace runahead

// Pre-tokenizers: the stages that cut a normalized text into the words BPE works on. Immutable.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/status.h"
#include "text/tokenizer_pieces.h"

namespace runahead {

// Each behaves as the class of the same name in Hugging Face's `tokenizers`. Thread-safe.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void Apply(PieceList* list) const = 0;
};

using PreTokenizerPtr = std::unique_ptr<const PreTokenizer>;

// use_regex: splits by GPT-2's pattern first.
Result<PreTokenizerPtr> MakeByteLevelPreTokenizer(bool add_prefix_space, bool use_regex);

PreTokenizerPtr MakeSplit(Pattern pattern, SplitBehavior behavior, bool invert);

enum class PrependScheme { kFirst, kNever, kAlways };
// `replacement` (one character) takes the place of each space.
PreTokenizerPtr MakeMetaspacePreTokenizer(std::string replacement, PrependScheme scheme,
                                          bool split);

PreTokenizerPtr MakeDigits(bool individual);
PreTokenizerPtr MakePunctuation(SplitBehavior behavior);
PreTokenizerPtr MakeWhitespaceSplit();
PreTokenizerPtr MakeWhitespace();  // words and runs of neither word nor space characters
PreTokenizerPtr MakeBertPreTokenizer();

}  // namespace runahead

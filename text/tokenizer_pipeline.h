// PipelineTokenizer: added tokens, normalizers, pre-tokenizers, BPE, and decoders in their order.
// Immutable.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "text/bpe.h"
#include "text/tokenizer.h"
#include "text/tokenizer_added_tokens.h"
#include "text/tokenizer_decoders.h"
#include "text/tokenizer_normalizers.h"
#include "text/tokenizer_pretokenizers.h"

namespace runahead {

// What a post-processor adds to one sequence.
struct SpecialTokenFrame {
  std::vector<int32_t> prefix;
  std::vector<int32_t> suffix;
};

struct TokenizerParts {
  std::vector<AddedToken> added_tokens;  // `pattern` is filled in from the normalizers when empty
  std::vector<NormalizerPtr> normalizers;
  std::vector<PreTokenizerPtr> pre_tokenizers;
  Bpe model;
  SpecialTokenFrame frame;
  DecoderChain decoder;
};

// Builds the tokenizer; refuses added tokens whose id belongs to another token.
Result<std::unique_ptr<Tokenizer>> MakePipelineTokenizer(TokenizerParts parts);

}  // namespace runahead

// Builds a tokenizer from a SentencePiece BPE model with the choices its neighbour files make.
// Stateless.
#pragma once

#include <memory>
#include <string_view>

#include "core/status.h"
#include "text/tokenizer.h"

namespace runahead {

// What tokenizer_config.json may say beside a tokenizer.model (Llama's defaults).
struct SentencePieceOptions {
  bool add_bos = true;
  bool add_eos = false;
};

Result<std::unique_ptr<Tokenizer>> MakeSentencePieceTokenizer(std::string_view bytes,
                                                              SentencePieceOptions options);

}  // namespace runahead

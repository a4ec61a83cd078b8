// DecoderChain: token spellings back to text, as the decoders of a tokenizer.json say. Immutable.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer_pieces.h"

namespace runahead {

// Each behaves as the class of the same name in Hugging Face's `tokenizers`. Thread-safe.
class Decoder {
 public:
  virtual ~Decoder() = default;

  virtual void Decode(std::vector<std::string>* tokens) const = 0;

  // The bytes that stand for `token` inside a long text; not always whole characters. `fused`: an
  // earlier stage has joined all tokens to one.
  virtual std::string Middle(std::string token, bool fused) const = 0;

  virtual bool Fuses() const { return false; }
  virtual bool StripsLeadingSpace(bool /*fused*/) const { return false; }
};

using DecoderPtr = std::unique_ptr<const Decoder>;

DecoderPtr MakeByteLevelDecoder();
DecoderPtr MakeByteFallbackDecoder();  // <0x0A>; in a run that is no UTF-8 each byte is a U+FFFD
DecoderPtr MakeFuseDecoder();
DecoderPtr MakeReplaceDecoder(Pattern pattern, std::string content);
DecoderPtr MakeStripDecoder(std::string content, size_t max_start, size_t max_stop);
// `drops_first`: replacement characters of the first token disappear.
DecoderPtr MakeMetaspaceDecoder(std::string replacement, bool drops_first);

// Thread-safe.
class DecoderChain {
 public:
  // Without stages tokens are joined by spaces.
  explicit DecoderChain(std::vector<DecoderPtr> stages);

  std::string Decode(std::vector<std::string> tokens) const;
  std::string Middle(std::string token) const;
  bool StripsLeadingSpace() const { return strips_leading_space_; }

 private:
  std::vector<DecoderPtr> stages_;
  bool strips_leading_space_;
};

}  // namespace runahead

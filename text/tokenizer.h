// Tokenizer: text to token ids and back, as the checkpoint's own tokenizer does it. Immutable after
// load.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace runahead {

// Thread-safe: every method is const. Ids are int32 everywhere in the project.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Ids of `text`. With `add_special_tokens` the post-processor's tokens (BOS, ...) are added, as
  // Hugging Face's `encode` does; special tokens written inside `text` are recognised unless
  // `parse_special` is false. Invalid UTF-8 becomes U+FFFD first. Time is linear in the length of
  // `text`.
  struct EncodeOptions {
    bool add_special_tokens = true;
    bool parse_special = true;
  };
  virtual std::vector<int32_t> Encode(std::string_view text, EncodeOptions options) const = 0;

  // Text of `ids` by the decoder chain, as Hugging Face's
  // `decode(clean_up_tokenization_spaces=False)`. Ids out of range are skipped.
  virtual std::string Decode(std::span<const int32_t> ids, bool skip_special_tokens) const = 0;

  // The bytes `id` adds in the middle of a text (byte-level and byte-fallback tokens may hold part
  // of a UTF-8 character); empty for ids out of range. Special tokens give their content.
  virtual std::string_view TokenBytes(int32_t id) const = 0;

  // The vocabulary's own spelling of `id` ("Ġthe", "▁the", "<0x0A>"), or nothing.
  virtual std::optional<std::string> IdToToken(int32_t id) const = 0;
  virtual std::optional<int32_t> TokenToId(std::string_view token) const = 0;

  virtual bool IsSpecial(int32_t id) const = 0;

  // True for SentencePiece-style decoders that drop the first token's leading space.
  virtual bool StripsLeadingSpace() const = 0;

  virtual int vocab_size() const = 0;  // 1 + the largest id, added tokens included
};

// Loads <directory>/tokenizer.json, else <directory>/tokenizer.model.
Result<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& directory);

// From the bytes of a Hugging Face tokenizer.json. Errors name the unsupported or malformed part.
Result<std::unique_ptr<Tokenizer>> ParseTokenizerJson(std::string_view json);

// From the bytes of a SentencePiece tokenizer.model (BPE with byte fallback).
Result<std::unique_ptr<Tokenizer>> ParseSentencePieceModel(std::string_view bytes);

}  // namespace runahead

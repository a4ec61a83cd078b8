// Detokenizer: token ids of one stream to text as they arrive, never half a character. One I/O
// thread.
#pragma once

#include <cstdint>
#include <string>

#include "text/tokenizer.h"

namespace runahead {

// Bytes that may still become a valid UTF-8 character are held back; the concatenation of all that
// is returned equals Tokenizer::Decode of the whole stream (invalid bytes become U+FFFD).
class Detokenizer {
 public:
  // `tokenizer` outlives the detokenizer. `continues_text`: the stream goes on after other text (a
  // completion), so a SentencePiece decoder keeps its first leading space.
  Detokenizer(const Tokenizer& tokenizer, bool skip_special_tokens, bool continues_text = true);

  // Text that became certain with `id`; may be empty.
  std::string Push(int32_t id);

  // What is still held back at the end of the stream, incomplete characters as U+FFFD.
  std::string Finish();

 private:
  std::string TakeCertain(bool at_end);

  const Tokenizer& tokenizer_;
  bool skip_special_tokens_;
  bool strip_leading_space_;
  std::string held_;  // bytes not yet certain
};

}  // namespace runahead

#include "text/detokenizer.h"

#include "text/utf8.h"

namespace runahead {

Detokenizer::Detokenizer(const Tokenizer& tokenizer, bool skip_special_tokens, bool continues_text)
    : tokenizer_(tokenizer),
      skip_special_tokens_(skip_special_tokens),
      strip_leading_space_(!continues_text && tokenizer.StripsLeadingSpace()) {}

std::string Detokenizer::Push(int32_t id) {
  if (skip_special_tokens_ && tokenizer_.IsSpecial(id)) return {};
  std::string_view bytes = tokenizer_.TokenBytes(id);
  if (bytes.empty()) return {};
  if (strip_leading_space_ && bytes.front() == ' ') bytes.remove_prefix(1);
  strip_leading_space_ = false;  // only the first text of a stream loses its space
  held_.append(bytes);
  return TakeCertain(false);
}

std::string Detokenizer::Finish() { return TakeCertain(true); }

std::string Detokenizer::TakeCertain(bool at_end) {
  const size_t length = at_end ? held_.size() : utf8::CertainLength(held_);
  std::string text = utf8::ReplaceInvalid(std::string_view(held_).substr(0, length));
  held_.erase(0, length);
  return text;
}

}  // namespace runahead

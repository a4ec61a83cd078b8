// Any bytes as a tokenizer.json: an error, or a tokenizer that encodes and decodes.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "text/tokenizer.h"

namespace {

constexpr std::string_view kText =
    "Hello  World's 123 <s>x</s>\n\t\xC3\xA9\xE6\xBC\xA2\xF0\x9F\x8E\x89 e\xCC\x81 \xFF\xE4\xBD";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  const auto tokenizer = runahead::ParseTokenizerJson(json);
  if (!tokenizer.ok()) return 0;
  const auto ids = (*tokenizer)->Encode(kText, {});
  (*tokenizer)->Decode(ids, true);
  for (const int32_t id : ids) {
    (*tokenizer)->TokenBytes(id);
    (*tokenizer)->IdToToken(id);
  }
  return 0;
}

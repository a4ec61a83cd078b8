// Readers of the stages a tokenizer.json lists: normalizers, pre-tokenizers, decoders,
// post-processors. Stateless.
#pragma once

#include <string>
#include <vector>

#include "nlohmann/json.hpp"

#include "core/status.h"
#include "text/tokenizer_pipeline.h"

namespace runahead {

// Typed fields of one JSON object; errors name the field by its path in the file.
class JsonFields {
 public:
  JsonFields(const nlohmann::json& object, std::string path)
      : object_(object), path_(std::move(path)) {}

  const std::string& path() const { return path_; }

  // Null when the field is absent or null.
  const nlohmann::json* Find(const char* key) const;
  Result<std::string> String(const char* key) const;  // required
  Result<bool> Bool(const char* key, bool otherwise) const;
  Result<int64_t> Integer(const char* key) const;  // required

  Status Error(const char* key, const std::string& what) const;

 private:
  const nlohmann::json& object_;
  std::string path_;
};

// `json` is the value of the field of that name at the top of the file; null gives no stage.
// "Sequence" stages are flattened; an unsupported type is refused by name.
Result<std::vector<NormalizerPtr>> ReadNormalizers(const nlohmann::json* json);
Result<std::vector<PreTokenizerPtr>> ReadPreTokenizers(const nlohmann::json* json);
Result<std::vector<DecoderPtr>> ReadDecoders(const nlohmann::json* json);
Result<SpecialTokenFrame> ReadPostProcessor(const nlohmann::json* json);

}  // namespace runahead

// ParseTokenizerJson: reads Hugging Face's tokenizer.json into a PipelineTokenizer.
#include <string>
#include <utility>
#include <vector>

#include "nlohmann/json.hpp"

#include "text/tokenizer.h"
#include "text/tokenizer_json_stages.h"
#include "text/tokenizer_pipeline.h"

namespace runahead {
namespace {

using Json = nlohmann::json;

Result<Vocabulary> ReadVocabulary(const JsonFields& model) {
  const Json* vocab = model.Find("vocab");
  if (vocab == nullptr || !vocab->is_object()) return model.Error("vocab", "is not an object");
  std::vector<std::pair<std::string, int64_t>> tokens;
  tokens.reserve(vocab->size());
  for (const auto& [token, id] : vocab->items()) {
    if (!id.is_number_integer() || (id.is_number_unsigned() && id.get<uint64_t>() > INT64_MAX)) {
      return model.Error("vocab", "gives token '" + token + "' an id that is no integer");
    }
    tokens.emplace_back(token, id.get<int64_t>());
  }
  Result<Vocabulary> vocabulary = Vocabulary::Build(std::move(tokens));
  if (!vocabulary.ok()) return model.Error("vocab", ": " + vocabulary.status().message());
  return vocabulary;
}

// "a b" or ["a", "b"]; the pair form is for tokens that hold a space.
Result<std::pair<std::string, std::string>> ReadMergePair(const JsonFields& model,
                                                          const Json& merge) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return std::pair(merge[0].get<std::string>(), merge[1].get<std::string>());
  }
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return std::pair(text.substr(0, space), text.substr(space + 1));
    }
  }
  return model.Error("merges", "holds something that is no pair of tokens");
}

Result<std::vector<BpeMerge>> ReadMerges(const JsonFields& model, const Vocabulary& vocabulary) {
  const Json* list = model.Find("merges");
  if (list == nullptr || !list->is_array()) return model.Error("merges", "is not an array");
  std::vector<BpeMerge> merges;
  merges.reserve(list->size());
  for (const Json& json : *list) {
    if (json.is_string() && json.get_ref<const std::string&>().starts_with("#version")) continue;
    RA_ASSIGN_OR_RETURN(const auto pair, ReadMergePair(model, json));
    BpeMerge merge = {vocabulary.Find(pair.first), vocabulary.Find(pair.second),
                      vocabulary.Find(pair.first + pair.second),
                      static_cast<uint32_t>(merges.size())};
    if (merge.left < 0 || merge.right < 0 || merge.result < 0) {
      return model.Error("merges", "names a token outside the vocabulary: '" + pair.first +
                                       "' + '" + pair.second + "'");
    }
    merges.push_back(merge);
  }
  return merges;
}

Status RefuseUnsupportedModel(const JsonFields& model) {
  // The oldest files leave the type out; they are BPE when they have merges.
  if (model.Find("type") != nullptr || model.Find("merges") == nullptr) {
    RA_ASSIGN_OR_RETURN(const std::string type, model.String("type"));
    if (type != "BPE") return model.Error("type", "'" + type + "' is not supported, only BPE is");
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (model.Find(key) == nullptr) continue;
    RA_ASSIGN_OR_RETURN(const std::string affix, model.String(key));
    if (!affix.empty()) return model.Error(key, "'" + affix + "' is not supported");
  }
  const Json* dropout = model.Find("dropout");
  if (dropout != nullptr && (!dropout->is_number() || dropout->get<double>() != 0.0)) {
    return model.Error("dropout", "is not supported: encoding would be random");
  }
  return Status();
}

Result<Bpe> ReadModel(const Json* json) {
  if (json == nullptr || !json->is_object()) {
    return InvalidArgument("tokenizer.json: model is not an object");
  }
  const JsonFields model(*json, "model");
  RA_RETURN_IF_ERROR(RefuseUnsupportedModel(model));
  RA_ASSIGN_OR_RETURN(Vocabulary vocabulary, ReadVocabulary(model));
  RA_ASSIGN_OR_RETURN(const std::vector<BpeMerge> merges, ReadMerges(model, vocabulary));
  BpeOptions options;
  RA_ASSIGN_OR_RETURN(options.byte_fallback, model.Bool("byte_fallback", false));
  RA_ASSIGN_OR_RETURN(options.fuse_unknown, model.Bool("fuse_unk", false));
  RA_ASSIGN_OR_RETURN(options.ignore_merges, model.Bool("ignore_merges", false));
  if (model.Find("unk_token") != nullptr) {
    // Byte-level files may name one that the vocabulary lacks, since they never need it.
    RA_ASSIGN_OR_RETURN(const std::string unknown, model.String("unk_token"));
    options.unknown_id = vocabulary.Find(unknown);
  }
  return Bpe(std::move(vocabulary), merges, options);
}

Result<std::vector<AddedToken>> ReadAddedTokens(const Json* json) {
  std::vector<AddedToken> tokens;
  if (json == nullptr) return tokens;
  if (!json->is_array()) return InvalidArgument("tokenizer.json: added_tokens is not an array");
  for (size_t i = 0; i < json->size(); ++i) {
    const std::string path = "added_tokens[" + std::to_string(i) + "]";
    if (!(*json)[i].is_object()) {
      return InvalidArgument("tokenizer.json: " + path + " is not an object");
    }
    const JsonFields fields((*json)[i], path);
    AddedToken token;
    RA_ASSIGN_OR_RETURN(token.content, fields.String("content"));
    RA_ASSIGN_OR_RETURN(const int64_t id, fields.Integer("id"));
    if (id < 0 || id > Vocabulary::kMaxId) return fields.Error("id", "is out of range");
    token.id = static_cast<int32_t>(id);
    RA_ASSIGN_OR_RETURN(token.special, fields.Bool("special", false));
    RA_ASSIGN_OR_RETURN(token.normalized, fields.Bool("normalized", !token.special));
    RA_ASSIGN_OR_RETURN(token.single_word, fields.Bool("single_word", false));
    RA_ASSIGN_OR_RETURN(token.lstrip, fields.Bool("lstrip", false));
    RA_ASSIGN_OR_RETURN(token.rstrip, fields.Bool("rstrip", false));
    tokens.push_back(std::move(token));
  }
  return tokens;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> ParseTokenizerJson(std::string_view json) {
  const Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return InvalidArgument("tokenizer.json is not a JSON object");
  // `truncation` and `padding` are settings of a call to Hugging Face's encode, which its model
  // classes override; here nothing is cut or padded.
  const JsonFields fields(root, "");
  RA_ASSIGN_OR_RETURN(std::vector<AddedToken> added, ReadAddedTokens(fields.Find("added_tokens")));
  RA_ASSIGN_OR_RETURN(auto normalizers, ReadNormalizers(fields.Find("normalizer")));
  RA_ASSIGN_OR_RETURN(auto pre_tokenizers, ReadPreTokenizers(fields.Find("pre_tokenizer")));
  RA_ASSIGN_OR_RETURN(Bpe model, ReadModel(fields.Find("model")));
  RA_ASSIGN_OR_RETURN(SpecialTokenFrame frame, ReadPostProcessor(fields.Find("post_processor")));
  RA_ASSIGN_OR_RETURN(auto decoders, ReadDecoders(fields.Find("decoder")));
  return MakePipelineTokenizer({.added_tokens = std::move(added),
                                .normalizers = std::move(normalizers),
                                .pre_tokenizers = std::move(pre_tokenizers),
                                .model = std::move(model),
                                .frame = std::move(frame),
                                .decoder = DecoderChain(std::move(decoders))});
}

}  // namespace runahead

#include "text/tokenizer_json_stages.h"

#include <array>
#include <functional>
#include <utility>

namespace runahead {
namespace {

using Json = nlohmann::json;

// A stage in its Sequence: the fields and the type.
struct Stage {
  JsonFields fields;
  std::string type;
};

Status Unsupported(const Stage& stage) {
  return InvalidArgument("tokenizer.json: " + stage.fields.path() + " type '" + stage.type +
                         "' is not supported");
}

// Calls `read` for each stage in order; `list_key` is where this kind of Sequence keeps its stages.
Status ForEachStage(const Json* json, const std::string& path, const char* list_key, int depth,
                    const std::function<Status(const Stage&)>& read) {
  if (json == nullptr || json->is_null()) return Status();
  if (!json->is_object()) return InvalidArgument("tokenizer.json: " + path + " is not an object");
  JsonFields fields(*json, path);
  RA_ASSIGN_OR_RETURN(std::string type, fields.String("type"));
  if (type != "Sequence") return read({std::move(fields), std::move(type)});
  constexpr int kMaxDepth = 8;
  if (depth >= kMaxDepth) return fields.Error(list_key, "is nested too deeply");
  const Json* list = fields.Find(list_key);
  if (list == nullptr || !list->is_array()) return fields.Error(list_key, "is not an array");
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string inner = path + "." + list_key + "[" + std::to_string(i) + "]";
    RA_RETURN_IF_ERROR(ForEachStage(&(*list)[i], inner, list_key, depth + 1, read));
  }
  return Status();
}

// {"String": "..."} or {"Regex": "..."}
Result<Pattern> ReadPattern(const JsonFields& fields) {
  const Json* json = fields.Find("pattern");
  if (json == nullptr || !json->is_object()) return fields.Error("pattern", "is not an object");
  const JsonFields inner(*json, fields.path() + ".pattern");
  if (inner.Find("String") != nullptr) {
    RA_ASSIGN_OR_RETURN(std::string literal, inner.String("String"));
    return Pattern(std::move(literal));
  }
  RA_ASSIGN_OR_RETURN(const std::string source, inner.String("Regex"));
  Result<Regex> regex = Regex::Compile(source);
  if (!regex.ok()) return fields.Error("pattern", regex.status().message());
  return Pattern(std::move(regex).value());
}

Result<SplitBehavior> ReadBehavior(const JsonFields& fields, SplitBehavior otherwise) {
  if (fields.Find("behavior") == nullptr) return otherwise;
  RA_ASSIGN_OR_RETURN(const std::string name, fields.String("behavior"));
  constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kNames = {{
      {"Removed", SplitBehavior::kRemoved},
      {"Isolated", SplitBehavior::kIsolated},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous},
  }};
  for (const auto& [known, behavior] : kNames) {
    if (name == known) return behavior;
  }
  return fields.Error("behavior", "'" + name + "' is not supported");
}

struct MetaspaceSettings {
  std::string replacement;
  PrependScheme scheme = PrependScheme::kAlways;
};

Result<MetaspaceSettings> ReadMetaspace(const JsonFields& fields) {
  MetaspaceSettings settings;
  RA_ASSIGN_OR_RETURN(settings.replacement, fields.String("replacement"));
  if (settings.replacement.empty() ||
      DecodeUtf8(settings.replacement, 0).num_bytes != settings.replacement.size()) {
    return fields.Error("replacement", "is not one character");
  }
  // Older files say add_prefix_space instead of prepend_scheme.
  RA_ASSIGN_OR_RETURN(const bool add_prefix_space, fields.Bool("add_prefix_space", true));
  if (!add_prefix_space) settings.scheme = PrependScheme::kNever;
  if (fields.Find("prepend_scheme") != nullptr) {
    RA_ASSIGN_OR_RETURN(const std::string name, fields.String("prepend_scheme"));
    if (name == "first") {
      settings.scheme = PrependScheme::kFirst;
    } else if (name == "never") {
      settings.scheme = PrependScheme::kNever;
    } else if (name == "always") {
      settings.scheme = PrependScheme::kAlways;
    } else {
      return fields.Error("prepend_scheme", "'" + name + "' is not supported");
    }
  }
  return settings;
}

Result<NormalizerPtr> ReadNormalizer(const Stage& stage) {
  const JsonFields& fields = stage.fields;
  if (stage.type == "NFC") return MakeUnicodeNormalizer(NormalForm::kNfc);
  if (stage.type == "NFD") return MakeUnicodeNormalizer(NormalForm::kNfd);
  if (stage.type == "NFKC") return MakeUnicodeNormalizer(NormalForm::kNfkc);
  if (stage.type == "NFKD") return MakeUnicodeNormalizer(NormalForm::kNfkd);
  if (stage.type == "Lowercase") return MakeLowercase();
  if (stage.type == "StripAccents") return MakeStripAccents();
  if (stage.type == "ByteLevel") return MakeByteLevelNormalizer();
  if (stage.type == "Prepend") {
    RA_ASSIGN_OR_RETURN(std::string prefix, fields.String("prepend"));
    return MakePrepend(std::move(prefix));
  }
  if (stage.type == "Replace") {
    RA_ASSIGN_OR_RETURN(Pattern pattern, ReadPattern(fields));
    RA_ASSIGN_OR_RETURN(std::string content, fields.String("content"));
    return MakeReplace(std::move(pattern), std::move(content));
  }
  if (stage.type == "Strip") {
    RA_ASSIGN_OR_RETURN(const bool left, fields.Bool("strip_left", true));
    RA_ASSIGN_OR_RETURN(const bool right, fields.Bool("strip_right", true));
    return MakeStrip(left, right);
  }
  return Unsupported(stage);
}

Result<PreTokenizerPtr> ReadPreTokenizer(const Stage& stage) {
  const JsonFields& fields = stage.fields;
  if (stage.type == "ByteLevel") {
    RA_ASSIGN_OR_RETURN(const bool prefix, fields.Bool("add_prefix_space", true));
    RA_ASSIGN_OR_RETURN(const bool use_regex, fields.Bool("use_regex", true));
    return MakeByteLevelPreTokenizer(prefix, use_regex);
  }
  if (stage.type == "Split") {
    RA_ASSIGN_OR_RETURN(Pattern pattern, ReadPattern(fields));
    RA_ASSIGN_OR_RETURN(const SplitBehavior behavior,
                        ReadBehavior(fields, SplitBehavior::kIsolated));
    RA_ASSIGN_OR_RETURN(const bool invert, fields.Bool("invert", false));
    return MakeSplit(std::move(pattern), behavior, invert);
  }
  if (stage.type == "Metaspace") {
    RA_ASSIGN_OR_RETURN(MetaspaceSettings settings, ReadMetaspace(fields));
    RA_ASSIGN_OR_RETURN(const bool split, fields.Bool("split", true));
    return MakeMetaspacePreTokenizer(std::move(settings.replacement), settings.scheme, split);
  }
  if (stage.type == "Digits") {
    RA_ASSIGN_OR_RETURN(const bool individual, fields.Bool("individual_digits", false));
    return MakeDigits(individual);
  }
  if (stage.type == "Punctuation") {
    RA_ASSIGN_OR_RETURN(const SplitBehavior behavior,
                        ReadBehavior(fields, SplitBehavior::kIsolated));
    return MakePunctuation(behavior);
  }
  if (stage.type == "CharDelimiterSplit") {
    RA_ASSIGN_OR_RETURN(std::string delimiter, fields.String("delimiter"));
    return MakeSplit(Pattern(std::move(delimiter)), SplitBehavior::kRemoved, /*invert=*/false);
  }
  if (stage.type == "WhitespaceSplit") return MakeWhitespaceSplit();
  if (stage.type == "Whitespace") return MakeWhitespace();
  if (stage.type == "BertPreTokenizer") return MakeBertPreTokenizer();
  return Unsupported(stage);
}

Result<size_t> ReadCount(const JsonFields& fields, const char* key) {
  RA_ASSIGN_OR_RETURN(const int64_t count, fields.Integer(key));
  if (count < 0) return fields.Error(key, "is negative");
  return static_cast<size_t>(count);
}

Result<DecoderPtr> ReadDecoder(const Stage& stage) {
  const JsonFields& fields = stage.fields;
  if (stage.type == "ByteLevel") return MakeByteLevelDecoder();
  if (stage.type == "ByteFallback") return MakeByteFallbackDecoder();
  if (stage.type == "Fuse") return MakeFuseDecoder();
  if (stage.type == "Metaspace") {
    RA_ASSIGN_OR_RETURN(MetaspaceSettings settings, ReadMetaspace(fields));
    return MakeMetaspaceDecoder(std::move(settings.replacement),
                                settings.scheme != PrependScheme::kNever);
  }
  if (stage.type == "Replace") {
    RA_ASSIGN_OR_RETURN(Pattern pattern, ReadPattern(fields));
    RA_ASSIGN_OR_RETURN(std::string content, fields.String("content"));
    return MakeReplaceDecoder(std::move(pattern), std::move(content));
  }
  if (stage.type == "Strip") {
    RA_ASSIGN_OR_RETURN(std::string content, fields.String("content"));
    if (content.empty() || DecodeUtf8(content, 0).num_bytes != content.size()) {
      return fields.Error("content", "is not one character");
    }
    RA_ASSIGN_OR_RETURN(const size_t start, ReadCount(fields, "start"));
    RA_ASSIGN_OR_RETURN(const size_t stop, ReadCount(fields, "stop"));
    return MakeStripDecoder(std::move(content), start, stop);
  }
  return Unsupported(stage);
}

Result<int32_t> CheckedId(const Json& json, const JsonFields& fields, const char* key) {
  if (!json.is_number_integer() || json.get<int64_t>() < 0 ||
      json.get<int64_t>() > Vocabulary::kMaxId) {
    return fields.Error(key, "holds something that is no token id");
  }
  return static_cast<int32_t>(json.get<int64_t>());
}

// special_tokens[name].ids of a TemplateProcessing
Status AppendTemplateIds(const JsonFields& fields, const std::string& name,
                         std::vector<int32_t>* ids) {
  const Json* map = fields.Find("special_tokens");
  const Json* entry = nullptr;
  if (map != nullptr && map->is_object() && map->contains(name)) entry = &(*map)[name];
  if (entry == nullptr || !entry->is_object() || !entry->contains("ids") ||
      !(*entry)["ids"].is_array()) {
    return fields.Error("special_tokens", "has no ids for '" + name + "'");
  }
  for (const Json& id : (*entry)["ids"]) {
    RA_ASSIGN_OR_RETURN(const int32_t checked, CheckedId(id, fields, "special_tokens"));
    ids->push_back(checked);
  }
  return Status();
}

Result<SpecialTokenFrame> ReadTemplate(const JsonFields& fields) {
  SpecialTokenFrame frame;
  int num_sequences = 0;
  const Json* single = fields.Find("single");
  if (single == nullptr || !single->is_array()) return fields.Error("single", "is not an array");
  for (const Json& piece : *single) {
    const bool is_token = piece.is_object() && piece.contains("SpecialToken");
    const char* kind = is_token ? "SpecialToken" : "Sequence";
    if (!piece.is_object() || !piece.contains(kind) || !piece[kind].is_object()) {
      return fields.Error("single", "holds something else than SpecialToken and Sequence");
    }
    const JsonFields inner(piece[kind], fields.path() + ".single." + kind);
    RA_ASSIGN_OR_RETURN(const std::string id, inner.String("id"));
    if (is_token) {
      RA_RETURN_IF_ERROR(
          AppendTemplateIds(fields, id, num_sequences == 0 ? &frame.prefix : &frame.suffix));
    } else if (id != "A" || ++num_sequences > 1) {
      return fields.Error("single", "does not name sequence A exactly once");
    }
  }
  if (num_sequences != 1) return fields.Error("single", "does not name sequence A exactly once");
  return frame;
}

// BertProcessing and RobertaProcessing: "cls" and "sep" are [token, id].
Result<SpecialTokenFrame> ReadClsSep(const JsonFields& fields) {
  SpecialTokenFrame frame;
  for (const auto& [key, ids] : {std::pair{"cls", &frame.prefix}, {"sep", &frame.suffix}}) {
    const Json* pair = fields.Find(key);
    if (pair == nullptr || !pair->is_array() || pair->size() != 2) {
      return fields.Error(key, "is not a [token, id] pair");
    }
    RA_ASSIGN_OR_RETURN(const int32_t id, CheckedId((*pair)[1], fields, key));
    ids->push_back(id);
  }
  return frame;
}

Result<SpecialTokenFrame> ReadProcessor(const Stage& stage) {
  if (stage.type == "TemplateProcessing") return ReadTemplate(stage.fields);
  if (stage.type == "BertProcessing" || stage.type == "RobertaProcessing") {
    return ReadClsSep(stage.fields);
  }
  if (stage.type == "ByteLevel") return SpecialTokenFrame();  // trims offsets, which we do not give
  return Unsupported(stage);
}

// Reads all stages of one kind into a vector.
template <typename Read>
auto ReadAll(const Json* json, const char* path, const char* list_key, const Read& read) {
  using Ptr = std::decay_t<decltype(read(std::declval<const Stage&>()).value())>;
  std::vector<Ptr> stages;
  const Status status = ForEachStage(json, path, list_key, 0, [&](const Stage& stage) {
    RA_ASSIGN_OR_RETURN(Ptr ptr, read(stage));
    stages.push_back(std::move(ptr));
    return Status();
  });
  return status.ok() ? Result<std::vector<Ptr>>(std::move(stages))
                     : Result<std::vector<Ptr>>(status);
}

}  // namespace

const Json* JsonFields::Find(const char* key) const {
  const auto it = object_.find(key);
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

Status JsonFields::Error(const char* key, const std::string& what) const {
  return InvalidArgument("tokenizer.json: " + path_ + (path_.empty() ? "" : ".") + key + " " +
                         what);
}

Result<std::string> JsonFields::String(const char* key) const {
  const Json* json = Find(key);
  if (json == nullptr || !json->is_string()) return Error(key, "is not a string");
  return json->get<std::string>();
}

Result<bool> JsonFields::Bool(const char* key, bool otherwise) const {
  const Json* json = Find(key);
  if (json == nullptr) return otherwise;
  if (!json->is_boolean()) return Error(key, "is not a boolean");
  return json->get<bool>();
}

Result<int64_t> JsonFields::Integer(const char* key) const {
  const Json* json = Find(key);
  if (json == nullptr || !json->is_number_integer()) return Error(key, "is not an integer");
  return json->get<int64_t>();
}

Result<std::vector<NormalizerPtr>> ReadNormalizers(const Json* json) {
  return ReadAll(json, "normalizer", "normalizers", ReadNormalizer);
}

Result<std::vector<PreTokenizerPtr>> ReadPreTokenizers(const Json* json) {
  return ReadAll(json, "pre_tokenizer", "pretokenizers", ReadPreTokenizer);
}

Result<std::vector<DecoderPtr>> ReadDecoders(const Json* json) {
  return ReadAll(json, "decoder", "decoders", ReadDecoder);
}

Result<SpecialTokenFrame> ReadPostProcessor(const Json* json) {
  SpecialTokenFrame frame;
  RA_ASSIGN_OR_RETURN(const std::vector<SpecialTokenFrame> frames,
                      ReadAll(json, "post_processor", "processors", ReadProcessor));
  for (const SpecialTokenFrame& outer : frames) {
    frame.prefix.insert(frame.prefix.begin(), outer.prefix.begin(), outer.prefix.end());
    frame.suffix.insert(frame.suffix.end(), outer.suffix.begin(), outer.suffix.end());
  }
  return frame;
}

}  // namespace runahead

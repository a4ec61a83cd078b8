#include "model/model_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <utility>

#include "nlohmann/json.hpp"

#include "model/tensor_names.h"

namespace runahead {
namespace {

using Json = nlohmann::json;

// What an architecture means where config.json is silent; the values are those of Hugging Face's
// configuration classes.
struct Family {
  std::string_view architecture;
  std::string_view model_type;
  int num_kv_heads;  // 0: as many as heads
  int head_dim;      // 0: hidden_size / num_heads
  int max_positions;
  int sliding_window;        // 0: none
  bool window_needs_switch;  // use_sliding_window must be true for one
  bool takes_attention_bias;
  bool qkv_bias;  // always
  bool takes_mlp_bias;
  bool qk_norm;
};
constexpr std::array kFamilies = std::to_array<Family>({
    {"LlamaForCausalLM", "llama", 0, 0, 2048, 0, false, true, false, true, false},
    {"MistralForCausalLM", "mistral", 8, 0, 131072, 4096, false, false, false, false, false},
    {"Qwen2ForCausalLM", "qwen2", 32, 0, 32768, 4096, true, false, true, false, false},
    {"Qwen3ForCausalLM", "qwen3", 32, 128, 32768, 4096, true, true, false, false, true},
});

// Dimensions above these are no model but an attempt to exhaust memory.
constexpr int kMaxDimension = 1 << 22;
constexpr int kMaxLayers = 4096;
constexpr int kMaxHeadDim = 1024;
constexpr int kMaxHeads = 1 << 16;

// Reads typed values of one JSON object and keeps the first error; null counts as absent, as
// Hugging Face writes it.
class Reader {
 public:
  Reader(const Json& object, std::string prefix) : object_(object), prefix_(std::move(prefix)) {}

  const Status& status() const { return status_; }
  bool Has(const char* key) const { return object_.contains(key) && !object_[key].is_null(); }
  bool IsNull(const char* key) const { return object_.contains(key) && object_[key].is_null(); }
  const Json& At(const char* key) const { return object_[key]; }

  void Fail(const std::string& message, const char* key) {
    if (status_.ok()) status_ = InvalidArgument(prefix_ + key + ": " + message, prefix_ + key);
  }

  int Int(const char* key, int fallback, int low, int high) {
    if (!Has(key)) return fallback;
    const Json& value = object_[key];
    const double number = value.is_number() ? value.get<double>() : std::nan("");
    if (!(number >= low && number <= high) || number != std::floor(number)) {
      Fail(value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 100) +
               " is no whole number from " + std::to_string(low) + " to " + std::to_string(high),
           key);
      return fallback;
    }
    return static_cast<int>(number);
  }

  int RequiredInt(const char* key, int high) {
    if (!Has(key)) Fail("missing", key);
    return Int(key, 1, 1, high);
  }

  double Positive(const char* key, double fallback) {
    if (!Has(key)) return fallback;
    const double number = object_[key].is_number() ? object_[key].get<double>() : std::nan("");
    if (number > 0 && std::isfinite(number)) return number;
    Fail("not a number above 0", key);
    return fallback;
  }

  bool Bool(const char* key, bool fallback) {
    if (!Has(key)) return fallback;
    if (object_[key].is_boolean()) return object_[key].get<bool>();
    Fail("neither true nor false", key);
    return fallback;
  }

  std::string Text(const char* key, std::string fallback) {
    if (!Has(key)) return fallback;
    if (object_[key].is_string()) return object_[key].get<std::string>();
    Fail("not text", key);
    return fallback;
  }

 private:
  const Json& object_;
  std::string prefix_;
  Status status_;
};

Result<const Family*> FindFamily(const Json& config) {
  std::string name;
  const auto architectures = config.find("architectures");
  if (architectures != config.end() && architectures->is_array() && !architectures->empty() &&
      architectures->front().is_string()) {
    name = architectures->front().get<std::string>();
    for (const Family& family : kFamilies) {
      if (name == family.architecture) return &family;
    }
  } else if (config.contains("model_type") && config["model_type"].is_string()) {
    name = config["model_type"].get<std::string>();
    for (const Family& family : kFamilies) {
      if (name == family.model_type) return &family;
    }
  }
  std::string known;
  for (const Family& family : kFamilies) {
    known += (known.empty() ? "" : ", ") + std::string(family.architecture);
  }
  if (name.empty()) {
    return InvalidArgument("config.json names no architecture; supported are " + known,
                           "architectures");
  }
  return InvalidArgument(
      "architecture " + name.substr(0, 100) + " is not supported; these are: " + known,
      "architectures");
}

// Reads one rope object: "rope_scaling" (type or rope_type), or transformers 5's "rope_parameters",
// which also holds theta.
Status ReadRope(const Json& object, const char* key, ModelConfig& config) {
  if (!object.is_object()) return InvalidArgument(std::string(key) + ": not an object", key);
  for (const auto& [name, value] : object.items()) {
    if (value.is_object()) {
      return InvalidArgument(std::string(key) + ": parameters per layer type (\"" +
                                 name.substr(0, 100) + "\") are not supported",
                             key);
    }
  }
  Reader rope(object, std::string(key) + ".");
  config.rope_theta = rope.Positive("rope_theta", config.rope_theta);
  if (rope.Positive("partial_rotary_factor", 1) != 1) {
    rope.Fail("only 1 is supported", "partial_rotary_factor");
  }
  const std::string type = rope.Text("rope_type", rope.Text("type", "default"));
  RopeScaling& scaling = config.rope_scaling;
  if (type == "linear" || type == "llama3") {
    scaling.kind = type == "linear" ? RopeScalingKind::kLinear : RopeScalingKind::kLlama3;
    if (!rope.Has("factor")) rope.Fail("missing", "factor");
    scaling.factor = rope.Positive("factor", 1);
  } else if (type != "default") {
    rope.Fail("rope type \"" + type.substr(0, 100) +
                  "\" is not supported; default, linear and llama3 are",
              rope.Has("rope_type") ? "rope_type" : "type");
  }
  if (type == "llama3") {
    for (const char* needed :
         {"low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}) {
      if (!rope.Has(needed)) rope.Fail("missing", needed);
    }
    scaling.low_freq_factor = rope.Positive("low_freq_factor", 1);
    scaling.high_freq_factor = rope.Positive("high_freq_factor", 4);
    scaling.original_max_positions =
        rope.Int("original_max_position_embeddings", 8192, 1, std::numeric_limits<int>::max());
    if (scaling.high_freq_factor <= scaling.low_freq_factor) {
      rope.Fail("must be above low_freq_factor", "high_freq_factor");
    }
  }
  return rope.status();
}

Status ReadAllRope(const Json& json, Reader& reader, ModelConfig& config) {
  config.rope_theta = reader.Positive("rope_theta", 10000);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (reader.Has(key)) RA_RETURN_IF_ERROR(ReadRope(json[key], key, config));
  }
  return {};
}

// The window of each layer, or empty where no layer has one.
std::vector<int> ReadWindows(const Family& family, Reader& reader, int num_layers) {
  const bool switched_on = !family.window_needs_switch || reader.Bool("use_sliding_window", false);
  if (family.sliding_window == 0 || !switched_on) return {};
  if (reader.IsNull("sliding_window")) return {};
  const int window =
      reader.Int("sliding_window", family.sliding_window, 1, std::numeric_limits<int>::max());
  std::vector<int> windows(static_cast<size_t>(num_layers), window);
  if (reader.Has("layer_types")) {
    const Json& types = reader.At("layer_types");
    if (!types.is_array() || types.size() != windows.size()) {
      reader.Fail("not a list with one entry a layer", "layer_types");
      return {};
    }
    for (size_t i = 0; i < windows.size(); ++i) {
      if (types[i] == "full_attention") {
        windows[i] = 0;
      } else if (types[i] != "sliding_attention") {
        reader.Fail("only full_attention and sliding_attention are supported", "layer_types");
      }
    }
  } else if (family.window_needs_switch) {
    const int first = reader.Int("max_window_layers", 28, 0, std::numeric_limits<int>::max());
    std::fill_n(windows.begin(), std::min(first, num_layers), 0);
  }
  const bool any = std::any_of(windows.begin(), windows.end(), [](int w) { return w > 0; });
  return any ? windows : std::vector<int>{};
}

// Keys that change the mathematics and are not supported yet; a value that changes nothing is let
// through.
void RefuseUnsupported(Reader& reader) {
  const std::string activation = reader.Text("hidden_act", "silu");
  if (activation != "silu" && activation != "swish") {
    reader.Fail("activation \"" + activation.substr(0, 100) + "\" is not supported; silu is",
                "hidden_act");
  }
  if (reader.Positive("partial_rotary_factor", 1) != 1) {
    reader.Fail("only 1 is supported", "partial_rotary_factor");
  }
}

void ReadDimensions(const Family& family, Reader& reader, ModelConfig& config) {
  config.vocab_size = reader.RequiredInt("vocab_size", kMaxDimension);
  config.vocab_limit = reader.Int("runahead_vocab_limit", config.vocab_size, 1, config.vocab_size);
  config.hidden_size = reader.RequiredInt("hidden_size", kMaxDimension);
  config.intermediate_size = reader.RequiredInt("intermediate_size", kMaxDimension);
  config.num_layers = reader.RequiredInt("num_hidden_layers", kMaxLayers);
  config.num_heads = reader.RequiredInt("num_attention_heads", kMaxHeads);
  const int kv_fallback = family.num_kv_heads > 0 ? family.num_kv_heads : config.num_heads;
  config.num_kv_heads = reader.Int("num_key_value_heads", kv_fallback, 1, kMaxHeads);
  if (config.num_heads % config.num_kv_heads != 0) {
    reader.Fail(std::to_string(config.num_kv_heads) + " does not divide num_attention_heads " +
                    std::to_string(config.num_heads),
                "num_key_value_heads");
  }
  if (!reader.Has("head_dim") && family.head_dim == 0 &&
      config.hidden_size % config.num_heads != 0) {
    reader.Fail("missing, and num_attention_heads does not divide hidden_size", "head_dim");
  }
  const int dim_fallback =
      family.head_dim > 0 ? family.head_dim : config.hidden_size / config.num_heads;
  config.head_dim = reader.Int("head_dim", dim_fallback, 2, kMaxHeadDim);
  if (config.head_dim < 2 || config.head_dim > kMaxHeadDim || config.head_dim % 2 != 0) {
    reader.Fail(std::to_string(config.head_dim) + " is not even, or not from 2 to 1024",
                "head_dim");
  }
  config.max_positions = reader.Int("max_position_embeddings", family.max_positions, 1,
                                    std::numeric_limits<int>::max());
}

// Adds the ids of `key` (a number or a list) that are not there yet.
void AddStopIds(Reader& reader, int vocab_limit, std::vector<int32_t>& ids) {
  const char* key = "eos_token_id";
  if (!reader.Has(key)) return;
  const Json& value = reader.At(key);
  for (const Json& id : value.is_array() ? value : Json::array({value})) {
    const int64_t number = id.is_number_integer() ? id.get<int64_t>() : -1;
    if (number < 0 || number >= vocab_limit) {
      reader.Fail("not a token id of the vocabulary", key);
      return;
    }
    const auto token = static_cast<int32_t>(number);
    if (std::find(ids.begin(), ids.end(), token) == ids.end()) ids.push_back(token);
  }
}

DType ReadDType(Reader& reader) {
  const std::string name = reader.Text("dtype", reader.Text("torch_dtype", "bfloat16"));
  if (name == "float32") return DType::kF32;
  if (name == "float16") return DType::kF16;
  if (name != "bfloat16") reader.Fail("float32, float16 and bfloat16 are supported", "dtype");
  return DType::kBF16;
}

// "compression_config" is the older name of the key.
Status ReadQuantization(const Json& json, const Reader& reader, ModelConfig& config) {
  for (const char* key : {"quantization_config", "compression_config"}) {
    if (!reader.Has(key)) continue;
    const std::string text = json[key].dump(-1, ' ', false, Json::error_handler_t::replace);
    RA_ASSIGN_OR_RETURN(config.quantized, QuantizedModules(text, ModulesOf(config)));
    if (config.tie_embeddings && config.quantized.contains(kEmbeddingModule)) {
      return InvalidArgument(
          std::string(key) +
              ": a quantized embedding table that is the head, too, is not supported",
          key);
    }
    return {};
  }
  return {};
}

Result<std::string> ReadFile(const std::string& path) {
  constexpr std::uintmax_t kMaxBytes = 16 << 20;
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error) return Status(StatusCode::kNotFound, "cannot read " + path + ": " + error.message());
  if (size > kMaxBytes) return InvalidArgument(path + " is larger than 16 MiB");
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return InvalidArgument("cannot read " + path);
  return text.str();
}

}  // namespace

int64_t ModelConfig::NumWeights() const {
  const int64_t h = hidden_size;
  const int64_t i = intermediate_size;
  const int64_t q = int64_t{num_heads} * head_dim;
  const int64_t biases =
      (qkv_bias ? qkv_rows() : 0) + (output_bias ? h : 0) + (mlp_bias ? 2 * i + h : 0);
  const int64_t layer =
      h * qkv_rows() + q * h + 3 * h * i + 2 * h + biases + (qk_norm ? 2 * head_dim : 0);
  return num_layers * layer + h + vocab_size * h * (tie_embeddings ? 1 : 2);
}

Result<ModelConfig> ParseModelConfig(std::string_view config_json,
                                     std::string_view generation_config_json) {
  const Json json = Json::parse(config_json, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return InvalidArgument("config.json is not a JSON object");
  RA_ASSIGN_OR_RETURN(const Family* const family, FindFamily(json));
  ModelConfig config;
  config.architecture = family->architecture;
  Reader reader(json, "");
  RefuseUnsupported(reader);
  ReadDimensions(*family, reader, config);
  RA_RETURN_IF_ERROR(reader.status());
  config.rms_norm_eps = static_cast<float>(reader.Positive("rms_norm_eps", 1e-6));
  RA_RETURN_IF_ERROR(ReadAllRope(json, reader, config));
  config.tie_embeddings = reader.Bool("tie_word_embeddings", false);
  const bool attention_bias = family->takes_attention_bias && reader.Bool("attention_bias", false);
  config.qkv_bias = family->qkv_bias || attention_bias;
  config.output_bias = attention_bias;
  config.mlp_bias = family->takes_mlp_bias && reader.Bool("mlp_bias", false);
  config.qk_norm = family->qk_norm;
  config.sliding_windows = ReadWindows(*family, reader, config.num_layers);
  config.checkpoint_dtype = ReadDType(reader);
  AddStopIds(reader, config.vocab_limit, config.eos_token_ids);
  if (reader.Has("bos_token_id")) {
    config.bos_token_id = reader.Int("bos_token_id", 0, 0, config.vocab_limit - 1);
  }
  RA_RETURN_IF_ERROR(reader.status());
  RA_RETURN_IF_ERROR(ReadQuantization(json, reader, config));
  if (generation_config_json.empty()) return config;
  const Json generation = Json::parse(generation_config_json, nullptr, false);
  if (!generation.is_object()) return InvalidArgument("generation_config.json is no JSON object");
  Reader generation_reader(generation, "generation_config.");
  AddStopIds(generation_reader, config.vocab_limit, config.eos_token_ids);
  RA_RETURN_IF_ERROR(generation_reader.status());
  return config;
}

Result<ModelConfig> LoadModelConfig(const std::string& directory) {
  RA_ASSIGN_OR_RETURN(const std::string config, ReadFile(directory + "/config.json"));
  const std::string generation_path = directory + "/generation_config.json";
  std::string generation;
  std::error_code ignored;
  if (std::filesystem::exists(generation_path, ignored)) {
    RA_ASSIGN_OR_RETURN(generation, ReadFile(generation_path));
  }
  Result<ModelConfig> parsed = ParseModelConfig(config, generation);
  if (parsed.ok()) return parsed;
  return Status(parsed.status().code(), directory + ": " + parsed.status().message(),
                parsed.status().param());
}

}  // namespace runahead

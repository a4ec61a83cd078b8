#include "compress/quantize_checkpoint.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "nlohmann/json.hpp"

#include "compress/compressed_tensors.h"
#include "compress/safetensors_writer.h"
#include "model/memory_plan.h"
#include "model/model_config.h"
#include "model/tensor_names.h"
#include "model/weight_source.h"

namespace runahead {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kHead = "lm_head";
constexpr const char* kPartialSuffix = ".partial";
// What a model needs beside its tensors and config.json, and what says whose it is.
constexpr const char* kCopied[] = {"generation_config.json",
                                   "tokenizer.json",
                                   "tokenizer.model",
                                   "tokenizer_config.json",
                                   "added_tokens.json",
                                   "special_tokens_map.json",
                                   "vocab.json",
                                   "merges.txt",
                                   "chat_template.jinja",
                                   "chat_template.json",
                                   "LICENSE",
                                   "LICENSE.txt",
                                   "NOTICE",
                                   "USE_POLICY.md"};

Status CannotWrite(const std::string& path, const std::string& why) {
  return {StatusCode::kInternal, "cannot write " + path + ": " + why};
}

// The format of every module of the model, the head included where it is the table.
std::map<std::string, WeightFormat> FormatsByModule(const ModelConfig& config,
                                                    const ModelFormats& formats) {
  std::map<std::string, WeightFormat> modules = {{kEmbeddingModule, formats.embedding},
                                                 {kHead, formats.head}};
  for (int i = 0; i < config.num_layers; ++i) {
    const LayerFormats& layer = formats.layers[static_cast<size_t>(i)];
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    for (const char* name : {"q_proj", "k_proj", "v_proj"}) {
      modules[prefix + "self_attn." + name] = layer.qkv;
    }
    modules[prefix + "self_attn.o_proj"] = layer.output;
    for (const char* name : {"gate_proj", "up_proj"})
      modules[prefix + "mlp." + name] = layer.gate_up;
    modules[prefix + "mlp.down_proj"] = layer.down;
  }
  return modules;
}

// A tensor of the model and what becomes of it.
struct Item {
  std::string source;  // its name in the input
  std::string name;    // its name in the output, before it is quantized
  std::vector<int64_t> shape;
  std::optional<WeightFormat> format;  // absent: it stays as it is
};

std::vector<Item> ItemsOf(const ModelConfig& config,
                          const std::map<std::string, WeightFormat>& formats, bool is_untied) {
  std::vector<Item> items;
  const auto add = [&](const std::string& source, const std::string& name,
                       const std::vector<int64_t>& shape) {
    Item item = {.source = source, .name = name, .shape = shape, .format = std::nullopt};
    const auto found = formats.find(ModuleOfWeight(name));
    if (found != formats.end() && found->second.is_quantized()) item.format = found->second;
    items.push_back(std::move(item));
  };
  for (const NamedShape& tensor : TensorsOf(config)) add(tensor.name, tensor.name, tensor.shape);
  if (is_untied) {
    const std::string table = std::string(kEmbeddingModule) + ".weight";
    add(table, std::string(kHead) + ".weight", {config.vocab_size, config.hidden_size});
  }
  return items;
}

std::string DTypeOf(const TensorView& view) {
  return view.dtype == DType::kF32 ? "F32" : view.dtype == DType::kF16 ? "F16" : "BF16";
}

// A directory that is removed with all it holds unless it is kept.
class PartialDirectory {
 public:
  explicit PartialDirectory(std::string path) : path_(std::move(path)) {}
  PartialDirectory(const PartialDirectory&) = delete;
  PartialDirectory& operator=(const PartialDirectory&) = delete;
  ~PartialDirectory() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

  Status RenameTo(const std::string& name) {
    std::error_code error;
    fs::rename(path_, name, error);
    if (error) return CannotWrite(name, error.message());
    path_.clear();
    return {};
  }

 private:
  std::string path_;
};

// A finished path without a slash at its end.
std::string Plain(const std::string& path) {
  const fs::path plain = fs::path(path).lexically_normal();
  return (plain.has_filename() ? plain : plain.parent_path()).string();
}

Status CreatePartial(const std::string& output) {
  const std::string partial = output + kPartialSuffix;
  std::error_code ignored;
  if (fs::exists(output, ignored)) {
    return InvalidArgument(output + " exists: name a directory that does not");
  }
  if (fs::exists(partial, ignored)) {
    return InvalidArgument(partial + " exists, left over from a run that was cut off: remove it");
  }
  std::error_code error;
  fs::create_directories(partial, error);
  return error ? CannotWrite(partial, error.message()) : Status();
}

class CheckpointQuantizer {
 public:
  // All are borrowed but the source; files go to `directory`.
  CheckpointQuantizer(const QuantizeCheckpointOptions& options,
                      std::unique_ptr<WeightSource> source, std::string directory)
      : options_(options), source_(std::move(source)), directory_(std::move(directory)) {}

  Status WriteTensors(const std::vector<Item>& items) {
    RA_RETURN_IF_ERROR(Plan(items));
    for (size_t shard = 0; shard < shards_.size(); ++shard) {
      RA_RETURN_IF_ERROR(WriteShard(shard, items));
    }
    if (shards_.size() > 1) RA_RETURN_IF_ERROR(WriteIndex());
    return {};
  }

  Status WriteConfig(const std::map<std::string, WeightFormat>& formats, bool is_untied) {
    std::ostringstream text;
    text << std::ifstream(options_.input + "/config.json", std::ios::binary).rdbuf();
    Json json = Json::parse(text.str(), nullptr, /*allow_exceptions=*/false);
    if (!json.is_object())
      return InvalidArgument(options_.input + "/config.json changed meanwhile");
    json["quantization_config"] = Json::parse(QuantizationConfigOf(formats));
    if (is_untied) json["tie_word_embeddings"] = false;
    return WriteFile("config.json", json.dump(2) + "\n");
  }

  Status CopyFiles() {
    for (const char* name : kCopied) {
      const std::string from = options_.input + "/" + name;
      std::error_code error;
      if (!fs::is_regular_file(from, error)) continue;
      fs::copy_file(from, directory_ + "/" + name, error);
      if (error) return CannotWrite(directory_ + "/" + name, error.message());
    }
    return {};
  }

  const QuantizedSummary& summary() const { return summary_; }

 private:
  struct Shard {
    std::vector<size_t> items;
    std::vector<PlannedTensor> tensors;
    int64_t num_bytes = 0;
  };

  // Neighbours together up to the limit; the tensors of one item are never parted.
  Status Plan(const std::vector<Item>& items) {
    for (size_t i = 0; i < items.size(); ++i) {
      const Item& item = items[i];
      std::vector<PlannedTensor> tensors;
      if (item.format) {
        tensors =
            PlanQuantized(ModuleOfWeight(item.name), item.shape[0], item.shape[1], *item.format);
        ++summary_.num_quantized;
        const int group = item.format->group;
        if (group > 0 && item.shape[1] % group != 0) {
          summary_.uneven.push_back(ModuleOfWeight(item.name));
        }
      } else {
        RA_ASSIGN_OR_RETURN(const HostTensor tensor, source_->Fetch(item.source, item.shape));
        tensors = {{item.name, DTypeOf(tensor.view), item.shape, tensor.view.NumBytes()}};
      }
      summary_.num_modules += item.shape.size() == 2 ? 1 : 0;
      num_elements_ += item.shape[0] * (item.shape.size() == 2 ? item.shape[1] : 1);
      int64_t num_bytes = 0;
      for (const PlannedTensor& tensor : tensors) num_bytes += tensor.num_bytes;
      const bool is_full =
          !shards_.empty() && shards_.back().num_bytes + num_bytes > options_.max_shard_bytes;
      if (shards_.empty() || is_full) shards_.emplace_back();
      Shard& shard = shards_.back();
      shard.items.push_back(i);
      shard.tensors.insert(shard.tensors.end(), tensors.begin(), tensors.end());
      shard.num_bytes += num_bytes;
      summary_.bytes_after += num_bytes;
    }
    summary_.num_files = static_cast<int>(shards_.size());
    return {};
  }

  std::string ShardName(size_t shard) const {
    if (shards_.size() == 1) return "model.safetensors";
    char name[64] = {};
    std::snprintf(name, sizeof(name), "model-%05zu-of-%05zu.safetensors", shard + 1,
                  shards_.size());
    return name;
  }

  Status WriteShard(size_t index, const std::vector<Item>& items) {
    const Shard& shard = shards_[index];
    RA_ASSIGN_OR_RETURN(
        const std::unique_ptr<SafetensorsWriter> writer,
        SafetensorsWriter::Create(directory_ + "/" + ShardName(index), shard.tensors));
    for (const size_t i : shard.items) {
      const Item& item = items[i];
      RA_ASSIGN_OR_RETURN(const HostTensor tensor, source_->Fetch(item.source, item.shape));
      if (item.format) {
        auto matrix = QuantizeWeights(tensor.view, *item.format, options_.quantize);
        if (!matrix.ok()) {
          return {matrix.status().code(), item.source + ": " + matrix.status().message()};
        }
        RA_RETURN_IF_ERROR(writer->Append(TensorBytes(*matrix)));
      } else {
        RA_RETURN_IF_ERROR(writer->Append({static_cast<const char*>(tensor.view.data),
                                           static_cast<size_t>(tensor.view.NumBytes())}));
      }
      num_done_ += tensor.view.NumElements();
      if (options_.progress) {
        options_.progress(static_cast<double>(num_done_) / static_cast<double>(num_elements_));
      }
    }
    return writer->Finish();
  }

  Status WriteIndex() {
    Json map = Json::object();
    for (size_t shard = 0; shard < shards_.size(); ++shard) {
      for (const PlannedTensor& tensor : shards_[shard].tensors)
        map[tensor.name] = ShardName(shard);
    }
    const Json index = {{"metadata", {{"total_size", summary_.bytes_after}}}, {"weight_map", map}};
    return WriteFile("model.safetensors.index.json", index.dump(2) + "\n");
  }

  Status WriteFile(const std::string& name, const std::string& text) {
    const std::string path = directory_ + "/" + name;
    errno = 0;
    std::ofstream file(path, std::ios::binary);
    file << text;
    file.close();
    return file ? Status() : CannotWrite(path, errno != 0 ? std::strerror(errno) : "unknown cause");
  }

  const QuantizeCheckpointOptions& options_;
  std::unique_ptr<WeightSource> source_;
  std::string directory_;
  std::vector<Shard> shards_;
  QuantizedSummary summary_;
  int64_t num_elements_ = 0;
  int64_t num_done_ = 0;
};

}  // namespace

Result<QuantizedSummary> QuantizeCheckpoint(const QuantizeCheckpointOptions& options) {
  RA_ASSIGN_OR_RETURN(const ModelConfig config, LoadModelConfig(options.input));
  if (!config.quantized.empty()) {
    return InvalidArgument(options.input + " is quantized already: name the unquantized model");
  }
  RA_ASSIGN_OR_RETURN(const ModelFormats formats, FormatsOf(config, options.formats));
  const std::map<std::string, WeightFormat> modules = FormatsByModule(config, formats);
  const bool is_untied =
      config.tie_embeddings && (formats.embedding.is_quantized() || formats.head.is_quantized());
  const std::vector<Item> items = ItemsOf(config, modules, is_untied);
  if (std::none_of(items.begin(), items.end(),
                   [](const Item& i) { return i.format.has_value(); })) {
    return InvalidArgument("nothing would be quantized: say --quantization int8 or int4");
  }
  Result<std::unique_ptr<WeightSource>> source = OpenCheckpointSource(options.input, config);
  if (!source.ok()) {
    return Status(source.status().code(), options.input + ": " + source.status().message());
  }
  RA_ASSIGN_OR_RETURN(const int64_t bytes_before, CheckCheckpoint(options.input, config));

  const std::string output = Plain(options.output);
  RA_RETURN_IF_ERROR(CreatePartial(output));
  PartialDirectory directory(output + kPartialSuffix);
  CheckpointQuantizer quantizer(options, std::move(*source), directory.path());
  RA_RETURN_IF_ERROR(quantizer.WriteTensors(items));
  RA_RETURN_IF_ERROR(quantizer.CopyFiles());
  RA_RETURN_IF_ERROR(quantizer.WriteConfig(modules, is_untied));
  RA_RETURN_IF_ERROR(directory.RenameTo(output));
  QuantizedSummary summary = quantizer.summary();
  summary.bytes_before = bytes_before;
  summary.is_untied = is_untied;
  return summary;
}

}  // namespace runahead

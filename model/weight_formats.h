// Which format each weight of a model is kept in: one for all, and rules that name others. Value
// types and pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "kernels/device.h"
#include "kernels/linear_weight.h"
#include "model/model_config.h"

namespace runahead {

// "f32", "bf16", "f16", "int8", "int4-g128", "int4-g64-zp" (with zero points).
std::string WeightFormatName(WeightFormat format);

// "none" is no value; "int8"; "int4" is `int4`; "int4-g32", "int4-g64-zp". Errors list them.
Result<std::optional<WeightFormat>> ParseQuantization(std::string_view name, WeightFormat int4);

// What the weights of matching modules are kept in. A module is named as its tensors are, without
// ".weight": "model.layers.0.mlp.down_proj", "model.embed_tokens", "lm_head" (a tied one too). `*`
// stands for any run of characters, dots included, `?` for one; a pattern matches the whole name or
// what follows one of its dots, so that "down_proj" names every layer's.
struct FormatRule {
  std::string pattern;
  std::optional<WeightFormat> format;  // absent: not quantized

  bool operator==(const FormatRule&) const = default;
};

// "pattern=format", with the formats of ParseQuantization.
Result<FormatRule> ParseFormatRule(std::string_view text, WeightFormat int4);

bool MatchesModule(std::string_view pattern, std::string_view module);

// What is wanted of a model.
struct WeightFormats {
  WeightFormats() = default;
  WeightFormats(WeightFormat format)  // NOLINT(google-explicit-constructor): of all
      : unquantized(format.is_quantized() ? WeightFormat::kBF16 : format) {
    if (format.is_quantized()) quantized = format;
  }

  WeightFormat unquantized = WeightFormat::kBF16;  // kBF16, kF16 or kF32: what is not
  // Of all that no rule names. Absent: as the checkpoint stores them.
  std::optional<WeightFormat> quantized = std::nullopt;
  std::vector<FormatRule> rules = {};  // the last that matches holds

  bool operator==(const WeightFormats&) const = default;
};

// What linear layers put out, and the residual stream is kept in, beside such weights.
inline DType ActivationDType(const DeviceInfo& device, const WeightFormats& formats) {
  return device.activations_follow_weights ? formats.unquantized.dtype() : DType::kF32;
}

struct LayerFormats {
  WeightFormat qkv, output, gate_up, down;
};

// The same, spelled out for one model: each weight's own.
struct ModelFormats {
  // kF32, kBF16, kF16 or kInt8: rows are looked up, so a quantized table has one scale a row,
  // whatever the other weights have.
  WeightFormat embedding;
  WeightFormat head;
  std::vector<LayerFormats> layers;

  // The table's rows as they are looked up.
  InputFormat table_rows() const {
    if (embedding.is_quantized()) return {DType::kI8, 0};
    return {embedding.dtype()};
  }
};

// kInvalidArgument where a rule matches no module of the model, or tells apart q, k and v or gate
// and up, which are one layer here.
Result<ModelFormats> FormatsOf(const ModelConfig& config, const WeightFormats& wanted);

// "int4-g128 and int8, head int8, embeddings int8": the layers' formats, and the others where they
// differ.
std::string FormatsText(const ModelFormats& formats);

}  // namespace runahead

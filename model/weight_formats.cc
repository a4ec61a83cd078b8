#include "model/weight_formats.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace runahead {
namespace {

constexpr std::array kGroups = {128, 64, 32};

bool Glob(std::string_view pattern, std::string_view text) {
  size_t p = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;  // the last one met; it takes in text up to `retry`
  size_t retry = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

// Answers for one module after another, and remembers which rules were of use.
class Resolver {
 public:
  Resolver(const ModelConfig& config, const WeightFormats& wanted)
      : config_(config), wanted_(wanted), is_used_(wanted.rules.size()) {}

  WeightFormat Of(const std::string& module) {
    std::optional<WeightFormat> format = wanted_.quantized;
    const auto stored = config_.quantized.find(module);
    if (!format && stored != config_.quantized.end()) format = stored->second.weight_format();
    for (size_t i = 0; i < wanted_.rules.size(); ++i) {
      if (!MatchesModule(wanted_.rules[i].pattern, module)) continue;
      format = wanted_.rules[i].format;
      is_used_[i] = true;
    }
    return format.value_or(wanted_.unquantized);
  }

  // Of modules that are one layer here.
  WeightFormat OfFused(const std::string& prefix, std::initializer_list<const char*> names) {
    const std::string first = prefix + *names.begin();
    const WeightFormat format = Of(first);
    for (const char* name : names) {
      const WeightFormat other = Of(prefix + name);
      if (other == format || !status_.ok()) continue;
      status_ =
          InvalidArgument("quantization would keep " + first + " as " + WeightFormatName(format) +
                          " and " + prefix + name + " as " + WeightFormatName(other) +
                          ", but they are one layer here: name them alike");
    }
    return format;
  }

  Status Check() const {
    RA_RETURN_IF_ERROR(status_);
    for (size_t i = 0; i < is_used_.size(); ++i) {
      if (is_used_[i]) continue;
      return InvalidArgument("the quantization override '" + wanted_.rules[i].pattern +
                             "' matches no weight of the model; they are named as "
                             "model.layers.0.mlp.down_proj, model.embed_tokens and lm_head");
    }
    return {};
  }

 private:
  const ModelConfig& config_;
  const WeightFormats& wanted_;
  std::vector<bool> is_used_;
  Status status_;
};

}  // namespace

std::string WeightFormatName(WeightFormat format) {
  switch (format.type) {
    case WeightType::kF32:
      return "f32";
    case WeightType::kBF16:
      return "bf16";
    case WeightType::kF16:
      return "f16";
    case WeightType::kInt8:
      return format.keeps_activations ? "int8-a16" : "int8";
    case WeightType::kInt4:
      break;
  }
  return "int4-g" + std::to_string(format.group) + (format.has_zero_points ? "-zp" : "");
}

Result<std::optional<WeightFormat>> ParseQuantization(std::string_view name, WeightFormat int4) {
  if (name == "none") return std::optional<WeightFormat>();
  if (name == "int8") return std::optional(WeightFormat::kInt8);
  if (name == "int8-a16") return std::optional(WeightFormat::kInt8A16);
  if (name == "int4") return std::optional(int4);
  for (const int group : kGroups) {
    for (const bool has_zero_points : {false, true}) {
      const WeightFormat format{WeightType::kInt4, group, has_zero_points};
      if (name == WeightFormatName(format)) return std::optional(format);
    }
  }
  return InvalidArgument(
      "'" + std::string(name.substr(0, 80)) +
      "' is none of none, int8, int8-a16, int4, int4-g128, int4-g64, int4-g32 and, with "
      "zero points, int4-g128-zp, int4-g64-zp, int4-g32-zp");
}

Result<FormatRule> ParseFormatRule(std::string_view text, WeightFormat int4) {
  const size_t equals = text.rfind('=');
  if (equals == std::string_view::npos || equals == 0) {
    return InvalidArgument("'" + std::string(text.substr(0, 80)) +
                           "' is not of the form pattern=format, such as lm_head=int8");
  }
  FormatRule rule{.pattern = std::string(text.substr(0, equals)), .format = {}};
  RA_ASSIGN_OR_RETURN(rule.format, ParseQuantization(text.substr(equals + 1), int4));
  return rule;
}

bool MatchesModule(std::string_view pattern, std::string_view module) {
  if (Glob(pattern, module)) return true;
  for (size_t dot = module.find('.'); dot != std::string_view::npos;
       dot = module.find('.', dot + 1)) {
    if (Glob(pattern, module.substr(dot + 1))) return true;
  }
  return false;
}

Result<ModelFormats> FormatsOf(const ModelConfig& config, const WeightFormats& wanted) {
  Resolver resolver(config, wanted);
  ModelFormats formats;
  formats.embedding = resolver.Of("model.embed_tokens");
  if (formats.embedding.is_quantized()) formats.embedding = WeightFormat::kInt8;
  formats.head = resolver.Of("lm_head");
  for (int i = 0; i < config.num_layers; ++i) {
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    LayerFormats layer;
    layer.qkv = resolver.OfFused(prefix + "self_attn.", {"q_proj", "k_proj", "v_proj"});
    layer.output = resolver.Of(prefix + "self_attn.o_proj");
    layer.gate_up = resolver.OfFused(prefix + "mlp.", {"gate_proj", "up_proj"});
    layer.down = resolver.Of(prefix + "mlp.down_proj");
    formats.layers.push_back(layer);
  }
  RA_RETURN_IF_ERROR(resolver.Check());
  return formats;
}

std::string FormatsText(const ModelFormats& formats) {
  std::vector<WeightFormat> distinct;
  for (const LayerFormats& layer : formats.layers) {
    for (const WeightFormat format : {layer.qkv, layer.output, layer.gate_up, layer.down}) {
      if (std::ranges::find(distinct, format) == distinct.end()) distinct.push_back(format);
    }
  }
  std::string text;
  for (const WeightFormat format : distinct) {
    text += (text.empty() ? "" : " and ") + WeightFormatName(format);
  }
  const auto differs = [&](WeightFormat format) {
    return distinct.size() != 1 || !(format == distinct[0]);
  };
  if (differs(formats.head)) text += ", head " + WeightFormatName(formats.head);
  if (differs(formats.embedding)) text += ", embeddings " + WeightFormatName(formats.embedding);
  return text;
}

}  // namespace runahead

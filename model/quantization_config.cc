#include "model/quantization_config.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "nlohmann/json.hpp"

#include "model/name_pattern.h"

namespace runahead {
namespace {

using Json = nlohmann::json;

constexpr int kGroups[] = {128, 64, 32};  // of a backend, largest first
constexpr size_t kMaxExpressions = 64;    // "re:" patterns of one configuration
constexpr std::string_view kPacked = "pack-quantized";
constexpr std::string_view kPlain = "int-quantized";
constexpr std::string_view kMixed = "mixed-precision";

Status Refuse(const std::string& where, const std::string& what) {
  const std::string key = "quantization_config" + (where.empty() ? "" : "." + where);
  return InvalidArgument(key + ": " + what, key);
}

std::string Shown(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 100);
}

bool Has(const Json& object, const char* key) {
  return object.contains(key) && !object[key].is_null();
}

// Text, or `fallback` where there is none; anything else is shown as JSON, which no name equals.
std::string Word(const Json& object, const char* key, std::string_view fallback) {
  if (!Has(object, key)) return std::string(fallback);
  return object[key].is_string() ? object[key].get<std::string>() : Shown(object[key]);
}

// Of "weights" or "input_activations"; what is absent has compressed-tensors' default.
class Args {
 public:
  Args(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}

  Status Check() const {
    if (!json_.is_object()) return Refuse(where_, "not an object");
    if (type() != "int") return Refuse(where_, "type " + type() + " is not supported; int is");
    return {};
  }

  const std::string& where() const { return where_; }
  std::string type() const { return Word(json_, "type", "int"); }
  int num_bits() const { return Int("num_bits", 8); }
  int group_size() const { return Int("group_size", -1); }  // -1: none
  bool is_symmetric() const { return IsTrue("symmetric", true); }
  bool is_dynamic() const { return IsTrue("dynamic", false); }

  std::string strategy() const {
    const char* implied = !Has(json_, "group_size") ? "tensor"
                          : group_size() > 0        ? "group"
                                                    : "channel";
    return Word(json_, "strategy", implied);
  }
  // Columns in another order than they are stored in, which g_idx says.
  bool is_reordered() const {
    if (!Has(json_, "actorder")) return false;
    const Json& order = json_["actorder"];
    return order != false && order != "weight" && order != "static";
  }

 private:
  int Int(const char* key, int fallback) const {
    if (!Has(json_, key)) return fallback;
    const double number = json_[key].is_number() ? json_[key].get<double>() : 0;
    const bool is_whole = number == std::floor(number) && std::abs(number) <= 1 << 24;
    return is_whole ? static_cast<int>(number) : 0;  // 0 is refused everywhere
  }
  bool IsTrue(const char* key, bool fallback) const {
    return Has(json_, key) ? json_[key] == true : fallback;
  }

  const Json& json_;
  std::string where_;
};

Status CheckInputs(const Args& args) {
  RA_RETURN_IF_ERROR(args.Check());
  if (!args.is_dynamic()) {
    return Refuse(args.where(),
                  "static activation scales are not supported; dynamic ones of 8 bits are");
  }
  if (args.num_bits() != 8) {
    return Refuse(args.where(), std::to_string(args.num_bits()) +
                                    "-bit activations are not supported; 8-bit ones are");
  }
  if (!args.is_symmetric()) {
    return Refuse(args.where(), "activations with zero points are not supported");
  }
  if (args.strategy() != "token") {
    return Refuse(args.where(),
                  "strategy " + args.strategy() + " of activations is not supported; token is");
  }
  return {};
}

// Elements that share a scale: 0 a row, -1 the tensor.
Result<int> GroupOf(const Args& args) {
  const std::string strategy = args.strategy();
  if (strategy == "channel") return 0;
  if (strategy == "tensor") return -1;
  if (strategy != "group") {
    return Refuse(args.where(),
                  "strategy " + strategy + " is not supported; group, channel and tensor are");
  }
  if (args.num_bits() != 4) {
    return Refuse(args.where(), "8-bit weights in groups are not supported; 8 bits by channel are");
  }
  const int group = args.group_size();
  if (group >= kGroups[2] && group % kGroups[2] == 0) return group;
  return Refuse(args.where(), "group_size " + std::to_string(group) +
                                  " is not supported; 32, 64, 128 and multiples of 32 are");
}

Result<StoredFormat> ReadWeights(const Args& args, bool has_inputs, std::string format) {
  RA_RETURN_IF_ERROR(args.Check());
  const int bits = args.num_bits();
  if (bits != 4 && bits != 8) {
    return Refuse(args.where(),
                  std::to_string(bits) + "-bit weights are not supported; 4 and 8 bits are");
  }
  if (args.is_dynamic()) return Refuse(args.where(), "dynamic weights are not supported");
  if (args.is_reordered()) {
    return Refuse(args.where(),
                  "actorder that needs g_idx is not supported; weight and static are");
  }
  if (!args.is_symmetric() && (bits == 8 || args.strategy() == "tensor")) {
    return Refuse(args.where(),
                  "zero points of 8-bit weights, or one for a whole tensor, are not "
                  "supported; those of 4-bit groups and channels are");
  }
  if (format == kMixed) format = has_inputs && bits == 8 ? kPlain : kPacked;
  if (format == "naive-quantized" && bits == 8) format = kPlain;
  if (format != kPacked && (format != kPlain || bits != 8)) {
    return Refuse("format", format + " of " + std::to_string(bits) +
                                "-bit weights is not supported; pack-quantized (4 and 8 bits) and "
                                "int-quantized (8 bits) are");
  }
  StoredFormat stored = {.is_packed = format == kPacked,
                         .num_bits = bits,
                         .has_zero_points = !args.is_symmetric(),
                         .keeps_activations = bits == 8 && !has_inputs};
  RA_ASSIGN_OR_RETURN(stored.group, GroupOf(args));
  return stored;
}

struct Scheme {
  std::vector<NamePattern> targets;
  std::optional<StoredFormat> weights;  // nothing: only its activations were to be quantized
};

Result<std::vector<NamePattern>> ReadPatterns(const Json& list, const std::string& where) {
  std::vector<NamePattern> patterns;
  if (!list.is_array()) return Refuse(where, "not a list");
  for (const Json& item : list) {
    if (!item.is_string()) return Refuse(where, Shown(item) + " is no name");
    Result<NamePattern> pattern = NamePattern::Parse(item.get<std::string>());
    if (!pattern.ok()) return Refuse(where, pattern.status().message());
    patterns.push_back(std::move(*pattern));
  }
  return patterns;
}

Result<Scheme> ReadScheme(const Json& group, const std::string& where, const std::string& format) {
  if (!group.is_object()) {
    return Refuse(where, "schemes by name are not supported; only spelled-out ones are");
  }
  Scheme scheme;
  if (!Has(group, "targets")) return Refuse(where + ".targets", "missing");
  RA_ASSIGN_OR_RETURN(scheme.targets, ReadPatterns(group["targets"], where + ".targets"));
  if (Has(group, "output_activations")) {
    return Refuse(where + ".output_activations", "quantized outputs are not supported");
  }
  const bool has_inputs = Has(group, "input_activations");
  if (has_inputs) {
    RA_RETURN_IF_ERROR(CheckInputs(Args(group["input_activations"], where + ".input_activations")));
  }
  if (!Has(group, "weights")) return Refuse(where + ".weights", "missing");
  RA_ASSIGN_OR_RETURN(scheme.weights, ReadWeights(Args(group["weights"], where + ".weights"),
                                                  has_inputs, Word(group, "format", format)));
  return scheme;
}

// Parts of the format that change what is computed and that we do not have.
Status RefuseUnsupported(const Json& json) {
  const std::string method = Word(json, "quant_method", "compressed-tensors");
  if (method != "compressed-tensors") {
    return Refuse("quant_method", method + " is not supported; compressed-tensors is");
  }
  const std::string status = Word(json, "quantization_status", "compressed");
  if (status != "compressed") {
    return Refuse("quantization_status", status + " is not supported; compressed is");
  }
  if (Has(json, "kv_cache_scheme")) {
    return Refuse(
        "kv_cache_scheme",
        "a checkpoint's own KV cache scales are not supported (--kv-cache-dtype has ours)");
  }
  const auto is_empty = [](const Json& value) {
    return value.empty() || (value.is_object() && value.value("format", Json()) == "dense");
  };
  for (const char* key : {"sparsity_config", "transform_config", "moe_sparsity_config"}) {
    if (Has(json, key) && !is_empty(json[key])) return Refuse(key, "not supported");
  }
  return {};
}

// Finds the scheme of a module; sorted once so that exact names are looked up, not searched.
class Matcher {
 public:
  Matcher(std::vector<Scheme> schemes, std::vector<NamePattern> ignore)
      : schemes_(std::move(schemes)) {
    for (size_t s = 0; s < schemes_.size(); ++s) {
      for (NamePattern& target : schemes_[s].targets) {
        // A target given twice belongs to the later scheme, as in a Python dictionary.
        const std::string text = target.text();
        if (target.is_regex()) {
          expressions_.insert_or_assign(text, std::pair(std::move(target), s));
        } else {
          names_[text] = s;
        }
      }
    }
    for (NamePattern& pattern : ignore) {
      if (pattern.is_regex()) {
        ignored_expressions_.push_back(std::move(pattern));
      } else {
        ignored_names_.insert(pattern.text());
      }
    }
  }

  size_t num_expressions() const { return expressions_.size() + ignored_expressions_.size(); }

  Result<std::optional<StoredFormat>> Find(const ModuleOfModel& module) const {
    const std::string class_name = module.is_embedding ? "Embedding" : "Linear";
    RA_ASSIGN_OR_RETURN(const bool ignored, IsIgnored(module.name, class_name));
    if (ignored) return std::optional<StoredFormat>();
    if (const auto exact = names_.find(module.name); exact != names_.end()) {
      return schemes_[exact->second].weights;
    }
    for (const auto& [text, found] : expressions_) {
      RA_ASSIGN_OR_RETURN(const bool matches, found.first.MatchesName(module.name));
      if (matches) return schemes_[found.second].weights;
    }
    for (const std::string& name : {class_name, std::string("Module")}) {
      if (const auto by_class = names_.find(name); by_class != names_.end()) {
        return schemes_[by_class->second].weights;
      }
    }
    return std::optional<StoredFormat>();
  }

 private:
  Result<bool> IsIgnored(const std::string& name, const std::string& class_name) const {
    if (ignored_names_.contains(name) || ignored_names_.contains(class_name)) return true;
    for (const NamePattern& pattern : ignored_expressions_) {
      RA_ASSIGN_OR_RETURN(const bool matches, pattern.MatchesName(name));
      if (matches) return true;
    }
    return false;
  }

  std::vector<Scheme> schemes_;
  std::map<std::string, size_t> names_;  // of modules and of classes, to the scheme
  std::map<std::string, std::pair<NamePattern, size_t>> expressions_;
  std::set<std::string> ignored_names_;
  std::vector<NamePattern> ignored_expressions_;
};

}  // namespace

WeightFormat StoredFormat::weight_format() const {
  if (num_bits == 8) return keeps_activations ? WeightFormat::kInt8A16 : WeightFormat::kInt8;
  const auto* fits = std::find_if(std::begin(kGroups), std::end(kGroups),
                                  [&](int size) { return group <= 0 || group % size == 0; });
  return {WeightType::kInt4, *fits, has_zero_points};
}

Result<std::map<std::string, StoredFormat>> QuantizedModules(
    std::string_view json_text, std::span<const ModuleOfModel> modules) {
  const Json json = Json::parse(json_text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Refuse("", "not an object");
  RA_RETURN_IF_ERROR(RefuseUnsupported(json));
  if (!json.contains("config_groups") || !json["config_groups"].is_object()) {
    return Refuse("config_groups", "missing, or not an object");
  }
  std::vector<Scheme> schemes;
  for (const auto& [name, group] : json["config_groups"].items()) {
    const std::string where = "config_groups." + name.substr(0, 100);
    RA_ASSIGN_OR_RETURN(Scheme scheme, ReadScheme(group, where, Word(json, "format", "no format")));
    schemes.push_back(std::move(scheme));
  }
  std::vector<NamePattern> ignore;
  if (Has(json, "ignore")) {
    RA_ASSIGN_OR_RETURN(ignore, ReadPatterns(json["ignore"], "ignore"));
  }
  const Matcher matcher(std::move(schemes), std::move(ignore));
  if (matcher.num_expressions() > kMaxExpressions) {
    return Refuse("", "more than 64 regular expressions");
  }
  std::map<std::string, StoredFormat> quantized;
  for (const ModuleOfModel& module : modules) {
    Result<std::optional<StoredFormat>> found = matcher.Find(module);
    if (!found.ok()) return Refuse("", found.status().message());
    if (!found->has_value()) continue;
    if (module.is_embedding) (*found)->keeps_activations = false;  // it has none
    quantized.emplace(module.name, **found);
  }
  return quantized;
}

}  // namespace runahead

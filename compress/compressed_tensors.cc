#include "compress/compressed_tensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#include "nlohmann/json.hpp"

#include "core/check.h"
#include "model/tensor_names.h"

namespace runahead {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kCodesAWord = 8;  // of 4 bits

int64_t DivUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <typename T>
std::string_view BytesOf(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// Rows of bytes, each filled up with zeros to whole words.
std::string PackedCodes(const OwnedQuantizedMatrix& matrix) {
  const auto from = static_cast<size_t>(DivUp(matrix.k, 2));
  const auto to = static_cast<size_t>(4 * DivUp(matrix.k, kCodesAWord));
  std::string bytes(static_cast<size_t>(matrix.n) * to, '\0');
  for (size_t row = 0; row < static_cast<size_t>(matrix.n); ++row) {
    std::memcpy(bytes.data() + row * to, matrix.codes.data() + row * from, from);
  }
  return bytes;
}

// Word [r, g] holds rows 8 r .. 8 r + 7, the first in its lowest bits.
std::string PackedZeroPoints(const OwnedQuantizedMatrix& matrix) {
  const auto groups = static_cast<size_t>(matrix.num_groups());
  const auto n = static_cast<size_t>(matrix.n);
  std::string bytes(4 * static_cast<size_t>(DivUp(matrix.n, kCodesAWord)) * groups, '\0');
  for (size_t row = 0; row < n; ++row) {
    const size_t nibble = row % kCodesAWord;
    for (size_t g = 0; g < groups; ++g) {
      char& byte = bytes[4 * (row / kCodesAWord * groups + g) + nibble / 2];
      byte = static_cast<char>(byte | matrix.zero_points[row * groups + g] << (nibble % 2 * 4));
    }
  }
  return bytes;
}

Json WeightArgs(WeightFormat format) {
  if (format.type == WeightType::kInt8) {
    return {{"num_bits", 8},
            {"type", "int"},
            {"symmetric", true},
            {"strategy", "channel"},
            {"dynamic", false}};
  }
  return {{"num_bits", 4},
          {"type", "int"},
          {"symmetric", !format.has_zero_points},
          {"strategy", "group"},
          {"group_size", format.group},
          {"dynamic", false}};
}

const char* FormatName(WeightFormat format) {
  return format.type == WeightType::kInt8 ? "int-quantized" : "pack-quantized";
}

// A linear layer of 8 bits takes inputs of 8 bits, scaled token by token as they come, unless its
// format keeps them.
Json Scheme(const std::vector<std::string>& targets, WeightFormat format, bool is_linear) {
  const Json inputs = {{"num_bits", 8},
                       {"type", "int"},
                       {"symmetric", true},
                       {"strategy", "token"},
                       {"dynamic", true}};
  const bool has_inputs =
      is_linear && format.type == WeightType::kInt8 && !format.keeps_activations;
  return {{"targets", targets},
          {"weights", WeightArgs(format)},
          {"input_activations", has_inputs ? inputs : Json()},
          {"output_activations", nullptr},
          {"format", FormatName(format)}};
}

// Modules of one format.
struct Group {
  WeightFormat format;
  std::vector<std::string> modules;
};

std::vector<Group> GroupsOf(const std::map<std::string, WeightFormat>& modules) {
  std::vector<Group> groups;
  for (const auto& [name, format] : modules) {
    if (name == kEmbeddingModule || !format.is_quantized()) continue;
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&f = format](const Group& g) { return g.format == f; });
    if (group == groups.end()) group = groups.insert(group, Group{format, {}});
    group->modules.push_back(name);
  }
  // The most common one is that of the class; names beat a class, so the rest need no exception.
  std::stable_sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) {
    return a.modules.size() > b.modules.size();
  });
  if (!groups.empty()) groups.front().modules = {"Linear"};
  return groups;
}

}  // namespace

std::vector<PlannedTensor> PlanQuantized(const std::string& module, int64_t n, int64_t k,
                                         WeightFormat format) {
  RA_CHECK(format.is_quantized());
  if (format.type == WeightType::kInt8) {
    return {{module + ".weight", "I8", {n, k}, n * k},
            {module + ".weight_scale", "BF16", {n, 1}, 2 * n}};
  }
  const int64_t groups = DivUp(k, format.group);
  const int64_t words = DivUp(k, kCodesAWord);
  std::vector<PlannedTensor> tensors = {
      {module + ".weight_packed", "I32", {n, words}, 4 * n * words},
      {module + ".weight_scale", "BF16", {n, groups}, 2 * n * groups},
      {module + ".weight_shape", "I64", {2}, 16}};
  if (format.has_zero_points) {
    const int64_t rows = DivUp(n, kCodesAWord);
    tensors.push_back({module + ".weight_zero_point", "I32", {rows, groups}, 4 * rows * groups});
  }
  return tensors;
}

std::string TensorBytes(const OwnedQuantizedMatrix& matrix) {
  const std::string scales(BytesOf(matrix.scales));
  if (matrix.format.type == WeightType::kInt8) {
    return std::string(BytesOf(matrix.codes)) + scales;
  }
  const std::vector<int64_t> shape = {matrix.n, matrix.k};
  std::string bytes = PackedCodes(matrix) + scales;
  bytes += BytesOf(shape);
  if (matrix.format.has_zero_points) bytes += PackedZeroPoints(matrix);
  return bytes;
}

std::string QuantizationConfigOf(const std::map<std::string, WeightFormat>& modules) {
  Json groups = Json::object();
  std::string format;
  const auto add = [&](const std::vector<std::string>& targets, WeightFormat f, bool is_linear) {
    groups["group_" + std::to_string(groups.size())] = Scheme(targets, f, is_linear);
    const bool is_first = format.empty();
    format = is_first || format == FormatName(f) ? FormatName(f) : "mixed-precision";
  };
  for (const Group& group : GroupsOf(modules)) add(group.modules, group.format, true);
  const auto table = modules.find(kEmbeddingModule);
  const bool has_table = table != modules.end() && table->second.is_quantized();
  const bool has_linear = !groups.empty();
  if (has_table) add({kEmbeddingModule}, table->second, false);
  Json ignore = Json::array();
  for (const auto& [name, f] : modules) {
    if (has_linear && name != kEmbeddingModule && !f.is_quantized()) ignore.push_back(name);
  }
  const Json config = {{"quant_method", "compressed-tensors"},
                       {"format", format},
                       {"quantization_status", "compressed"},
                       {"config_groups", groups},
                       {"ignore", ignore},
                       {"kv_cache_scheme", nullptr},
                       {"global_compression_ratio", nullptr}};
  return config.dump(2);
}

}  // namespace runahead

// The JSON header of a safetensors file, checked entry by entry. Immutable values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace runahead {

// One tensor's entry in a header, checked against the file's size.
struct TensorEntry {
  std::string name;
  std::string dtype;           // as the header names it: "BF16"
  std::vector<int64_t> shape;  // outermost first; empty for a scalar
  int64_t begin = 0;           // byte range within the data section
  int64_t end = 0;

  int64_t num_bytes() const { return end - begin; }
};

// "[2048, 512]".
std::string ShapeName(const std::vector<int64_t>& shape);

// Headers longer than this are refused, as the format's reference implementation does.
inline constexpr int64_t kMaxHeaderBytes = 100'000'000;

// Parses the JSON of a header whose data section has data_bytes bytes. Entries come in file order
// and tile the data section without overlap or hole. "__metadata__" is checked and dropped.
Result<std::vector<TensorEntry>> ParseSafetensorsHeader(std::string_view header,
                                                        int64_t data_bytes);

}  // namespace runahead

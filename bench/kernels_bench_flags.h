// KernelsBenchFlags: what kernels_bench is asked to time. Value type.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/check.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/linear_weight.h"

namespace runahead {

struct NamedFormat {
  std::string name;
  WeightFormat format;
};

inline NamedFormat FormatOf(const std::string& name) {
  const std::map<std::string, WeightFormat> known = {
      {"f32", WeightFormat::kF32},
      {"bf16", WeightFormat::kBF16},
      {"int8", WeightFormat::kInt8},
      {"int4", WeightFormat::kInt4},
      {"int4-g64", {WeightType::kInt4, 64, false}},
      {"int4-g32", {WeightType::kInt4, 32, false}},
      {"int4-zero", {WeightType::kInt4, 128, true}},
  };
  const auto found = known.find(name);
  RA_CHECK(found != known.end(), "no format " + name);
  return {name, found->second};
}

struct KernelsBenchFlags {
  std::string only;
  std::string isa;
  std::string model = "llama-3.2-1b";  // whose layers; "all": every known shape
  std::vector<NamedFormat> formats = {FormatOf("int4"), FormatOf("int8"), FormatOf("bf16")};
  std::vector<int> rows = {1, 2, 4, 5, 8, 16, 32, 512};
  int num_threads = cpu::DefaultNumThreads();
  int context = 128;
  int rows_each = 1;  // of a sequence, in steps
  double seconds = 0.7;
};

inline std::vector<std::string> SplitAtCommas(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

inline KernelsBenchFlags ParseKernelsBenchFlags(int argc, char** argv) {
  KernelsBenchFlags flags;
  const std::map<std::string, std::function<void(const std::string&)>> known = {
      {"--only", [&](const std::string& v) { flags.only = v; }},
      {"--isa", [&](const std::string& v) { flags.isa = v; }},
      {"--model", [&](const std::string& v) { flags.model = v; }},
      {"--threads", [&](const std::string& v) { flags.num_threads = std::stoi(v); }},
      {"--context", [&](const std::string& v) { flags.context = std::stoi(v); }},
      {"--rows-each", [&](const std::string& v) { flags.rows_each = std::stoi(v); }},
      {"--seconds", [&](const std::string& v) { flags.seconds = std::stod(v); }},
      {"--format",
       [&](const std::string& v) {
         flags.formats.clear();
         for (const std::string& name : SplitAtCommas(v)) flags.formats.push_back(FormatOf(name));
       }},
      {"--rows",
       [&](const std::string& v) {
         flags.rows.clear();
         for (const std::string& rows : SplitAtCommas(v)) flags.rows.push_back(std::stoi(rows));
       }},
  };
  for (int i = 1; i + 1 < argc; i += 2) {
    const auto flag = known.find(argv[i]);
    RA_CHECK(flag != known.end(), std::string("no flag ") + argv[i]);
    flag->second(argv[i + 1]);
  }
  return flags;
}

}  // namespace runahead

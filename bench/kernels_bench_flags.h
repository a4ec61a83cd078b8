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

struct KernelsBenchFlags {
  std::string only;
  std::string isa;
  WeightFormat format = WeightFormat::kBF16;
  std::vector<int> rows = {1, 2, 4, 5, 8, 16, 32, 128, 512};
  int num_threads = cpu::DefaultNumThreads();
  int context = 128;
  int rows_each = 1;  // of a sequence, in steps
  double seconds = 0.7;
};

inline KernelsBenchFlags ParseKernelsBenchFlags(int argc, char** argv) {
  KernelsBenchFlags flags;
  const std::map<std::string, std::function<void(const std::string&)>> known = {
      {"--only", [&](const std::string& v) { flags.only = v; }},
      {"--isa", [&](const std::string& v) { flags.isa = v; }},
      {"--threads", [&](const std::string& v) { flags.num_threads = std::stoi(v); }},
      {"--context", [&](const std::string& v) { flags.context = std::stoi(v); }},
      {"--rows-each", [&](const std::string& v) { flags.rows_each = std::stoi(v); }},
      {"--seconds", [&](const std::string& v) { flags.seconds = std::stod(v); }},
      {"--format",
       [&](const std::string& v) {
         flags.format = v == "f32" ? WeightFormat::kF32 : WeightFormat::kBF16;
       }},
      {"--rows",
       [&](const std::string& v) {
         flags.rows.clear();
         for (size_t at = 0; at < v.size();
              at = v.find(',', at) == std::string::npos ? v.size() : v.find(',', at) + 1) {
           flags.rows.push_back(std::stoi(v.substr(at)));
         }
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

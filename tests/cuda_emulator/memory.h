// The emulated device's global memory: exact bounds of every allocation. One host thread only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace runahead::emulator {

class GlobalMemory {
 public:
  void Add(const void* base, int64_t bytes);
  void Remove(const void* base);

  // Whether [address, address + bytes) lies within one allocation.
  bool Contains(const void* address, int64_t bytes) {
    const auto at = reinterpret_cast<uintptr_t>(address);
    for (const Range& range : recent_) {
      if (at - range.base < range.bytes)
        return at - range.base + static_cast<uintptr_t>(bytes) <= range.bytes;
    }
    return Search(at, static_cast<uintptr_t>(bytes));
  }

  // ", 4 bytes behind an allocation of 64", or empty: for messages.
  std::string Neighbour(const void* address) const;

 private:
  struct Range {
    uintptr_t base = 0;
    uintptr_t bytes = 0;
  };
  bool Search(uintptr_t at, uintptr_t bytes);

  std::vector<Range> ranges_;  // by base
  Range recent_[4];            // last found: a kernel reads a few arrays over and over
  int next_recent_ = 0;
};

}  // namespace runahead::emulator

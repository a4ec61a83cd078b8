#include "tests/cuda_emulator/memory.h"

#include <algorithm>

#include "core/check.h"

namespace runahead::emulator {

void GlobalMemory::Add(const void* base, int64_t bytes) {
  const Range range{reinterpret_cast<uintptr_t>(base), static_cast<uintptr_t>(bytes)};
  const auto after = std::find_if(ranges_.begin(), ranges_.end(),
                                  [&](const Range& other) { return other.base > range.base; });
  ranges_.insert(after, range);
}

void GlobalMemory::Remove(const void* base) {
  const auto at = reinterpret_cast<uintptr_t>(base);
  const auto found = std::find_if(ranges_.begin(), ranges_.end(),
                                  [&](const Range& range) { return range.base == at; });
  RA_CHECK(found != ranges_.end(), "not an allocation of the emulated device");
  ranges_.erase(found);
  for (Range& range : recent_) range = {};
}

std::string GlobalMemory::Neighbour(const void* address) const {
  const auto at = reinterpret_cast<uintptr_t>(address);
  for (auto range = ranges_.rbegin(); range != ranges_.rend(); ++range) {
    if (range->base > at) continue;
    return ", at byte " + std::to_string(at - range->base) + " of an allocation of " +
           std::to_string(range->bytes);
  }
  return "";
}

bool GlobalMemory::Search(uintptr_t at, uintptr_t bytes) {
  auto after =
      std::upper_bound(ranges_.begin(), ranges_.end(), at,
                       [](uintptr_t value, const Range& range) { return value < range.base; });
  if (after == ranges_.begin()) return false;
  const Range& range = *(after - 1);
  if (at - range.base + bytes > range.bytes) return false;
  recent_[next_recent_++ % 4] = range;
  return true;
}

}  // namespace runahead::emulator

#include "kernels/host_memory.h"

#include <algorithm>
#include <new>

#include <sys/mman.h>
#include <unistd.h>

namespace runahead {
namespace {

constexpr int64_t kHugePageBytes = int64_t{2} << 20;

int64_t RoundUp(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

}  // namespace

DeviceBuffer AllocateHostMemory(int64_t bytes) {
  if (bytes <= 0) return {};
  const bool huge = bytes >= kHugePageBytes;
  const int64_t usable = RoundUp(bytes, huge ? kHugePageBytes : 4096);
  // mmap aligns to 4 KiB, so a huge page's alignment costs one page of address space.
  const int64_t mapped = usable + (huge ? kHugePageBytes : 0);
  void* base = mmap(nullptr, static_cast<size_t>(mapped), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) throw std::bad_alloc();
  auto address = reinterpret_cast<int64_t>(base);
  if (huge) {
    address = RoundUp(address, kHugePageBytes);
    // Advice alone: where the kernel refuses, small pages serve.
    madvise(reinterpret_cast<void*>(address), static_cast<size_t>(usable), MADV_HUGEPAGE);
  }
  return {reinterpret_cast<void*>(address), bytes,
          [base, mapped](void*) { munmap(base, static_cast<size_t>(mapped)); }};
}

int64_t HostMemoryBytes() {
  return int64_t{sysconf(_SC_PHYS_PAGES)} * int64_t{sysconf(_SC_PAGE_SIZE)};
}

}  // namespace runahead

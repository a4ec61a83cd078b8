// Where the compiler reports a kernel's accesses: kernels are compiled with -fsanitize=thread,
// whose calls end here instead of in a sanitizer's run-time library. Each load and store of memory
// that may be shared calls one of these first; what stays in registers or never leaves its function
// does not.
#include "tests/cuda_emulator/machine.h"

using runahead::emulator::Access;
using runahead::emulator::BugKind;
using runahead::emulator::Machine;

namespace {

inline void On(const void* address, int64_t bytes, Access access, const void* pc) {
  Machine& machine = Machine::Get();
  if (!machine.is_in_kernel()) return;
  const Machine::Inside inside;
  machine.OnAccess(address, bytes, access, pc);
}

// Accesses the compiler takes to be aligned, because their type is.
inline void OnAligned(const void* address, int64_t bytes, Access access, const void* pc) {
  Machine& machine = Machine::Get();
  if (!machine.is_in_kernel()) return;
  const Machine::Inside inside;
  if (reinterpret_cast<uintptr_t>(address) % static_cast<uintptr_t>(bytes) != 0) {
    machine.Report(BugKind::kMisaligned,
                   "misaligned: an access of " + std::to_string(bytes) + " bytes", pc);
    machine.Abandon();
  }
  machine.OnAccess(address, bytes, access, pc);
}

}  // namespace

// The names are the compiler's.
// NOLINTBEGIN(bugprone-reserved-identifier)
#define RA_ACCESS_HOOKS(bytes)                                              \
  extern "C" void __tsan_read##bytes(void* address) {                       \
    OnAligned(address, bytes, Access::kRead, __builtin_return_address(0));  \
  }                                                                         \
  extern "C" void __tsan_write##bytes(void* address) {                      \
    OnAligned(address, bytes, Access::kWrite, __builtin_return_address(0)); \
  }                                                                         \
  extern "C" void __tsan_unaligned_read##bytes(void* address) {             \
    On(address, bytes, Access::kRead, __builtin_return_address(0));         \
  }                                                                         \
  extern "C" void __tsan_unaligned_write##bytes(void* address) {            \
    On(address, bytes, Access::kWrite, __builtin_return_address(0));        \
  }

RA_ACCESS_HOOKS(1)
RA_ACCESS_HOOKS(2)
RA_ACCESS_HOOKS(4)
RA_ACCESS_HOOKS(8)
RA_ACCESS_HOOKS(16)

// Atomics of the host's library that share a source file with a kernel (kernels have primitives).
#define RA_ATOMIC_HOOKS(bits, type)                                                     \
  extern "C" type __tsan_atomic##bits##_load(const volatile type* at, int) {            \
    return __atomic_load_n(at, __ATOMIC_SEQ_CST);                                       \
  }                                                                                     \
  extern "C" void __tsan_atomic##bits##_store(volatile type* at, type value, int) {     \
    __atomic_store_n(at, value, __ATOMIC_SEQ_CST);                                      \
  }                                                                                     \
  extern "C" type __tsan_atomic##bits##_fetch_add(volatile type* at, type value, int) { \
    return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST);                             \
  }                                                                                     \
  extern "C" type __tsan_atomic##bits##_fetch_sub(volatile type* at, type value, int) { \
    return __atomic_fetch_sub(at, value, __ATOMIC_SEQ_CST);                             \
  }

RA_ATOMIC_HOOKS(8, unsigned char)
RA_ATOMIC_HOOKS(32, unsigned)
RA_ATOMIC_HOOKS(64, unsigned long)

extern "C" void __tsan_read_range(void* address, size_t bytes) {
  On(address, static_cast<int64_t>(bytes), Access::kRead, __builtin_return_address(0));
}
extern "C" void __tsan_write_range(void* address, size_t bytes) {
  On(address, static_cast<int64_t>(bytes), Access::kWrite, __builtin_return_address(0));
}
extern "C" void __tsan_init() {}
extern "C" void __tsan_func_entry(void* /*caller*/) {}
extern "C" void __tsan_func_exit() {}
extern "C" void __tsan_vptr_update(void* /*at*/, void* /*value*/) {}
extern "C" void __tsan_vptr_read(void* /*at*/) {}
// NOLINTEND(bugprone-reserved-identifier)

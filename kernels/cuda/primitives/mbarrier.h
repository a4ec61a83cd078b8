// Asynchronous barriers in shared memory, and bulk copies that report to them (sm_90).
//
// A phase of a barrier ends when all its arrivals have come and all bytes announced in it are
// there; then the next begins. Phases are waited for by parity: 0, 1, 0, ... A wait for the phase
// before the current one returns at once, so the first wait for a buffer nobody has used yet names
// parity 1.
#pragma once

#include "kernels/cuda/primitives/async_copy.h"
#include "kernels/cuda/primitives/platform.h"

namespace runahead::RA_CUDA {

struct Mbarrier {
  uint64_t state;  // the device's own
};

#if defined(RA_CUDA_EMULATOR)

inline void InitBarrier(Mbarrier& barrier, int num_arrivals) {
  emulator::InitMbarrier(&barrier, num_arrivals);
}
inline void Arrive(Mbarrier& barrier) { emulator::ArriveMbarrier(&barrier, 0); }
inline void ArriveExpecting(Mbarrier& barrier, int bytes) {
  emulator::ArriveMbarrier(&barrier, bytes);
}
inline void ArriveWhenCopied(Mbarrier& barrier) { emulator::ArriveWhenCopied(&barrier); }
inline void WaitPhase(Mbarrier& barrier, int parity,
                      const emulator::Where& at = emulator::Where::current()) {
  emulator::WaitMbarrier(&barrier, parity, at);
}
inline void CopyBulk(void* shared, const void* global, int bytes, Mbarrier& barrier) {
  emulator::CopyBulk(shared, global, bytes, &barrier);
}
inline void FenceAsyncProxy() { emulator::FenceAsyncProxy(); }

#else

// mbarrier.init: expects `num_arrivals` a phase. One thread; others may use it after a barrier, and
// bulk copies after a FenceAsyncProxy of that thread.
RA_DEVICE void InitBarrier(Mbarrier& barrier, int num_arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(SharedAddress(&barrier)),
               "r"(num_arrivals)
               : "memory");
}
// mbarrier.arrive: one arrival; orders this thread's accesses before what waiters do.
RA_DEVICE void Arrive(Mbarrier& barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(SharedAddress(&barrier))
               : "memory");
}
// mbarrier.arrive.expect_tx: announces bytes of the current phase, then arrives.
RA_DEVICE void ArriveExpecting(Mbarrier& barrier, int bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(SharedAddress(&barrier)),
      "r"(bytes)
      : "memory");
}
// cp.async.mbarrier.arrive.noinc: one arrival, when all cp.async this thread has begun are there.
RA_DEVICE void ArriveWhenCopied(Mbarrier& barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(SharedAddress(&barrier))
               : "memory");
}
// mbarrier.try_wait.parity, until the phase of `parity` is over.
RA_DEVICE void WaitPhase(Mbarrier& barrier, int parity) {
  uint32_t is_over = 0;
  while (is_over == 0) {
    asm volatile(
        "{\n"
        ".reg .pred over;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2;\n"
        "selp.u32 %0, 1, 0, over;\n"
        "}"
        : "=r"(is_over)
        : "r"(SharedAddress(&barrier)), "r"(parity)
        : "memory");
  }
}
// cp.async.bulk: `bytes` from global to shared memory, all multiples of 16; its barrier counts them
// when they are there.
RA_DEVICE void CopyBulk(void* shared, const void* global, int bytes, Mbarrier& barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(SharedAddress(shared)),
      "l"(global), "r"(bytes), "r"(SharedAddress(&barrier))
      : "memory");
}
// fence.proxy.async: orders shared memory accesses before it, this thread's and those it knows of,
// before later ones of wgmma and bulk copies. cp.async writes as threads do, and needs it too.
RA_DEVICE void FenceAsyncProxy() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

#endif

}  // namespace runahead::RA_CUDA

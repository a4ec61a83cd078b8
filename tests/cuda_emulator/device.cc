#include "tests/cuda_emulator/device.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "tests/cuda_emulator/machine.h"

namespace runahead::emulator {
namespace {

Machine& Here() { return Machine::Get(); }

void CheckAligned(const void* address, int64_t bytes, int64_t alignment) {
  if (reinterpret_cast<uintptr_t>(address) % static_cast<uintptr_t>(alignment) == 0) return;
  Here().Report(BugKind::kMisaligned, "misaligned: an access of " + std::to_string(bytes) +
                                          " bytes must be at a multiple of " +
                                          std::to_string(alignment));
  Here().Abandon();
}

template <typename T>
void CheckAtomic(const T* at) {
  CheckAligned(at, sizeof(T), sizeof(T));
  Here().OnAccess(at, sizeof(T), Access::kAtomic, nullptr);
}

// What each lane brings to a shuffle, and takes away.
struct ShuffleOperand {
  alignas(16) char value[16];
  int source;
};

void ShuffleLanes(void* const* operands, uint32_t mask) {
  char values[kWarpSize][16];
  for (int lane = 0; lane < kWarpSize; ++lane) {
    if ((mask >> lane & 1u) == 0) continue;
    std::memcpy(values[lane], static_cast<ShuffleOperand*>(operands[lane])->value, 16);
  }
  for (int lane = 0; lane < kWarpSize; ++lane) {
    if ((mask >> lane & 1u) == 0) continue;
    auto* operand = static_cast<ShuffleOperand*>(operands[lane]);
    if (operand->source < 0 || operand->source >= kWarpSize ||
        (mask >> operand->source & 1u) == 0) {
      Here().Report(BugKind::kDivergence, "a shuffle from lane " + std::to_string(operand->source) +
                                              ", which takes no part");
      Here().Abandon();
    }
    std::memcpy(operand->value, values[operand->source], 16);
  }
}

struct BallotOperand {
  bool predicate;
  uint32_t result;
};

void BallotLanes(void* const* operands, uint32_t mask) {
  uint32_t result = 0;
  for (int lane = 0; lane < kWarpSize; ++lane) {
    if ((mask >> lane & 1u) == 0) continue;
    if (static_cast<BallotOperand*>(operands[lane])->predicate) result |= 1u << lane;
  }
  for (int lane = 0; lane < kWarpSize; ++lane) {
    if ((mask >> lane & 1u) != 0) static_cast<BallotOperand*>(operands[lane])->result = result;
  }
}

struct ReduceOperand {
  int32_t value;
  Reduction reduction;
};

void ReduceLanes(void* const* operands, uint32_t mask) {
  bool is_first = true;
  int32_t result = 0;
  for (int lane = 0; lane < kWarpSize; ++lane) {
    if ((mask >> lane & 1u) == 0) continue;
    const auto& operand = *static_cast<ReduceOperand*>(operands[lane]);
    const auto sum =
        static_cast<int32_t>(static_cast<uint32_t>(result) + static_cast<uint32_t>(operand.value));
    result = is_first                               ? operand.value
             : operand.reduction == Reduction::kAdd ? sum
             : operand.reduction == Reduction::kMin ? std::min(result, operand.value)
                                                    : std::max(result, operand.value);
    is_first = false;
  }
  for (int lane = 0; lane < kWarpSize; ++lane) {
    if ((mask >> lane & 1u) != 0) static_cast<ReduceOperand*>(operands[lane])->value = result;
  }
}

void SyncLanes(void* const* /*operands*/, uint32_t mask) {
  Here().clocks().SyncWarp(Here().current() / kWarpSize, mask);
}

}  // namespace

int LinearThread() { return Here().current(); }

Dim ThreadIndex() {
  const Machine::Inside inside;
  const Dim& block = Here().shape().block;
  const int t = Here().current();
  return {t % block.x, t / block.x % block.y, t / block.x / block.y};
}

Dim BlockIndex() { return Here().block_index(); }
Dim BlockSize() { return Here().shape().block; }
Dim GridSize() { return Here().shape().grid; }

void SyncThreads(const Where& where) {
  const Machine::Inside inside;
  Here().SyncThreads(where);
}
void SyncNamed(int barrier, int num_threads, const Where& where) {
  const Machine::Inside inside;
  Here().SyncNamed(barrier, num_threads, true, where);
}
void ArriveNamed(int barrier, int num_threads, const Where& where) {
  const Machine::Inside inside;
  Here().SyncNamed(barrier, num_threads, false, where);
}
void SyncWarp(uint32_t mask) {
  const Machine::Inside inside;
  Here().Collect(SyncLanes, "__syncwarp", mask, nullptr);
}

void* StaticShared(const void* key, int64_t bytes, int64_t alignment) {
  const Machine::Inside inside;
  return Here().StaticShared(key, bytes, alignment);
}
void* DynamicShared() {
  const Machine::Inside inside;
  return Here().DynamicShared();
}

void CheckRead(const void* address, int64_t bytes, int64_t alignment) {
  const Machine::Inside inside;
  CheckAligned(address, bytes, alignment);
  Here().OnAccess(address, bytes, Access::kRead, nullptr);
}
void CheckWrite(const void* address, int64_t bytes, int64_t alignment) {
  const Machine::Inside inside;
  CheckAligned(address, bytes, alignment);
  Here().OnAccess(address, bytes, Access::kWrite, nullptr);
}

int32_t AtomicAdd(int32_t* at, int32_t value) {
  const Machine::Inside inside;
  CheckAtomic(at);
  const int32_t before = *at;
  *at = static_cast<int32_t>(static_cast<uint32_t>(before) + static_cast<uint32_t>(value));
  return before;
}
uint32_t AtomicAdd(uint32_t* at, uint32_t value) {
  const Machine::Inside inside;
  CheckAtomic(at);
  return std::exchange(*at, *at + value);
}
float AtomicAdd(float* at, float value) {
  const Machine::Inside inside;
  CheckAtomic(at);
  return std::exchange(*at, *at + value);
}
int32_t AtomicMax(int32_t* at, int32_t value) {
  const Machine::Inside inside;
  CheckAtomic(at);
  return std::exchange(*at, std::max(*at, value));
}
uint32_t AtomicMax(uint32_t* at, uint32_t value) {
  const Machine::Inside inside;
  CheckAtomic(at);
  return std::exchange(*at, std::max(*at, value));
}

void Trap(const char* message) {
  const Machine::Inside inside;
  Here().Report(BugKind::kTrap, std::string("trap: ") + message);
  Here().Abandon();
}

void Shuffle(void* value, int64_t bytes, int source, uint32_t mask) {
  const Machine::Inside inside;
  ShuffleOperand operand = {};
  std::memcpy(operand.value, value, static_cast<size_t>(bytes));
  operand.source = source;
  Here().Collect(ShuffleLanes, "shfl", mask, &operand);
  std::memcpy(value, operand.value, static_cast<size_t>(bytes));
}

uint32_t Ballot(bool predicate, uint32_t mask) {
  const Machine::Inside inside;
  BallotOperand operand = {predicate, 0};
  Here().Collect(BallotLanes, "vote", mask, &operand);
  return operand.result;
}

int32_t Reduce(int32_t value, Reduction reduction, uint32_t mask) {
  const Machine::Inside inside;
  ReduceOperand operand = {value, reduction};
  Here().Collect(ReduceLanes, "redux", mask, &operand);
  return operand.value;
}

void CopyAsync(void* shared, const void* global, int64_t bytes, int64_t source_bytes) {
  const Machine::Inside inside;
  CheckAligned(shared, bytes, bytes);
  CheckAligned(global, bytes, bytes);
  Here().CopyAsync(shared, global, bytes, source_bytes);
}
void CommitAsync() {
  const Machine::Inside inside;
  Here().CommitAsync();
}
void WaitAsync(int num_pending_groups) {
  const Machine::Inside inside;
  Here().WaitAsync(static_cast<size_t>(num_pending_groups));
}

void InitMbarrier(void* at, int num_arrivals) {
  const Machine::Inside inside;
  CheckAligned(at, kMbarrierBytes, kMbarrierBytes);
  Here().InitMbarrier(at, num_arrivals);
}
void ArriveMbarrier(void* at, int64_t bytes) {
  const Machine::Inside inside;
  Here().ArriveMbarrier(at, bytes);
}
void ArriveWhenCopied(void* at) {
  const Machine::Inside inside;
  Here().ArriveWhenCopied(at);
}
void WaitMbarrier(void* at, int parity, const Where& where) {
  const Machine::Inside inside;
  Here().WaitMbarrier(at, parity, where);
}
void CopyBulk(void* shared, const void* global, int64_t bytes, void* barrier) {
  const Machine::Inside inside;
  CheckAligned(shared, bytes, 16);
  CheckAligned(global, bytes, 16);
  Here().CopyBulk(shared, global, bytes, barrier);
}
void FenceAsyncProxy() {
  const Machine::Inside inside;
  Here().FenceAsyncProxy();
}

uint32_t SharedAddress(const void* shared) {
  const Machine::Inside inside;
  return Here().SharedAddress(shared);
}
void WgmmaFence() {
  const Machine::Inside inside;
  Here().WgmmaFence();
}
void WgmmaS8(int32_t* d, int n, uint64_t a, uint64_t b, bool accumulates) {
  const Machine::Inside inside;
  Here().WgmmaS8(d, n, a, b, accumulates);
}
void WgmmaCommit() {
  const Machine::Inside inside;
  Here().WgmmaCommit();
}
void WgmmaWait(int num_pending_groups) {
  const Machine::Inside inside;
  Here().WgmmaWait(static_cast<size_t>(num_pending_groups));
}

}  // namespace runahead::emulator

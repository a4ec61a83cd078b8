// Machine: one emulated multiprocessor that runs the blocks of a grid one after another, the
// threads of a block as fibers in random order. One host thread only.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/cuda_emulator/clocks.h"
#include "tests/cuda_emulator/device.h"
#include "tests/cuda_emulator/fiber.h"
#include "tests/cuda_emulator/global_shadow.h"
#include "tests/cuda_emulator/matrix_descriptor.h"
#include "tests/cuda_emulator/mbarrier.h"
#include "tests/cuda_emulator/memory.h"
#include "tests/cuda_emulator/shadow.h"

namespace runahead::emulator {

inline constexpr int kMaxThreads = 1024;
inline constexpr int kNumBarriers = 16;
inline constexpr int kWarpgroupSize = 128;
inline constexpr int64_t kMbarrierBytes = 8;

// Runs once all lanes of a warp instruction have come: operands[lane] is what each brought.
using Collective = void (*)(void* const* operands, uint32_t mask);

class Machine {
 public:
  static Machine& Get();

  // Host side.
  void Run(const LaunchShape& shape, void (*entry)(void*), void* argument, int64_t argument_bytes);
  void Seed(uint64_t seed) { random_.seed(static_cast<uint32_t>(seed ^ seed >> 32)); }
  void SetAccessChecks(bool are_on) { has_checks_ = are_on; }
  void SetCollector(BugCollector* collector) { collector_ = collector; }
  void ReportBug(BugKind kind, const std::string& message);
  GlobalMemory& memory() { return memory_; }
  const LaunchShape& last_shape() const { return last_shape_; }

  // Device side: called by the thread that runs.
  const LaunchShape& shape() const { return *shape_; }
  Dim block_index() const { return block_index_; }
  int current() const { return current_; }
  void SyncThreads(const Where& where);
  void SyncNamed(int barrier, int num_threads, bool waits, const Where& where);
  void Collect(Collective collective, const char* name, uint32_t mask, void* operand);
  Clocks& clocks() { return clocks_; }
  void* StaticShared(const void* key, int64_t bytes, int64_t alignment);
  void* DynamicShared() { return arena_; }
  void CopyAsync(void* shared, const void* global, int64_t bytes, int64_t source_bytes);
  void CommitAsync();
  void WaitAsync(size_t num_pending_groups);
  void InitMbarrier(void* at, int num_arrivals);
  void ArriveMbarrier(void* at, int64_t bytes);
  void ArriveWhenCopied(void* at);
  void WaitMbarrier(void* at, int parity, const Where& where);
  void CopyBulk(void* shared, const void* global, int64_t bytes, void* barrier);
  void FenceAsyncProxy();
  uint32_t SharedAddress(const void* shared);
  void WgmmaFence();
  void WgmmaS8(int32_t* d, int n, uint64_t a, uint64_t b, bool accumulates);
  void WgmmaCommit();
  void WgmmaWait(size_t num_pending_groups);
  // A bug of the running thread; it then abandons itself, with nothing on its stack that owns
  // memory (so these are two).
  void Report(BugKind kind, const std::string& message, const void* pc = nullptr);
  [[noreturn]] void Abandon();

  // Entered by whatever a kernel calls: until it is left, accesses are the emulator's own and not
  // looked at (the library functions it uses may be the copies that were compiled with a kernel).
  class Inside {
   public:
    Inside() : was_in_kernel_(std::exchange(Get().is_in_kernel_, false)) {}
    ~Inside() { Get().is_in_kernel_ = was_in_kernel_; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    bool was_in_kernel_;
  };
  bool is_in_kernel() const { return is_in_kernel_; }

  // A kernel's access, as the compiler reports it; a primitive's has no `pc`.
  void OnAccess(const void* address, int64_t bytes, Access access, const void* pc) {
    if (has_checks_) Check(address, bytes, access, pc);
  }
  void Check(const void* address, int64_t bytes, Access access, const void* pc);
  void CheckGlobal(const void* address, int64_t bytes, Access access, const void* pc);

 private:
  struct AsyncCopy {
    char* to;
    const void* from;
    int64_t bytes;
    int64_t source_bytes;  // the rest is zeros
  };
  // Copies that an mbarrier is told of.
  struct AsyncWork {
    std::vector<AsyncCopy> copies;
    int64_t barrier = 0;   // shared byte
    bool is_bulk = false;  // one copy, told in bytes; else one arrival
    uint32_t time = 0;     // of the clocks' agent
    Clocks::Join join;     // what its issuer knew
  };
  // Registers that wgmma add to, on a thread's stack.
  struct Accumulators {
    uintptr_t begin;
    uintptr_t bytes;
    int num_pending;  // wgmma under way
    bool is_touched;  // since the last fence
  };
  struct Wgmma {
    int n = 0;
    MatrixDescriptor a, b;
    bool accumulates = false;
    std::array<int32_t*, kWarpgroupSize> d = {};
    std::vector<int32_t> before;  // [128, n / 2]: sums before it; empty where a wgmma made them

    bool IsSame(const Wgmma& other) const {
      return n == other.n && a == other.a && b == other.b && accumulates == other.accumulates;
    }
  };
  struct Operand {
    int32_t* d;
    const Wgmma* wgmma;
  };
  struct Warpgroup {
    // Its threads meet at every instruction.
    const char* at = nullptr;
    int num_arrived = 0;
    std::array<void*, kWarpgroupSize> operands = {};
    bool has_fenced = false;
    std::vector<Wgmma> open;
    std::deque<std::vector<Wgmma>> groups;
  };
  struct Thread {
    explicit Thread(Fiber its_fiber) : fiber(its_fiber) {}
    Fiber fiber;
    const char* waits_for = nullptr;
    Where where;
    std::vector<AsyncCopy> open_group;
    std::deque<std::vector<AsyncCopy>> groups;
    std::vector<Accumulators> accumulators;
  };
  struct Barrier {
    int num_arrived = 0;
    int num_threads = 0;
    Where where;
    std::vector<int> waiting;
    Clocks::Join join;
  };
  struct Pending {
    Collective collective = nullptr;
    const char* name = nullptr;
    uint32_t mask = 0;
    uint32_t arrived = 0;
    std::array<void*, kWarpSize> operands = {};
  };
  struct StaticObject {
    const void* key;
    int64_t begin;
    int64_t end;
  };

  Machine();
  bool CheckShape(const LaunchShape& shape);
  void RunBlock();
  void EndThread();
  void ReportStall();
  void Wait(const char* for_what, const Where& where);
  void Wake(int thread) { ready_.push_back(thread); }
  void WakeAll(Barrier& barrier);
  uint32_t ExistingLanes(int warp) const;
  AsyncCopy StartCopy(void* shared, const void* global, int64_t bytes, int64_t source_bytes);
  void Complete(const AsyncCopy& copy, int writer, uint32_t time, bool is_bulk);
  Mbarrier& BarrierAt(const void* at, const char* what);
  void EndPhase(Mbarrier& barrier);
  void FinishWork(size_t which);
  void CheckAsyncEnd();
  std::string MbarriersText() const;
  template <typename Work>
  void MeetWarpgroup(const char* name, void* operand, Work work);
  Accumulators& AccumulatorsAt(int thread, int32_t* d, int count);
  void NoteMatrixRead(const MatrixDescriptor& matrix, int begin, int end, int thread,
                      bool is_issue);
  void NoteWgmmaReads(const Wgmma& wgmma, int first, bool is_issue);
  void FinishWgmma(const Wgmma& wgmma, int first);
  void CheckAccumulators(const void* address, int64_t bytes, const void* pc);
  void CheckWarpgroupEnd();
  bool IsShared(int64_t at, int64_t bytes) const;
  void Poison(int64_t begin, int64_t end);
  void Step();

  FiberStacks stacks_{kMaxThreads};
  std::vector<Thread> threads_;
  GlobalMemory memory_;
  BugCollector* collector_ = nullptr;
  std::minstd_rand random_{1};
  bool has_checks_ = true;
  bool is_in_kernel_ = false;

  LaunchShape last_shape_;

  // The running launch and block.
  const LaunchShape* shape_ = nullptr;
  void (*entry_)(void*) = nullptr;
  void* argument_ = nullptr;
  int64_t argument_bytes_ = 0;
  Dim block_index_;
  int num_threads_ = 0;
  int num_ended_ = 0;
  int current_ = -1;  // -1: the host
  bool has_failed_ = false;
  std::vector<int> ready_;
  std::array<uint32_t, kMaxThreads / kWarpSize> ended_lanes_ = {};  // by warp
  std::array<Barrier, kNumBarriers> barriers_;
  std::vector<std::vector<Pending>> pending_;  // by warp
  Clocks clocks_;
  std::map<int64_t, Mbarrier> mbarriers_;  // by shared byte
  std::vector<AsyncWork> in_flight_;
  std::vector<Warpgroup> warpgroups_;
  bool has_accumulators_ = false;

  // Shared memory: the dynamic part from 0, static objects behind it.
  std::vector<char> arena_memory_;
  char* arena_ = nullptr;
  int64_t arena_used_ = 0;
  std::vector<StaticObject> statics_;
  SharedShadow shadow_{clocks_};
  GlobalShadow global_shadow_{clocks_};
};

}  // namespace runahead::emulator

// The CUDA emulator's host side: launches, device memory, streams and the bugs that were found. It
// runs on the thread that calls; one thread of the process at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace runahead::emulator {

struct Dim {
  int x = 1;
  int y = 1;
  int z = 1;
};

struct LaunchShape {
  Dim grid;
  Dim block;
  int64_t shared_bytes = 0;  // dynamic
  std::string name;          // for messages
};

// What a device of compute capability 9.0 allows a block, its own 1 KB taken off.
inline constexpr int64_t kMaxSharedBytes = 227 * 1024;
inline constexpr int64_t kDefaultSharedBytes = 48 * 1024;  // without AllowSharedMemory

enum class BugKind : uint8_t {
  kRace,  // two threads at a byte of shared memory, one of them writing, no barrier between
  kUninitialised,  // read of shared memory nobody wrote
  kOutOfBounds,    // outside every allocation, or of a block's shared memory
  kMisaligned,
  kDivergence,  // threads of a block at different barriers, lanes at different warp instructions
  kStall,       // every thread waits
  kTrap,        // the kernel's own check
  kUnfenced,    // wgmma or a bulk copy without the fence it needs
  kBarrier,     // an mbarrier that is none, or told more or less than its phases take
  kLaunch,      // a shape no device takes
};

struct Bug {
  BugKind kind;
  std::string message;
};

// While one lives, bugs are collected in it: the launch that has one ends there. Without one a bug
// aborts the process.
class BugCollector {
 public:
  BugCollector();
  ~BugCollector();
  BugCollector(const BugCollector&) = delete;
  BugCollector& operator=(const BugCollector&) = delete;

  const std::vector<Bug>& bugs() const { return bugs_; }
  bool Has(BugKind kind) const;

 private:
  friend class Machine;
  std::vector<Bug> bugs_;
};

// Threads, warps and blocks run in an order drawn from `seed`: another seed, another order.
void SetSeed(uint64_t seed);
// Whether every access is checked (the default). Barriers, collectives and bounds of the
// primitives' own accesses always are.
void SetAccessChecks(bool are_on);
// Whether this build's kernels report their accesses at all (not under sanitizers, which do so
// themselves).
bool HasAccessChecks();

// Memory that kernels may touch, to the byte.
void AddMemory(const void* base, int64_t bytes);
void RemoveMemory(const void* base);

// Runs every thread of every block of the grid: `entry(argument)` in each. They may read the
// argument's bytes.
void Run(const LaunchShape& shape, void (*entry)(void*), void* argument, int64_t argument_bytes);

// The shape of the launch that ran last.
const LaunchShape& LastLaunch();

// Lets `kernel` have more than 48 KB of dynamic shared memory.
void AllowSharedMemory(const void* kernel, int64_t bytes);
bool CheckSharedMemory(const void* kernel, const LaunchShape& shape);

// Work in order, done when someone waits for it and no sooner: what a host changes too early is
// seen.
class Stream {
 public:
  void Enqueue(std::function<void()> work) { work_.push_back(std::move(work)); }
  void Synchronize();
  // Takes what has been enqueued since the last wait, without running it.
  std::vector<std::function<void()>> TakeWork();

 private:
  std::vector<std::function<void()>> work_;
};

}  // namespace runahead::emulator

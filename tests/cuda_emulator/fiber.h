// Fibers: the threads of an emulated block, each with a stack of its own. One host thread only.
#pragma once

#include <cstddef>
#include <cstdint>

namespace runahead::emulator {

// The stacks of all fibers in one mapping, so that "is this a stack?" is one comparison. Each has a
// guard page below it.
class FiberStacks {
 public:
  explicit FiberStacks(int count);
  ~FiberStacks();
  FiberStacks(const FiberStacks&) = delete;
  FiberStacks& operator=(const FiberStacks&) = delete;

  // Lowest usable byte and size of stack `i`. Tops differ by a few cache lines from stack to stack:
  // were they all at the same place of a page, hundreds of them would share one cache set.
  char* base(int i) const { return memory_ + static_cast<size_t>(i) * kStride + kGuardBytes; }
  size_t size(int i) const;
  bool Contains(const void* address) const {
    return reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(memory_) < bytes_;
  }

 private:
#if defined(__SANITIZE_ADDRESS__)
  static constexpr size_t kStride = 512 * 1024;  // red zones between locals
#else
  static constexpr size_t kStride = 128 * 1024;
#endif
  static constexpr size_t kGuardBytes = 4096;

  char* memory_;
  size_t bytes_;
};

// A function that runs on a stack of its own and gives way where it says so. Dropping one that has
// not ended is allowed: what stood on its stack is forgotten, not destroyed.
class Fiber {
 public:
  using Entry = void (*)(void* argument);

  // Borrows the stack.
  Fiber(char* stack, size_t stack_bytes) : stack_(stack), stack_bytes_(stack_bytes) {}

  // Makes `entry(argument)` what the next Resume() runs, whatever ran before.
  void Start(Entry entry, void* argument);
  // Runs the fiber until it suspends or ends. Called outside of it.
  void Resume();
  // Gives way to whoever resumed. Called inside.
  void Suspend();
  bool has_ended() const { return has_ended_; }

 private:
  void Run();

  char* stack_;
  size_t stack_bytes_;
  void* context_ = nullptr;  // where to go on
  void* resumer_ = nullptr;  // where to give way to
  Entry entry_ = nullptr;
  void* argument_ = nullptr;
  bool has_ended_ = true;
  // AddressSanitizer's view of both stacks.
  const void* resumer_stack_ = nullptr;
  size_t resumer_stack_bytes_ = 0;
};

}  // namespace runahead::emulator

#include "tests/cuda_emulator/fiber.h"

#include <boost/context/detail/fcontext.hpp>
#include <sys/mman.h>

#include "core/check.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace runahead::emulator {
namespace {

namespace context = boost::context::detail;

// AddressSanitizer must know which stack is in use. A null `fake_stack` says that the one that is
// left will not be entered again.
void BeforeSwitch([[maybe_unused]] void** fake_stack, [[maybe_unused]] const void* to,
                  [[maybe_unused]] size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(fake_stack, to, bytes);
#endif
}

void AfterSwitch([[maybe_unused]] void* fake_stack, [[maybe_unused]] const void** from,
                 [[maybe_unused]] size_t* bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_stack, from, bytes);
#endif
}

}  // namespace

FiberStacks::FiberStacks(int count) : bytes_(static_cast<size_t>(count) * kStride) {
  void* mapped = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  RA_CHECK(mapped != MAP_FAILED, "stacks of the emulated threads");
  memory_ = static_cast<char*>(mapped);
  for (int i = 0; i < count; ++i) mprotect(base(i) - kGuardBytes, kGuardBytes, PROT_NONE);
}

FiberStacks::~FiberStacks() { munmap(memory_, bytes_); }

size_t FiberStacks::size(int i) const {
  constexpr size_t kColourBytes = 448;  // odd multiple of a cache line: neighbours share no set
  return kStride - kGuardBytes - static_cast<size_t>(i % 37) * kColourBytes;
}

void Fiber::Start(Entry entry, void* argument) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(stack_, stack_bytes_);  // a dropped fiber's frames
#endif
  entry_ = entry;
  argument_ = argument;
  has_ended_ = false;
  context_ =
      context::make_fcontext(stack_ + stack_bytes_, stack_bytes_, [](context::transfer_t from) {
        auto* fiber = static_cast<Fiber*>(from.data);
        fiber->resumer_ = from.fctx;
        fiber->Run();
      });
}

void Fiber::Run() {
  AfterSwitch(nullptr, &resumer_stack_, &resumer_stack_bytes_);
  entry_(argument_);
  has_ended_ = true;
  BeforeSwitch(nullptr, resumer_stack_, resumer_stack_bytes_);
  context::jump_fcontext(resumer_, nullptr);
}

void Fiber::Resume() {
  void* fake_stack = nullptr;
  BeforeSwitch(&fake_stack, stack_, stack_bytes_);
  context_ = context::jump_fcontext(context_, this).fctx;
  AfterSwitch(fake_stack, nullptr, nullptr);
}

void Fiber::Suspend() {
  void* fake_stack = nullptr;
  BeforeSwitch(&fake_stack, resumer_stack_, resumer_stack_bytes_);
  resumer_ = context::jump_fcontext(resumer_, nullptr).fctx;
  AfterSwitch(fake_stack, &resumer_stack_, &resumer_stack_bytes_);
}

}  // namespace runahead::emulator

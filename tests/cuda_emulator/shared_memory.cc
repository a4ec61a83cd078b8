// The part of Machine that knows of memory: a block's shared memory, every access, and asynchronous
// copies.
#include <algorithm>
#include <cstring>

#include "tests/cuda_emulator/machine.h"

namespace runahead::emulator {

namespace {
constexpr int64_t kGap = 64;  // between shared objects: a step beyond one hits none
}

void Machine::Poison(int64_t begin, int64_t end) {
  std::memset(arena_ + begin, 0xff, static_cast<size_t>(end - begin));
  arena_used_ = end;
  if (begin == 0) {
    shadow_.Reset(end);
  } else {
    shadow_.Extend(end);
  }
}

void* Machine::StaticShared(const void* key, int64_t bytes, int64_t alignment) {
  for (const StaticObject& object : statics_) {
    if (object.key == key) return arena_ + object.begin;
  }
  const int64_t begin = (arena_used_ + kGap + alignment - 1) / alignment * alignment;
  if (begin + bytes > kMaxSharedBytes) {
    Report(BugKind::kLaunch, "more shared memory than a device has");
    Abandon();
  }
  statics_.push_back({key, begin, begin + bytes});
  Poison(begin, begin + bytes);
  return arena_ + begin;
}

bool Machine::IsShared(int64_t at, int64_t bytes) const {
  if (at + bytes <= shape_->shared_bytes) return true;
  return std::any_of(statics_.begin(), statics_.end(), [&](const StaticObject& object) {
    return at >= object.begin && at + bytes <= object.end;
  });
}

void Machine::Check(const void* address, int64_t bytes, Access access, const void* pc) {
  const int64_t at = static_cast<const char*>(address) - arena_;
  if (at >= 0 && at < arena_memory_.data() + arena_memory_.size() - arena_) {
    if (!IsShared(at, bytes)) {
      Report(BugKind::kOutOfBounds,
             "out of bounds: shared bytes " + std::to_string(at) + " to " +
                 std::to_string(at + bytes) + " of " + std::to_string(shape_->shared_bytes),
             pc);
      Abandon();
    }
    if (!HasAccessChecks()) return;
    if (shadow_.Note(current_, at, bytes, access)) return;
    Report(shadow_.is_uninitialised() ? BugKind::kUninitialised : BugKind::kRace, shadow_.problem(),
           pc);
    Abandon();
  }
  const int64_t in_argument = static_cast<const char*>(address) - static_cast<char*>(argument_);
  if (access == Access::kRead && in_argument >= 0 && in_argument + bytes <= argument_bytes_) return;
  if (stacks_.Contains(address)) {
    if (has_accumulators_) CheckAccumulators(address, bytes, pc);
    return;
  }
  CheckGlobal(address, bytes, access, pc);
}

void Machine::CheckGlobal(const void* address, int64_t bytes, Access access, const void* pc) {
  if (!memory_.Contains(address, bytes)) {
    Report(BugKind::kOutOfBounds,
           "out of bounds: " + std::to_string(bytes) + " bytes of no allocation " +
               (access == Access::kRead ? "read" : "written") + memory_.Neighbour(address),
           pc);
    Abandon();
  }
  if (!HasAccessChecks() || global_shadow_.Note(current_, address, bytes, access)) return;
  Report(BugKind::kRace, global_shadow_.problem() + memory_.Neighbour(address), pc);
  Abandon();
}

// Checks both ends of an asynchronous copy; what it will write is then pending.
Machine::AsyncCopy Machine::StartCopy(void* shared, const void* global, int64_t bytes,
                                      int64_t source_bytes) {
  const int64_t at = static_cast<char*>(shared) - arena_;
  if (source_bytes > 0 && has_checks_) CheckGlobal(global, source_bytes, Access::kRead, nullptr);
  if (at < 0 || !IsShared(at, bytes)) {
    Report(BugKind::kOutOfBounds, "out of bounds: an asynchronous copy to shared byte " +
                                      std::to_string(at) + " of " +
                                      std::to_string(shape_->shared_bytes));
    Abandon();
  }
  if (HasAccessChecks() && has_checks_ && !shadow_.NoteAsyncIssue(current_, at, bytes)) {
    Report(BugKind::kRace, shadow_.problem());
    Abandon();
  }
  return {static_cast<char*>(shared), global, bytes, source_bytes};
}

void Machine::CopyAsync(void* shared, const void* global, int64_t bytes, int64_t source_bytes) {
  threads_[static_cast<size_t>(current_)].open_group.push_back(
      StartCopy(shared, global, bytes, source_bytes));
}

// As it stands in the descriptors of wgmma.
uint32_t Machine::SharedAddress(const void* shared) {
  const int64_t at = static_cast<const char*>(shared) - arena_;
  if (at < 0 || at >= kMaxSharedBytes || at % 16 != 0) {
    Report(BugKind::kMisaligned, "misaligned: a matrix of wgmma begins at a multiple of 16 bytes");
    Abandon();
  }
  return static_cast<uint32_t>(at);
}

void Machine::CommitAsync() {
  Thread& thread = threads_[static_cast<size_t>(current_)];
  thread.groups.push_back(std::move(thread.open_group));
  thread.open_group.clear();
}

void Machine::WaitAsync(size_t num_pending_groups) {
  Thread& thread = threads_[static_cast<size_t>(current_)];
  while (thread.groups.size() > num_pending_groups) {
    for (const AsyncCopy& copy : thread.groups.front()) {
      Complete(copy, current_, clocks_.time(current_), false);
    }
    thread.groups.pop_front();
  }
}

void Machine::Complete(const AsyncCopy& copy, int writer, uint32_t time, bool is_bulk) {
  std::memcpy(copy.to, copy.from, static_cast<size_t>(copy.source_bytes));
  std::memset(copy.to + copy.source_bytes, 0, static_cast<size_t>(copy.bytes - copy.source_bytes));
  if (HasAccessChecks() && has_checks_) {
    shadow_.NoteAsyncDone(writer, time, copy.to - arena_, copy.bytes, is_bulk);
  }
}

}  // namespace runahead::emulator

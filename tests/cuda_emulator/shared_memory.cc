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
    Fail(BugKind::kLaunch, "more shared memory than a device has");
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
      Fail(BugKind::kOutOfBounds,
           "out of bounds: shared bytes " + std::to_string(at) + " to " +
               std::to_string(at + bytes) + " of " + std::to_string(shape_->shared_bytes),
           pc);
    }
    if (!HasAccessChecks()) return;
    if (shadow_.Note(current_, at, bytes, access)) return;
    Fail(shadow_.is_uninitialised() ? BugKind::kUninitialised : BugKind::kRace, shadow_.problem(),
         pc);
  }
  const int64_t in_argument = static_cast<const char*>(address) - static_cast<char*>(argument_);
  if (access == Access::kRead && in_argument >= 0 && in_argument + bytes <= argument_bytes_) return;
  if (stacks_.Contains(address) || memory_.Contains(address, bytes)) return;
  Fail(BugKind::kOutOfBounds,
       "out of bounds: " + std::to_string(bytes) + " bytes of no allocation " +
           (access == Access::kRead ? "read" : "written") + memory_.Neighbour(address),
       pc);
}

void Machine::CopyAsync(void* shared, const void* global, int64_t bytes, int64_t source_bytes) {
  const int64_t at = static_cast<char*>(shared) - arena_;
  if (source_bytes > 0 && has_checks_ && !memory_.Contains(global, source_bytes)) {
    Fail(BugKind::kOutOfBounds,
         "out of bounds: an asynchronous copy reads no allocation" + memory_.Neighbour(global));
  }
  if (at < 0 || !IsShared(at, bytes)) {
    Fail(BugKind::kOutOfBounds, "out of bounds: an asynchronous copy to shared byte " +
                                    std::to_string(at) + " of " +
                                    std::to_string(shape_->shared_bytes));
  }
  if (HasAccessChecks() && has_checks_ && !shadow_.NoteAsyncIssue(current_, at, bytes)) {
    Fail(BugKind::kRace, shadow_.problem());
  }
  threads_[static_cast<size_t>(current_)].open_group.push_back(
      {static_cast<char*>(shared), global, bytes, source_bytes});
}

void Machine::CommitAsync() {
  Thread& thread = threads_[static_cast<size_t>(current_)];
  thread.groups.push_back(std::move(thread.open_group));
  thread.open_group.clear();
}

void Machine::WaitAsync(size_t num_pending_groups) {
  Thread& thread = threads_[static_cast<size_t>(current_)];
  while (thread.groups.size() > num_pending_groups) {
    for (const AsyncCopy& copy : thread.groups.front()) Complete(copy);
    thread.groups.pop_front();
  }
}

void Machine::Complete(const AsyncCopy& copy) {
  std::memcpy(copy.to, copy.from, static_cast<size_t>(copy.source_bytes));
  std::memset(copy.to + copy.source_bytes, 0, static_cast<size_t>(copy.bytes - copy.source_bytes));
  if (HasAccessChecks() && has_checks_) {
    shadow_.NoteAsyncDone(current_, copy.to - arena_, copy.bytes);
  }
}

}  // namespace runahead::emulator

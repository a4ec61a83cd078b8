#include "tests/cuda_emulator/machine.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include <dlfcn.h>

#include "core/check.h"

namespace runahead::emulator {
namespace {

constexpr int64_t kArenaBytes = 256 * 1024;
constexpr int64_t kArenaAlignment = 1024;

std::string At(const Where& where) {
  return std::string(where.file_name()) + ":" + std::to_string(where.line());
}

bool IsSame(const Where& a, const Where& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         std::strcmp(a.file_name(), b.file_name()) == 0;
}

std::string Name(const Dim& dim) {
  return "(" + std::to_string(dim.x) + ", " + std::to_string(dim.y) + ", " + std::to_string(dim.z) +
         ")";
}

// Where code is, as addr2line takes it.
std::string CodePlace(const void* pc) {
  Dl_info info = {};
  if (pc == nullptr || dladdr(pc, &info) == 0) return "";
  char text[512];
  std::snprintf(
      text, sizeof(text), " [addr2line -Cfie %s %#zx]", info.dli_fname,
      static_cast<size_t>(static_cast<const char*>(pc) - static_cast<const char*>(info.dli_fbase)) -
          1);
  return text;
}

}  // namespace

Machine& Machine::Get() {
  static Machine machine;
  return machine;
}

Machine::Machine() : arena_memory_(kArenaBytes + kArenaAlignment) {
  for (int i = 0; i < kMaxThreads; ++i) {
    threads_.emplace_back(Fiber(stacks_.base(i), stacks_.size(i)));
  }
  const auto base = reinterpret_cast<uintptr_t>(arena_memory_.data());
  arena_ = arena_memory_.data() + (kArenaAlignment - base % kArenaAlignment);
}

bool Machine::CheckShape(const LaunchShape& shape) {
  const auto is_within = [](const Dim& dim, int64_t x, int64_t y, int64_t z) {
    return dim.x > 0 && dim.y > 0 && dim.z > 0 && dim.x <= x && dim.y <= y && dim.z <= z;
  };
  if (is_within(shape.grid, INT32_MAX, 65535, 65535) && is_within(shape.block, 1024, 1024, 64) &&
      int64_t{shape.block.x} * shape.block.y * shape.block.z <= kMaxThreads &&
      shape.shared_bytes >= 0 && shape.shared_bytes <= kMaxSharedBytes) {
    return true;
  }
  ReportBug(BugKind::kLaunch, shape.name + ": no device takes grid " + Name(shape.grid) +
                                  ", block " + Name(shape.block) + ", " +
                                  std::to_string(shape.shared_bytes) + " bytes of shared memory");
  return false;
}

void Machine::Run(const LaunchShape& shape, void (*entry)(void*), void* argument,
                  int64_t argument_bytes) {
  RA_CHECK(current_ < 0, "kernels launch no kernels");
  if (!CheckShape(shape)) return;
  shape_ = &shape;
  entry_ = entry;
  argument_ = argument;
  argument_bytes_ = argument_bytes;
  num_threads_ = shape.block.x * shape.block.y * shape.block.z;
  has_failed_ = false;
  global_shadow_.StartLaunch();
  const int num_blocks = shape.grid.x * shape.grid.y * shape.grid.z;
  std::vector<int> order(static_cast<size_t>(num_blocks));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random_);
  for (const int block : order) {
    block_index_ = {block % shape.grid.x, block / shape.grid.x % shape.grid.y,
                    block / shape.grid.x / shape.grid.y};
    RunBlock();
    if (has_failed_) break;
  }
  shape_ = nullptr;
  last_shape_ = shape;
}

void Machine::RunBlock() {
  const int num_warps = (num_threads_ + kWarpSize - 1) / kWarpSize;
  num_ended_ = 0;
  ended_lanes_.fill(0);
  clocks_.Reset(num_threads_);
  global_shadow_.StartBlock();
  statics_.clear();
  arena_used_ = 0;
  Poison(0, shape_->shared_bytes);
  for (Barrier& barrier : barriers_) barrier = {};
  pending_.assign(static_cast<size_t>(num_warps), {});
  mbarriers_.clear();
  in_flight_.clear();
  warpgroups_.assign(static_cast<size_t>((num_threads_ + kWarpgroupSize - 1) / kWarpgroupSize), {});
  has_accumulators_ = false;
  ready_.clear();
  for (int t = 0; t < num_threads_; ++t) {
    Thread& thread = threads_[static_cast<size_t>(t)];
    thread.waits_for = nullptr;
    thread.open_group.clear();
    thread.groups.clear();
    thread.accumulators.clear();
    thread.fiber.Start([](void* machine) { static_cast<Machine*>(machine)->EndThread(); }, this);
    Wake(t);
  }
  while (!has_failed_ && num_ended_ < num_threads_ && !(ready_.empty() && in_flight_.empty())) {
    Step();
  }
  if (!has_failed_) ReportStall();
  if (!has_failed_) CheckAsyncEnd();
}

// Runs one of the threads that can, or finishes one of the works in flight.
void Machine::Step() {
  const size_t at = random_() % (ready_.size() + in_flight_.size());
  if (at >= ready_.size()) return FinishWork(at - ready_.size());
  current_ = ready_[at];
  ready_[at] = ready_.back();
  ready_.pop_back();
  threads_[static_cast<size_t>(current_)].fiber.Resume();
  current_ = -1;
}

// The whole life of a thread, and its end.
void Machine::EndThread() {
  is_in_kernel_ = true;
  entry_(argument_);
  is_in_kernel_ = false;
  WaitAsync(0);
  CheckWarpgroupEnd();
  const auto t = static_cast<size_t>(current_);
  ended_lanes_[t / kWarpSize] |= 1u << t % kWarpSize;
  ++num_ended_;
  if (barriers_[0].num_arrived > 0) {
    Report(BugKind::kDivergence,
           "divergent barrier: a thread ends while others wait at " + At(barriers_[0].where));
    Abandon();
  }
  for (const Pending& pending : pending_[t / kWarpSize]) {
    if ((pending.mask >> t % kWarpSize & 1u) != 0) {
      Report(
          BugKind::kDivergence,
          std::string("divergent warp: a lane ends while others wait for it at ") + pending.name);
      Abandon();
    }
  }
}

void Machine::ReportStall() {
  std::string waits;
  int num_named = 0;
  for (int t = 0; t < num_threads_ && num_named < 4; ++t) {
    const Thread& thread = threads_[static_cast<size_t>(t)];
    if (thread.waits_for == nullptr) continue;
    waits += "; thread " + std::to_string(t) + " waits at " + thread.waits_for;
    if (thread.where.line() != 0) waits += " " + At(thread.where);
    ++num_named;
  }
  if (num_named > 0) {
    ReportBug(BugKind::kStall, shape_->name + ": every thread waits" + waits + MbarriersText());
    return;
  }
  for (size_t i = 0; i < barriers_.size(); ++i) {
    if (barriers_[i].num_arrived == 0) continue;
    ReportBug(BugKind::kStall, shape_->name + ": barrier " + std::to_string(i) + " is left with " +
                                   std::to_string(barriers_[i].num_arrived) + " arrivals");
  }
}

void Machine::ReportBug(BugKind kind, const std::string& message) {
  has_failed_ = true;
  RA_CHECK(collector_ != nullptr, message);
  collector_->bugs_.push_back({kind, message});
}

void Machine::Report(BugKind kind, const std::string& message, const void* pc) {
  const std::string block = shape_ == nullptr ? "" : shape_->name + " block " + Name(block_index_);
  ReportBug(kind, block + " thread " + std::to_string(current_) + ": " + message + CodePlace(pc));
}

// The thread may not go on, and is dropped as it stands: nothing on its stack may own memory.
void Machine::Abandon() {
  for (;;) threads_[static_cast<size_t>(current_)].fiber.Suspend();
}

void Machine::Wait(const char* for_what, const Where& where) {
  Thread& thread = threads_[static_cast<size_t>(current_)];
  thread.waits_for = for_what;
  thread.where = where;
  thread.fiber.Suspend();
  thread.waits_for = nullptr;
}

void Machine::WakeAll(Barrier& barrier) {
  for (const int thread : barrier.waiting) Wake(thread);
  barrier.waiting.clear();
  barrier.num_arrived = 0;
}

void Machine::SyncThreads(const Where& where) {
  Barrier& barrier = barriers_[0];
  if (barrier.num_arrived > 0 && !IsSame(barrier.where, where)) {
    Report(BugKind::kDivergence,
           "divergent barrier: at " + At(where) + " while others wait at " + At(barrier.where));
    Abandon();
  }
  if (num_ended_ > 0) {
    Report(BugKind::kDivergence, "divergent barrier: at " + At(where) + " after " +
                                     std::to_string(num_ended_) + " threads have ended");
    Abandon();
  }
  barrier.where = where;
  if (++barrier.num_arrived == num_threads_) {
    clocks_.SyncBlock();
    WakeAll(barrier);
    return;
  }
  barrier.waiting.push_back(current_);
  Wait("__syncthreads", where);
}

void Machine::SyncNamed(int id, int num_threads, bool waits, const Where& where) {
  if (id <= 0 || id >= kNumBarriers || num_threads <= 0 || num_threads % kWarpSize != 0) {
    Report(BugKind::kDivergence, "named barriers are 1..15, of whole warps: at " + At(where));
    Abandon();
  }
  Barrier& barrier = barriers_[static_cast<size_t>(id)];
  if (barrier.num_arrived > 0 && barrier.num_threads != num_threads) {
    Report(BugKind::kDivergence,
           "divergent barrier: " + std::to_string(num_threads) + " threads expected at " +
               At(where) + ", " + std::to_string(barrier.num_threads) + " at " + At(barrier.where));
    Abandon();
  }
  if (barrier.num_arrived == 0) barrier.join.known.clear();
  barrier.where = where;
  barrier.num_threads = num_threads;
  clocks_.Contribute(current_, barrier.join);
  const bool is_last = ++barrier.num_arrived == num_threads;
  if (is_last) {
    for (const int thread : barrier.waiting) clocks_.Learn(thread, barrier.join);
    if (waits) clocks_.Learn(current_, barrier.join);
    WakeAll(barrier);
  } else if (waits) {
    barrier.waiting.push_back(current_);
    Wait("a named barrier", where);
  }
}

uint32_t Machine::ExistingLanes(int warp) const {
  const int lanes = std::min(kWarpSize, num_threads_ - warp * kWarpSize);
  return lanes == kWarpSize ? ~0u : (1u << lanes) - 1;
}

void Machine::Collect(Collective collective, const char* name, uint32_t mask, void* operand) {
  const int warp = current_ / kWarpSize;
  const int lane = current_ % kWarpSize;
  mask &= ExistingLanes(warp);
  if ((mask >> lane & 1u) == 0) {
    Report(BugKind::kDivergence, std::string("a lane outside of its own mask at ") + name);
    Abandon();
  }
  if (const uint32_t ended = mask & ended_lanes_[static_cast<size_t>(warp)]; ended != 0) {
    Report(BugKind::kDivergence, std::string("divergent warp: lane ") +
                                     std::to_string(std::countr_zero(ended)) + " has ended, " +
                                     name + " waits for it");
    Abandon();
  }
  std::vector<Pending>& pending = pending_[static_cast<size_t>(warp)];
  auto mine = std::find_if(pending.begin(), pending.end(),
                           [&](const Pending& p) { return (p.mask & mask) != 0; });
  if (mine == pending.end()) {
    mine = pending.insert(mine, Pending{collective, name, mask, 0, {}});
  } else if (mine->collective != collective || mine->mask != mask) {
    Report(BugKind::kDivergence,
           std::string("divergent warp: at ") + name + " while other lanes wait at " + mine->name);
    Abandon();
  }
  mine->operands[static_cast<size_t>(lane)] = operand;
  mine->arrived |= 1u << lane;
  if (mine->arrived != mask) return Wait(name, Where());
  const Pending complete = *mine;
  pending.erase(mine);
  collective(complete.operands.data(), mask);
  for (int other = 0; other < kWarpSize; ++other) {
    if (other != lane && (mask >> other & 1u) != 0) Wake(warp * kWarpSize + other);
  }
}

}  // namespace runahead::emulator

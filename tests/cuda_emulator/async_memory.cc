// The part of Machine that knows of what goes on beside the threads: mbarriers, the copies that
// report to them, and the fence between threads and the asynchronous proxy.
//
// Such work is done some time after it was begun, when the seed says so, and at the latest when no
// thread can run. What it wrote is known to those alone who have waited for its barrier.
#include <cstring>

#include "tests/cuda_emulator/machine.h"

namespace runahead::emulator {

// The barrier at `at`, which the thread may use.
Mbarrier& Machine::BarrierAt(const void* at, const char* what) {
  const int64_t byte = static_cast<const char*>(at) - arena_;
  const auto found = mbarriers_.find(byte);
  if (found == mbarriers_.end()) {
    Report(BugKind::kBarrier, std::string(what) + " at shared byte " + std::to_string(byte) +
                                  ", where no mbarrier is");
    Abandon();
  }
  OnAccess(at, kMbarrierBytes, Access::kAtomic, nullptr);  // ordered after its making
  return found->second;
}

void Machine::InitMbarrier(void* at, int num_arrivals) {
  if (num_arrivals <= 0 || num_arrivals > Mbarrier::kMost) {
    Report(BugKind::kBarrier, "mbarrier.init: a phase takes 1 to 2^20 - 1 arrivals");
    Abandon();
  }
  OnAccess(at, kMbarrierBytes, Access::kWrite, nullptr);
  Mbarrier barrier(num_arrivals);
  barrier.maker = current_;
  barrier.made_at = clocks_.time(current_);
  mbarriers_.insert_or_assign(static_cast<char*>(at) - arena_, barrier);
}

// After an arrival or bytes: wakes those who wait if the phase is over.
void Machine::EndPhase(Mbarrier& barrier) {
  if (!barrier.TryNextPhase()) return;
  for (const int thread : barrier.waiting) {
    clocks_.LearnAlone(thread, barrier.over);
    Wake(thread);
  }
  barrier.waiting.clear();
}

void Machine::ArriveMbarrier(void* at, int64_t bytes) {
  Mbarrier& barrier = BarrierAt(at, "mbarrier.arrive");
  if (!barrier.Expect(bytes) || !barrier.Arrive()) {
    Report(BugKind::kBarrier, "mbarrier.arrive: more than a phase takes: " + barrier.Text());
    Abandon();
  }
  clocks_.Contribute(current_, barrier.arrived);
  EndPhase(barrier);
}

void Machine::WaitMbarrier(void* at, int parity, const Where& where) {
  Mbarrier& barrier = BarrierAt(at, "mbarrier.try_wait");
  if (parity != 0 && parity != 1) {
    Report(BugKind::kBarrier, "mbarrier.try_wait: a parity is 0 or 1");
    Abandon();
  }
  if (barrier.IsOver(parity)) return clocks_.LearnAlone(current_, barrier.over);
  barrier.waiting.push_back(current_);
  Wait("an mbarrier", where);
}

// The copies are from here on the barrier's: another wait does not wait for them.
void Machine::ArriveWhenCopied(void* at) {
  BarrierAt(at, "cp.async.mbarrier.arrive");
  Thread& thread = threads_[static_cast<size_t>(current_)];
  AsyncWork work;
  work.barrier = static_cast<char*>(at) - arena_;
  for (const std::vector<AsyncCopy>& group : thread.groups) {
    work.copies.insert(work.copies.end(), group.begin(), group.end());
  }
  work.copies.insert(work.copies.end(), thread.open_group.begin(), thread.open_group.end());
  thread.groups.clear();
  thread.open_group.clear();
  work.time = clocks_.StartAsync(current_, work.join);
  in_flight_.push_back(std::move(work));
}

void Machine::CopyBulk(void* shared, const void* global, int64_t bytes, void* barrier) {
  const Mbarrier& target = BarrierAt(barrier, "cp.async.bulk");
  if (bytes <= 0 || bytes % 16 != 0) {
    Report(BugKind::kMisaligned, "misaligned: a bulk copy of " + std::to_string(bytes) +
                                     " bytes, which are no multiple of 16");
    Abandon();
  }
  if (!clocks_.IsFenced(target.maker, target.made_at, current_)) {
    Report(BugKind::kUnfenced,
           "unfenced: a bulk copy to an mbarrier with no fence.proxy.async since it was made");
    Abandon();
  }
  AsyncWork work;
  work.barrier = static_cast<char*>(barrier) - arena_;
  work.is_bulk = true;
  work.copies.push_back(StartCopy(shared, global, bytes, bytes));
  work.time = clocks_.StartAsync(current_, work.join);
  in_flight_.push_back(std::move(work));
}

void Machine::FenceAsyncProxy() { clocks_.FenceProxy(current_); }

void Machine::FinishWork(size_t which) {
  const AsyncWork work = std::move(in_flight_[which]);
  in_flight_.erase(in_flight_.begin() + static_cast<int64_t>(which));
  for (const AsyncCopy& copy : work.copies) {
    Complete(copy, clocks_.agent(), work.time, work.is_bulk);
  }
  Mbarrier& barrier = mbarriers_.at(work.barrier);
  const bool is_right = work.is_bulk ? barrier.Complete(work.copies[0].bytes) : barrier.Arrive();
  if (!is_right) {
    return ReportBug(BugKind::kBarrier, shape_->name + ": an asynchronous copy tells an mbarrier " +
                                            "more than it takes: " + barrier.Text());
  }
  Clocks::Merge(work.join, barrier.arrived);
  EndPhase(barrier);
}

// At a block's end, by the host.
void Machine::CheckAsyncEnd() {
  for (const AsyncWork& work : in_flight_) {
    if (!work.is_bulk) continue;
    return ReportBug(BugKind::kRace,
                     shape_->name + ": all threads have ended before a bulk copy to shared memory");
  }
  for (const auto& [byte, barrier] : mbarriers_) {
    if (barrier.num_bytes() == 0) continue;
    return ReportBug(BugKind::kBarrier, shape_->name + ": the mbarrier at shared byte " +
                                            std::to_string(byte) +
                                            " is left with bytes: " + barrier.Text());
  }
}

// What mbarriers lack, for the message of a stall.
std::string Machine::MbarriersText() const {
  std::string text;
  for (const auto& [byte, barrier] : mbarriers_) {
    if (barrier.waiting.empty()) continue;
    text += "; mbarrier at shared byte " + std::to_string(byte) + ": " + barrier.Text();
  }
  return text;
}

}  // namespace runahead::emulator

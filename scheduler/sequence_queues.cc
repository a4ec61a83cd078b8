#include "scheduler/sequence_queues.h"

#include <algorithm>
#include <tuple>

#include "core/check.h"

namespace runahead {

bool RunsEarlier::operator()(const Sequence* a, const Sequence* b) const {
  const auto key = [](const Sequence& s) {
    return std::tuple(s.priority(), s.order(), s.choice());
  };
  return key(*a) < key(*b);
}

void SequenceQueues::Wait(Sequence& sequence) {
  sequence.status_ = SequenceStatus::kWaiting;
  RA_CHECK(waiting_.insert(&sequence).second);
}

void SequenceQueues::Run(Sequence& sequence) {
  RA_CHECK_EQ(waiting_.erase(&sequence), size_t{1});
  sequence.status_ = SequenceStatus::kRunning;
  running_.insert(std::ranges::upper_bound(running_, &sequence, RunsEarlier()), &sequence);
}

void SequenceQueues::Preempt(Sequence& sequence) {
  RemoveRunning(sequence);
  sequence.status_ = SequenceStatus::kPreempted;
  RA_CHECK(waiting_.insert(&sequence).second);
}

void SequenceQueues::Remove(Sequence& sequence) {
  switch (sequence.status()) {
    case SequenceStatus::kAwaitsPrompt:
      return;
    case SequenceStatus::kWaiting:
    case SequenceStatus::kPreempted:
      RA_CHECK_EQ(waiting_.erase(&sequence), size_t{1});
      return;
    case SequenceStatus::kRunning:
      RemoveRunning(sequence);
      return;
  }
}

void SequenceQueues::RemoveRunning(Sequence& sequence) {
  const auto found = std::ranges::lower_bound(running_, &sequence, RunsEarlier());
  RA_CHECK(found != running_.end() && *found == &sequence);
  running_.erase(found);
}

void SequenceQueues::CheckIntegrity() const {
  RA_CHECK(std::ranges::is_sorted(running_, RunsEarlier()));
  for (const Sequence* sequence : running_) {
    RA_CHECK(sequence->status() == SequenceStatus::kRunning);
    RA_CHECK(!waiting_.contains(const_cast<Sequence*>(sequence)), "a sequence waits and runs");
  }
  for (const Sequence* sequence : waiting_) {
    RA_CHECK(sequence->status() == SequenceStatus::kWaiting ||
             sequence->status() == SequenceStatus::kPreempted);
  }
}

}  // namespace runahead

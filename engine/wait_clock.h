// WaitClock: how long the queue has stood still, and for what. Two readings tell a request why it
// waited, so nothing is done for those that wait. Engine thread only.
#pragma once

#include <array>
#include <vector>

#include "core/clock.h"
#include "engine/request_timeline.h"
#include "scheduler/batch.h"

namespace runahead {

class WaitClock {
 public:
  // Time by TimelineSegment, the first kNumQueueSegments of them.
  using Reading = std::array<Duration, kNumQueueSegments>;

  // Books the time since the last call for the reason then set. `now` never goes back.
  void Advance(TimePoint now);

  // What the queue waits for from the last Advance on; kNone: nobody waits, so with the next
  // Advance no earlier reading counts any more.
  void Set(WaitReason reason, int first_priority);

  // What a request of this priority waits for now.
  TimelineSegment Current(int priority) const;
  // As a request of this priority sees it: while a better one stood first in the queue, it waited
  // for that one, whatever the first waited for.
  Reading Read(int priority) const;

 private:
  static constexpr size_t kMaxPriorities = 32;  // known apart at once; others count as the worst
  struct Entry {
    int priority = 0;  // of the first in the queue
    Reading waited = {};
  };
  Entry& EntryOf(int priority);

  std::vector<Entry> entries_;  // a few
  WaitReason reason_ = WaitReason::kNone;
  int first_priority_ = 0;
  TimePoint advanced_;
};

}  // namespace runahead

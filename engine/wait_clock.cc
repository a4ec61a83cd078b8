#include "engine/wait_clock.h"

#include <algorithm>

namespace runahead {
namespace {

TimelineSegment SegmentOf(WaitReason reason) {
  switch (reason) {
    case WaitReason::kNone:
      break;
    case WaitReason::kWindow:
      return TimelineSegment::kQueueWindow;
    case WaitReason::kPlaces:
      return TimelineSegment::kQueuePlaces;
    case WaitReason::kTokens:
      return TimelineSegment::kQueueTokens;
    case WaitReason::kBlocks:
      return TimelineSegment::kQueueBlocks;
  }
  return TimelineSegment::kQueueStep;
}

}  // namespace

void WaitClock::Advance(TimePoint now) {
  if (reason_ == WaitReason::kNone) {
    entries_.clear();
  } else {
    EntryOf(first_priority_).waited[static_cast<size_t>(SegmentOf(reason_))] += now - advanced_;
  }
  advanced_ = now;
}

void WaitClock::Set(WaitReason reason, int first_priority) {
  reason_ = reason;
  first_priority_ = first_priority;
}

WaitClock::Entry& WaitClock::EntryOf(int priority) {
  const auto found = std::ranges::find(entries_, priority, &Entry::priority);
  if (found != entries_.end()) return *found;
  if (entries_.size() == kMaxPriorities)
    return *std::ranges::max_element(entries_, {}, &Entry::priority);
  return entries_.emplace_back(Entry{.priority = priority});
}

TimelineSegment WaitClock::Current(int priority) const {
  if (reason_ != WaitReason::kNone && first_priority_ < priority) {
    return TimelineSegment::kQueuePriority;
  }
  return SegmentOf(reason_);
}

WaitClock::Reading WaitClock::Read(int priority) const {
  Reading reading = {};
  for (const Entry& entry : entries_) {
    for (size_t i = 0; i < reading.size(); ++i) {
      const bool is_better = entry.priority < priority;
      const size_t as = is_better ? static_cast<size_t>(TimelineSegment::kQueuePriority) : i;
      reading[as] += entry.waited[i];
    }
  }
  return reading;
}

}  // namespace runahead

// TimelineSlot: where the engine leaves the newest copy of a request's timeline for whoever
// explains it. Thread-safe, lock-free.
#pragma once

#include <atomic>
#include <memory>

#include "engine/request_timeline.h"

namespace runahead {

// Shared by the request, which may be over before anybody asks, and by who asks, who may have
// forgotten it before it is over.
class TimelineSlot {
 public:
  TimelineSlot() = default;
  ~TimelineSlot() { (void)Take(); }
  TimelineSlot(const TimelineSlot&) = delete;
  TimelineSlot& operator=(const TimelineSlot&) = delete;

  // Engine thread. Replaces a copy that nobody has taken.
  void Leave(const RequestTimeline& timeline) {
    Exchange(std::make_unique<RequestTimeline>(timeline));
  }

  // Any thread. Null where nothing was left since the last call.
  std::unique_ptr<RequestTimeline> Take() { return Exchange(nullptr); }

 private:
  std::unique_ptr<RequestTimeline> Exchange(std::unique_ptr<RequestTimeline> next) {
    return std::unique_ptr<RequestTimeline>(latest_.exchange(next.release()));
  }

  std::atomic<RequestTimeline*> latest_ = nullptr;  // owned
};

}  // namespace runahead

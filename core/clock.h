// Clock: time as an argument, so that schedulers and deadlines are tested without waiting.
// Thread-safe.
#pragma once

#include <atomic>
#include <chrono>

namespace runahead {

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

inline constexpr TimePoint kNoDeadline = TimePoint::max();

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint Now() const = 0;
};

class SteadyClock final : public Clock {
 public:
  TimePoint Now() const override { return std::chrono::steady_clock::now(); }
};

// A clock that moves only when told to.
class ManualClock final : public Clock {
 public:
  TimePoint Now() const override { return TimePoint(Duration(ticks_.load())); }
  void Advance(Duration by) { ticks_.fetch_add(by.count()); }

 private:
  std::atomic<Duration::rep> ticks_ = Duration::rep{1};
};

inline double Seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace runahead

#include "server/request_segments.h"

#include <algorithm>
#include <numeric>

namespace runahead {
namespace {

WallSegment WallOf(TimelineSegment segment) {
  switch (segment) {
    case TimelineSegment::kQueueStep:
      return WallSegment::kQueueStep;
    case TimelineSegment::kQueueWindow:
      return WallSegment::kQueueWindow;
    case TimelineSegment::kQueuePlaces:
      return WallSegment::kQueuePlaces;
    case TimelineSegment::kQueueTokens:
      return WallSegment::kQueueTokens;
    case TimelineSegment::kQueueBlocks:
      return WallSegment::kQueueBlocks;
    case TimelineSegment::kQueuePriority:
      return WallSegment::kQueuePriority;
    case TimelineSegment::kDecode:
      return WallSegment::kDecode;
    case TimelineSegment::kPrefill:
      return WallSegment::kPrefill;
    case TimelineSegment::kRecompute:
      return WallSegment::kRecompute;
    case TimelineSegment::kDraft:
      return WallSegment::kDraft;
    case TimelineSegment::kHost:
      return WallSegment::kHost;
    case TimelineSegment::kStalled:
      return WallSegment::kStalled;
    case TimelineSegment::kPreempted:
      return WallSegment::kPreempted;
  }
  return WallSegment::kHost;
}

// Cuts time off a timeline's end: first off what it was doing, then off what most likely was last.
void Trim(RequestTimeline& timeline, Duration surplus) {
  const auto cut = [&](TimelineSegment segment) {
    Duration& time = timeline.of(segment);
    const Duration part = std::min(time, surplus);
    time -= part;
    surplus -= part;
  };
  cut(timeline.state);
  for (const TimelineSegment segment :
       {TimelineSegment::kDecode, TimelineSegment::kDraft, TimelineSegment::kHost,
        TimelineSegment::kPreempted, TimelineSegment::kStalled, TimelineSegment::kRecompute,
        TimelineSegment::kPrefill, TimelineSegment::kQueueBlocks, TimelineSegment::kQueuePlaces,
        TimelineSegment::kQueueTokens, TimelineSegment::kQueuePriority,
        TimelineSegment::kQueueWindow, TimelineSegment::kQueueStep}) {
    cut(segment);
  }
}

// Divides the time from the first byte to the end as it goes.
class Partition {
 public:
  Partition(TimePoint begin, TimePoint end) : at_(begin), end_(std::max(begin, end)) {
    segments_.wall = end_ - begin;
  }

  void Until(WallSegment segment, TimePoint until) {
    const TimePoint to = std::clamp(until, at_, end_);
    Add(segment, to - at_);
    at_ = to;
  }

  // The engine's part, which may know more of the time, or less, than falls to it.
  void Engine(RequestTimeline timeline, TimePoint until) {
    const TimePoint to = std::clamp(until, at_, end_);
    const Duration known = timeline.total();
    if (known > to - at_) Trim(timeline, known - (to - at_));
    for (int i = 0; i < kNumTimelineSegments; ++i) {
      const auto segment = static_cast<TimelineSegment>(i);
      Add(WallOf(segment), timeline.of(segment));
    }
    if (known < to - at_) Add(WallOf(timeline.state), to - at_ - known);
    at_ = to;
  }

  RequestSegments Rest(Duration stalled) {
    const Duration in_socket = std::min(stalled, end_ - at_);
    Add(WallSegment::kSocket, in_socket);
    Add(WallSegment::kSend, end_ - at_ - in_socket);
    return segments_;
  }

 private:
  void Add(WallSegment segment, Duration time) {
    segments_.times[static_cast<size_t>(segment)] += time;
  }

  TimePoint at_;
  TimePoint end_;
  RequestSegments segments_;
};

bool HasCome(TimePoint time) { return time != TimePoint(); }

// The prompt whose answer was, or is, the last to be done; its way begins with the first one's.
PromptRecord LastPrompt(const RequestFacts& facts) {
  if (facts.prompts.empty()) return {};
  const auto end_of = [](const PromptRecord& prompt) {
    return HasCome(prompt.finished) ? prompt.finished : TimePoint::max();
  };
  PromptRecord last = *std::ranges::max_element(facts.prompts, {}, end_of);
  if (facts.prompts.size() > 1) last.begun = last.rendered = facts.prompts.front().begun;
  return last;
}

}  // namespace

std::string_view WallSegmentName(WallSegment segment) {
  constexpr std::array<std::string_view, kNumWallSegments> kNames = {
      "receive",        "dispatch",     "parse",        "template",     "tokenize",
      "queue_step",     "queue_window", "queue_places", "queue_tokens", "queue_blocks",
      "queue_priority", "prefill",      "draft",        "decode",       "recompute",
      "preempted",      "stalled",      "host",         "handover",     "detokenize",
      "send",           "socket"};
  return kNames[static_cast<size_t>(segment)];
}

Duration RequestSegments::queue() const {
  const auto first = times.begin() + static_cast<int>(WallSegment::kQueueStep);
  return std::accumulate(first, first + kNumQueueSegments, Duration());
}

RequestSegments SegmentsOf(const RequestFacts& facts, TimePoint now) {
  const TimePoint end = HasCome(facts.ended) ? facts.ended : now;
  Partition partition(facts.origin.first_byte, end);
  const PromptRecord prompt = LastPrompt(facts);
  const struct {
    WallSegment segment;
    TimePoint until;
  } marks[] = {{WallSegment::kReceive, facts.received},
               {WallSegment::kDispatch, facts.handled},
               {WallSegment::kParse, facts.num_prompts > 0 ? prompt.begun : facts.answered},
               {WallSegment::kTemplate, prompt.rendered},
               {WallSegment::kTokenize, prompt.submitted}};
  for (const auto& [segment, until] : marks) {
    if (HasCome(until)) {
      partition.Until(segment, until);
      continue;
    }
    // It went no further: refused here, or still at it.
    partition.Until(segment, HasCome(facts.answered) ? facts.answered : end);
    return partition.Rest(facts.stalled);
  }
  RequestTimeline timeline;
  if (prompt.timeline != nullptr) {
    timeline = *prompt.timeline;
    partition.Until(WallSegment::kTokenize, timeline.submitted);
  }
  const bool has_finished = HasCome(prompt.finished);
  partition.Engine(timeline, has_finished ? prompt.last_event : end);
  if (has_finished) {
    partition.Until(WallSegment::kHandover, prompt.taken);
    partition.Until(WallSegment::kDetokenize, prompt.finished);
  }
  return partition.Rest(facts.stalled_after_text);
}

RequestStatus StatusOf(const RequestFacts& facts) {
  const bool has_ended = HasCome(facts.ended);
  if (!facts.is_generation) {
    if (!has_ended) return RequestStatus::kRunning;
    return facts.status >= 400 ? RequestStatus::kRejected : RequestStatus::kAnswered;
  }
  FinishReason worst = FinishReason::kNone;
  bool has_finished = facts.num_prompts > 0;
  for (const PromptRecord& prompt : facts.prompts) {
    has_finished = has_finished && HasCome(prompt.finished);
    for (const FinishReason finish : prompt.finishes) worst = std::max(worst, finish);
  }
  if (!has_ended && !has_finished) return RequestStatus::kRunning;
  if (worst == FinishReason::kExpired || facts.status == 504) return RequestStatus::kExpired;
  if (worst == FinishReason::kFailed) return RequestStatus::kFailed;
  if (!has_ended) return RequestStatus::kRunning;  // still being sent
  if (has_finished) return RequestStatus::kFinished;
  return facts.status >= 400 ? RequestStatus::kRejected : RequestStatus::kCancelled;
}

std::string_view StatusName(RequestStatus status) {
  constexpr std::array<std::string_view, 7> kNames = {"running", "finished", "cancelled", "expired",
                                                      "failed",  "rejected", "answered"};
  return kNames[static_cast<size_t>(status)];
}

}  // namespace runahead

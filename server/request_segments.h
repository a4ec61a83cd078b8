// A request's wall time in disjoint segments, from what its door, its text and the engine noted.
// Pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/clock.h"
#include "engine/request_timeline.h"
#include "server/request_record.h"

namespace runahead {

// In the order they mostly come; docs/explain.md defines each.
enum class WallSegment : uint8_t {
  kReceive,
  kDispatch,
  kParse,
  kTemplate,
  kTokenize,
  kQueueStep,
  kQueueWindow,
  kQueuePlaces,
  kQueueTokens,
  kQueueBlocks,
  kQueuePriority,
  kPrefill,
  kDraft,
  kDecode,
  kRecompute,
  kPreempted,
  kStalled,
  kHost,
  kHandover,
  kDetokenize,
  kSend,
  kSocket,
};
inline constexpr int kNumWallSegments = 22;

std::string_view WallSegmentName(WallSegment segment);  // "queue_blocks"

struct RequestSegments {
  std::array<Duration, kNumWallSegments> times = {};
  Duration wall = {};  // their sum, exactly

  Duration of(WallSegment segment) const { return times[static_cast<size_t>(segment)]; }
  Duration queue() const;  // all that begins with queue_
};

// Up to its end, or so far. What the engine has not told yet goes to what it last said was going
// on. While the engine works on a request, the time is the engine's, whatever else is done beside
// it; work of the engine past the end of the answer is left out.
RequestSegments SegmentsOf(const RequestFacts& facts, TimePoint now);

enum class RequestStatus : uint8_t {
  kRunning,
  kFinished,
  kCancelled,  // the client went away
  kExpired,
  kFailed,
  kRejected,  // answered with an error, and nothing was generated
  kAnswered,  // no request for text
};
RequestStatus StatusOf(const RequestFacts& facts);
std::string_view StatusName(RequestStatus status);  // "finished"

}  // namespace runahead

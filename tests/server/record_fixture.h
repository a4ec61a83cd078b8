// RecordFixture: a request's record under a manual clock, and the ways that requests go.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"

#include "core/clock.h"
#include "engine/timeline_slot.h"
#include "server/request_log.h"
#include "server/request_record.h"
#include "server/request_segments.h"

namespace runahead {

class RecordFixture : public ::testing::Test {
 protected:
  using Ms = std::chrono::milliseconds;

  RecordFixture() { clock_.Advance(std::chrono::hours(1)); }

  std::shared_ptr<RequestRecord> Begin(std::string id = "r1", int key = -1) {
    auto record = log_.Begin({.method = "POST",
                              .path = "/v1/chat/completions",
                              .id = std::move(id),
                              .client = "127.0.0.1:4711",
                              .first_byte = clock_.Now()});
    record->SetKey(key);
    return record;
  }
  void Pass(int ms) { clock_.Advance(Ms(ms)); }

  // receive 1, dispatch 2, parse 3
  void Arrive(RequestRecord& record) {
    Pass(1);
    record.OnReceived();
    Pass(2);
    record.OnHandled();
    record.OnGeneration(record.id(), "chatcmpl-" + record.id(), "demo");
    Pass(3);
  }
  // template 4, tokenize 5
  std::shared_ptr<TimelineSlot> Submit(RequestRecord& record, int num_tokens = 7) {
    const int prompt = record.OnPromptBegun();
    Pass(4);
    record.OnRendered(prompt);
    Pass(5);
    submitted_ = clock_.Now();
    return record.OnSubmit(prompt, num_tokens);
  }
  // What the engine says: 10 in the queue for blocks, 20 prefill, then decodes.
  RequestTimeline TimelineOf(int decode_ms) const {
    RequestTimeline timeline;
    timeline.submitted = submitted_;
    timeline.scheduled = submitted_ + Ms(10);
    timeline.of(TimelineSegment::kQueueBlocks) = Ms(10);
    timeline.of(TimelineSegment::kPrefill) = Ms(20);
    timeline.of(TimelineSegment::kDecode) = Ms(decode_ms);
    timeline.mark = submitted_ + Ms(30 + decode_ms);
    timeline.state = TimelineSegment::kDecode;
    timeline.num_decode_steps = decode_ms / 5;
    return timeline;
  }
  // The engine's last step ends now; the pump comes 1 later and takes 2.
  void FinishText(RequestRecord& record, int prompt = 0, int num_tokens = 9,
                  FinishReason finish = FinishReason::kStop) {
    const TimePoint last_event = clock_.Now();
    Pass(1);
    const TimePoint taken = clock_.Now();
    Pass(2);
    record.OnPumped(prompt, {.taken = taken,
                             .last_event = last_event,
                             .cached_tokens = 4,
                             .completion_tokens = num_tokens,
                             .has_finished = true,
                             .finishes = {finish}});
  }

  RequestSegments Segments(const RequestRecord& record) const {
    const RequestSegments segments = SegmentsOf(record.Read(), clock_.Now());
    Duration sum = {};
    for (const Duration each : segments.times) {
      EXPECT_GE(each, Duration());
      sum += each;
    }
    EXPECT_EQ(sum, segments.wall);
    return segments;
  }

  ManualClock clock_;
  std::vector<RequestFacts> ended_;
  RequestLog log_{{}, clock_, [this](const RequestFacts& facts) { ended_.push_back(facts); }};
  TimePoint submitted_;
};

}  // namespace runahead

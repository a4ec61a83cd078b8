#include "server/request_segments.h"

#include <set>
#include <string_view>
#include <utility>

#include "gtest/gtest.h"

#include "record_fixture.h"

namespace runahead {
namespace {

using Wall = WallSegment;

class RequestSegmentsTest : public RecordFixture {
 protected:
  static int64_t In(const RequestSegments& segments, Wall segment) {
    return segments.of(segment) / Ms(1);
  }
};

TEST_F(RequestSegmentsTest, AWholeAnswerFromItsFirstByteToItsLast) {
  const auto record = Begin();
  Arrive(*record);
  const auto slot = Submit(*record);
  Pass(10 + 20 + 50);
  slot->Leave(TimelineOf(50));
  FinishText(*record);
  Pass(6);
  record->OnAnswered(200);
  record->OnEnd(true);
  const RequestSegments segments = Segments(*record);
  EXPECT_EQ(segments.wall, Ms(1 + 2 + 3 + 4 + 5 + 80 + 1 + 2 + 6));
  EXPECT_EQ(In(segments, Wall::kReceive), 1);
  EXPECT_EQ(In(segments, Wall::kDispatch), 2);
  EXPECT_EQ(In(segments, Wall::kParse), 3);
  EXPECT_EQ(In(segments, Wall::kTemplate), 4);
  EXPECT_EQ(In(segments, Wall::kTokenize), 5);
  EXPECT_EQ(In(segments, Wall::kQueueBlocks), 10);
  EXPECT_EQ(segments.queue(), Ms(10));
  EXPECT_EQ(In(segments, Wall::kPrefill), 20);
  EXPECT_EQ(In(segments, Wall::kDecode), 50);
  EXPECT_EQ(In(segments, Wall::kHandover), 1);
  EXPECT_EQ(In(segments, Wall::kDetokenize), 2);
  EXPECT_EQ(In(segments, Wall::kSend), 6);
  EXPECT_EQ(In(segments, Wall::kSocket), 0);
  EXPECT_EQ(StatusOf(record->Read()), RequestStatus::kFinished);
}

// The client reads nothing from amid the decodes to long after the last of them:
//
//   decode  |<------ 50 ------>|
//   stalled       |<----- 20 + 3 ---|--- 400 ---->|
TEST_F(RequestSegmentsTest, ASlowReaderCostsWhatComesAfterTheEngineIsDone) {
  const auto record = Begin();
  Arrive(*record);
  const auto slot = Submit(*record);
  Pass(10 + 20 + 30);
  record->OnStalled();
  Pass(20);
  slot->Leave(TimelineOf(50));
  FinishText(*record);
  Pass(400);
  EXPECT_EQ(In(Segments(*record), Wall::kSocket), 400) << "seen while it goes on";
  record->OnFlowing();
  Pass(6);
  record->OnEnd(true);
  const RequestSegments segments = Segments(*record);
  EXPECT_EQ(In(segments, Wall::kDecode), 50);
  EXPECT_EQ(In(segments, Wall::kSocket), 400);
  EXPECT_EQ(In(segments, Wall::kSend), 6);
  EXPECT_EQ(record->Read().stalled, Ms(20 + 3 + 400));
}

TEST_F(RequestSegmentsTest, ARunningRequestIsKnownSoFar) {
  const auto record = Begin();
  Pass(5);
  EXPECT_EQ(In(Segments(*record), Wall::kReceive), 5);
  record->OnReceived();
  Pass(5);
  EXPECT_EQ(In(Segments(*record), Wall::kDispatch), 5);
  record->OnHandled();
  record->OnGeneration("r1", "chatcmpl-r1", "demo");
  const auto slot = Submit(*record);
  Pass(7);
  EXPECT_EQ(In(Segments(*record), Wall::kQueueStep), 7) << "the engine has said nothing yet";
  slot->Leave(TimelineOf(5));
  Pass(100);
  const RequestSegments segments = Segments(*record);
  EXPECT_EQ(In(segments, Wall::kQueueBlocks), 10);
  EXPECT_EQ(In(segments, Wall::kDecode), 107 - 30) << "the last it said goes on";
  EXPECT_EQ(StatusOf(record->Read()), RequestStatus::kRunning);
}

TEST_F(RequestSegmentsTest, WorkPastTheAnswersEndIsNobodysTime) {
  const auto record = Begin();
  Arrive(*record);
  const auto slot = Submit(*record);
  Pass(10 + 20 + 40);
  FinishText(*record);  // a stop string matched
  slot->Leave(TimelineOf(60));
  record->OnEnd(true);
  const RequestSegments segments = Segments(*record);
  EXPECT_EQ(In(segments, Wall::kDecode), 40);
  EXPECT_EQ(In(segments, Wall::kPrefill), 20);
  EXPECT_EQ(In(segments, Wall::kHandover), 1);
}

TEST_F(RequestSegmentsTest, ACancelledRequestEndsWhenItsClientHadGone) {
  const auto record = Begin();
  Arrive(*record);
  const auto slot = Submit(*record);
  Pass(10 + 20 + 12);
  record->OnEnd(false);
  slot->Leave(TimelineOf(40));  // the step it was in ended later
  const RequestSegments segments = Segments(*record);
  EXPECT_EQ(In(segments, Wall::kDecode), 12);
  EXPECT_EQ(segments.wall, Ms(15 + 42));
  EXPECT_EQ(StatusOf(record->Read()), RequestStatus::kCancelled);
}

TEST_F(RequestSegmentsTest, ARefusedRequestIsParsedAndAnswered) {
  const auto record = Begin();
  Arrive(*record);
  record->OnAnswered(400);
  Pass(2);
  record->OnEnd(true);
  const RequestSegments segments = Segments(*record);
  EXPECT_EQ(In(segments, Wall::kParse), 3);
  EXPECT_EQ(In(segments, Wall::kSend), 2);
  EXPECT_EQ(StatusOf(record->Read()), RequestStatus::kRejected);
}

TEST_F(RequestSegmentsTest, APromptThatIsTooLongIsRefusedAfterItsTokens) {
  const auto record = Begin();
  Arrive(*record);
  const int prompt = record->OnPromptBegun();
  Pass(4);
  record->OnRendered(prompt);
  Pass(9);
  record->OnAnswered(400);
  record->OnEnd(true);
  EXPECT_EQ(In(Segments(*record), Wall::kTokenize), 9);
  EXPECT_EQ(StatusOf(record->Read()), RequestStatus::kRejected);
}

// Two prompts of one request; the first is done last.
TEST_F(RequestSegmentsTest, OfSeveralPromptsTheLastToFinishIsTheWay) {
  const auto record = Begin();
  Arrive(*record);
  const auto first = Submit(*record);
  const RequestTimeline timeline = TimelineOf(80);
  const auto second = Submit(*record);
  Pass(10 + 20 + 40);
  second->Leave(TimelineOf(40));
  FinishText(*record, 1);
  Pass(80 - 40 - 9 - 3);
  first->Leave(timeline);
  EXPECT_EQ(StatusOf(record->Read()), RequestStatus::kRunning);
  FinishText(*record, 0, 11);
  for (const bool has_ended : {false, true}) {
    if (has_ended) record->OnEnd(true);
    const RequestSegments segments = Segments(*record);
    EXPECT_EQ(In(segments, Wall::kDecode), 80);
    EXPECT_EQ(In(segments, Wall::kTokenize), 9) << "its own template has nothing apart";
    EXPECT_EQ(segments.wall, Ms(6 + 9 + 110 + 3));
  }
  const RequestFacts facts = record->Read();
  EXPECT_EQ(facts.prompts.size(), 1u);
  EXPECT_EQ(facts.num_prompts, 2);
  EXPECT_EQ(facts.prompt_tokens, 14);
  EXPECT_EQ(facts.completion_tokens, 20);
}

TEST_F(RequestSegmentsTest, TheWorstFinishIsTheStatus) {
  for (const auto& [finish, status] : {std::pair(FinishReason::kLength, RequestStatus::kFinished),
                                       std::pair(FinishReason::kExpired, RequestStatus::kExpired),
                                       std::pair(FinishReason::kFailed, RequestStatus::kFailed)}) {
    const auto record = Begin();
    Arrive(*record);
    Submit(*record);
    FinishText(*record, 0, 1, finish);
    record->OnEnd(true);
    EXPECT_EQ(StatusOf(record->Read()), status);
  }
}

TEST_F(RequestSegmentsTest, EverySegmentHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (int i = 0; i < kNumWallSegments; ++i) {
    names.insert(WallSegmentName(static_cast<WallSegment>(i)));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(kNumWallSegments));
  EXPECT_EQ(WallSegmentName(Wall::kSocket), "socket");
  EXPECT_EQ(WallSegmentName(Wall::kQueuePriority), "queue_priority");
}

}  // namespace
}  // namespace runahead

#include "server/explain_format.h"

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "record_fixture.h"

namespace runahead {
namespace {

using nlohmann::json;

class ExplainFormatTest : public RecordFixture {
 protected:
  // One that was preempted once and drafted by two.
  std::shared_ptr<RequestRecord> Finished() {
    auto record = Begin();
    Arrive(*record);
    const auto slot = Submit(*record);
    Pass(10 + 20 + 50);
    RequestTimeline timeline = TimelineOf(50);
    timeline.first_token = submitted_ + Ms(30);
    timeline.num_chunks = 20;
    timeline.num_prefill_tokens = 160;
    for (auto& chunk : timeline.chunks) chunk = {.num_tokens = 8, .num_sequences = 3};
    timeline.min_batch = 1;
    timeline.max_batch = 5;
    timeline.sum_batch = 23;
    timeline.num_preempted_for_blocks = 1;
    timeline.num_discarded_tokens = 2;
    timeline.drafts[static_cast<size_t>(DrafterKind::kModel)] = {12, 9};
    timeline.drafts[static_cast<size_t>(DrafterKind::kNgram)] = {4, 0};
    slot->Leave(timeline);
    FinishText(*record);
    record->OnAnswered(200);
    record->OnEnd(true);
    return record;
  }
};

TEST_F(ExplainFormatTest, ItsSegmentsSumToItsWallTime) {
  const json told = json::parse(FormatExplain(Finished()->Read(), "", clock_.Now()));
  double sum = 0;
  for (const auto& [name, ms] : told["segments_ms"].items()) sum += ms.get<double>();
  EXPECT_NEAR(sum, told["wall_ms"].get<double>(), 0.011);
  EXPECT_EQ(told["segments_ms"].size(), static_cast<size_t>(kNumWallSegments));
  EXPECT_EQ(told["segments_ms"]["decode"], 50.0);
}

TEST_F(ExplainFormatTest, EveryFactHasItsPlace) {
  const json told = json::parse(FormatExplain(Finished()->Read(), "alice", clock_.Now()));
  EXPECT_EQ(told["object"], "request.explain");
  EXPECT_EQ(told["id"], "chatcmpl-r1");
  EXPECT_EQ(told["request_id"], "r1");
  EXPECT_EQ(told["status"], "finished");
  EXPECT_EQ(told["http_status"], 200);
  EXPECT_EQ(told["delivered"], true);
  EXPECT_EQ(told["api_key"], "alice");
  EXPECT_EQ(told["trace"], nullptr);
  EXPECT_EQ(told["received_at"].get<std::string>().size(), 24u);
  EXPECT_EQ(told["usage"]["completion_tokens"], 9);
  EXPECT_EQ(told["choices"], json::parse(R"([{"index":0,"finish_reason":"stop"}])"));
  EXPECT_EQ(told["prefill"]["num_chunks"], 20);
  EXPECT_EQ(told["prefill"]["chunks"].size(), static_cast<size_t>(kMaxTimelineChunks));
  EXPECT_EQ(told["prefill"]["chunks"][0]["batch_sequences"], 3);
  EXPECT_EQ(told["decode"]["steps"], 10);
  EXPECT_EQ(told["decode"]["batch_sequences"], json::parse(R"({"min":1,"mean":2.3,"max":5})"));
  EXPECT_EQ(told["speculation"]["drafted_tokens"], 16);
  EXPECT_EQ(told["speculation"]["drafters"]["model"]["accepted_tokens"], 9);
  EXPECT_FALSE(told["speculation"]["drafters"].contains("self"));
  EXPECT_EQ(told["preemptions"]["for_blocks"], 1);
  EXPECT_EQ(told["discarded_tokens"], 2);
  EXPECT_EQ(told["first_token_ms"], 15.0 + 30);
}

TEST_F(ExplainFormatTest, ARunningRequestSaysSo) {
  const auto record = Begin();
  Arrive(*record);
  Submit(*record);
  Pass(8);
  const json told = json::parse(FormatExplain(record->Read(), "", clock_.Now()));
  EXPECT_EQ(told["status"], "running");
  EXPECT_EQ(told["http_status"], nullptr);
  EXPECT_EQ(told["decode"]["batch_sequences"], nullptr);
  EXPECT_EQ(told["wall_ms"], 15.0 + 8);
}

TEST_F(ExplainFormatTest, WhatAClientSentIsEscaped) {
  const auto record = Begin("a\"b\\\n\xff{}%v");
  record->OnGeneration(record->id(), "cmpl-\xc3(", "demo");
  record->OnEnd(false);
  const json told = json::parse(FormatExplain(record->Read(), "", clock_.Now()));
  EXPECT_EQ(told["request_id"], "a\"b\\\n\uFFFD{}%v");
  const RequestFacts& facts = ended_.at(0);
  EXPECT_EQ(json::parse("{" + FormatAccessMembers(facts, "") + "}")["request_id"],
            told["request_id"]);
  EXPECT_EQ(FormatAccessText(facts, "").find('\n'), std::string::npos);
}

TEST_F(ExplainFormatTest, TheAccessLogHasTheSameIdsAndNumbers) {
  const auto record = Finished();
  const json line = json::parse("{" + FormatAccessMembers(ended_.at(0), "alice") + "}");
  EXPECT_EQ(line["request_id"], "r1");
  EXPECT_EQ(line["response_id"], "chatcmpl-r1");
  EXPECT_EQ(line["door"], "http");
  EXPECT_EQ(line["model"], "demo");
  EXPECT_EQ(line["status"], "finished");
  EXPECT_EQ(line["finish_reason"], "stop");
  EXPECT_EQ(line["api_key"], "alice");
  EXPECT_EQ(line["client"], "127.0.0.1:4711");
  EXPECT_EQ(line["prompt_tokens"], 7);
  EXPECT_EQ(line["cached_tokens"], 4);
  EXPECT_EQ(line["completion_tokens"], 9);
  EXPECT_EQ(line["drafted_tokens"], 16);
  EXPECT_EQ(line["accepted_tokens"], 9);
  EXPECT_EQ(line["queue_ms"], 10.0);
  EXPECT_EQ(line["prefill_ms"], 20.0);
  EXPECT_EQ(line["decode_ms"], 50.0);
  EXPECT_EQ(line["total_ms"], 15.0 + 80 + 3);
  EXPECT_FALSE(line.contains("trace_id"));
  EXPECT_EQ(FormatAccessText(ended_.at(0), "alice"),
            "POST /v1/chat/completions 200 finished 98.0 ms (queue 10.0, prefill 20.0, decode "
            "50.0), 7+9 tokens, request r1 of 127.0.0.1:4711 (alice)");
}

TEST_F(ExplainFormatTest, ARequestForNoTextHasAShorterLine) {
  auto record = log_.Begin({.method = "GET",
                            .path = "/v1/models",
                            .id = "m",
                            .client = "127.0.0.1:1",
                            .trace = ParseTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-"
                                                      "00f067aa0ba902b7-01"),
                            .first_byte = clock_.Now()});
  record->OnAnswered(200);
  record->OnEnd(true);
  const json line = json::parse("{" + FormatAccessMembers(ended_.at(0), "") + "}");
  EXPECT_EQ(line["status"], "answered");
  EXPECT_EQ(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(line["parent_id"], "00f067aa0ba902b7");
  EXPECT_EQ(line["span_id"].get<std::string>().size(), 16u);
  EXPECT_FALSE(line.contains("prompt_tokens"));
  EXPECT_EQ(FormatAccessText(ended_.at(0), ""),
            "GET /v1/models 200 answered 0.0 ms, request m of 127.0.0.1:1, trace "
            "4bf92f3577b34da6a3ce929d0e0e4736");
}

}  // namespace
}  // namespace runahead

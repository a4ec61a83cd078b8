#include "server/loadgen/answer_reader.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const std::string kEnd = "0\r\n\r\n";

std::string Chunk(const std::string& bytes) {
  char size[16];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return size + bytes + "\r\n";
}

std::string Event(const std::string& data) { return Chunk("data: " + data + "\n\n"); }

std::string Delta(const std::string& members, const char* finish = "null") {
  return Event(R"({"choices":[{"index":0,"delta":{)" + members + R"(},"finish_reason":)" + finish +
               R"(}],"usage":null})");
}

std::string Whole(int status, const std::string& body) {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: application/json\r\n" +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

const std::string kUsage =
    R"({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":8,"total_tokens":17,)"
    R"("prompt_tokens_details":{"cached_tokens":4},)"
    R"("speculation":{"target_steps":3,"drafted_tokens":6,"accepted_tokens":5}}})";

struct Piece {
  double at_s;
  std::string bytes;
};

LoadRecord Read(const std::vector<Piece>& pieces, double sent_s, bool closes = false) {
  LoadRecord record{.sent_s = sent_s};
  AnswerReader reader(record);
  for (const Piece& piece : pieces) reader.Feed(piece.bytes, piece.at_s);
  if (closes) reader.FeedEnd(pieces.back().at_s);
  EXPECT_TRUE(reader.finished());
  return record;
}

// seconds   0     1.0     1.5      1.75         2.25   3.0
//           sent  role    3 tokens 2 tokens     2      end of text, usage, [DONE]
// By hand: TTFT 1.5 (the role has no text), gaps 0.25 and 0.5, E2E 3.0, and with the usage's eight
// tokens TPOT (3.0 - 1.5) / 7.
std::vector<Piece> Scripted() {
  return {{1.0, kStreamHead + Delta(R"("role":"assistant","content":"")")},
          {1.5, Delta(R"("content":"Once upon a")")},
          {1.75, Delta(R"("content":" time")")},
          {2.25, Delta(R"("content":"!")")},
          {3.0, Delta("", "\"stop\"") + Event(kUsage) + Event("[DONE]") + kEnd}};
}

TEST(AnswerReaderTest, TimesAreThoseWorkedOutByHand) {
  const LoadRecord record = Read(Scripted(), 0);
  EXPECT_TRUE(record.ok()) << record.error_kind << record.error;
  EXPECT_THAT(record.text_s, ElementsAre(1.5, 1.75, 2.25));
  EXPECT_DOUBLE_EQ(*record.Ttft(), 1.5);
  EXPECT_DOUBLE_EQ(record.E2e(), 3.0);
  EXPECT_DOUBLE_EQ(*record.Tpot(), 1.5 / 7);
  EXPECT_EQ(record.finish_reason, "stop");
  EXPECT_EQ(record.usage->prompt_tokens, 9);
  EXPECT_EQ(record.usage->completion_tokens, 8);
  EXPECT_EQ(record.usage->cached_tokens, 4);
  EXPECT_EQ(record.usage->target_steps, 3);
  EXPECT_EQ(record.usage->drafted_tokens, 6);
  EXPECT_EQ(record.usage->accepted_tokens, 5);
}

TEST(AnswerReaderTest, TimesCountFromSending) {
  const LoadRecord record = Read(Scripted(), 0.25);
  EXPECT_DOUBLE_EQ(*record.Ttft(), 1.25);
  EXPECT_DOUBLE_EQ(record.E2e(), 2.75);
}

TEST(AnswerReaderTest, ReadsMayEndAnywhere) {
  std::string bytes;
  for (const Piece& piece : Scripted()) bytes += piece.bytes;
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    LoadRecord record;
    AnswerReader reader(record);
    reader.Feed(bytes.substr(0, cut), 1);
    ASSERT_EQ(reader.finished(), cut == bytes.size()) << cut;
    reader.Feed(bytes.substr(cut), 2);
    ASSERT_TRUE(reader.finished() && reader.keeps_connection() && record.ok()) << cut;
    ASSERT_EQ(record.text_s.size(), 3u) << cut;
    ASSERT_EQ(record.usage->completion_tokens, 8) << cut;
  }
}

TEST(AnswerReaderTest, CompletionsReasoningAndToolCallsAreText) {
  const std::string text = R"({"choices":[{"index":0,"text":"a","finish_reason":null}]})";
  for (const std::string& chunk :
       {Event(text), Delta(R"("reasoning_content":"hm")"), Delta(R"("reasoning":"hm")"),
        Delta(R"("tool_calls":[{"index":0,"function":{"arguments":"{"}}])")}) {
    const LoadRecord record =
        Read({{1, kStreamHead + chunk}, {2, Delta("", "\"stop\"") + kEnd}}, 0);
    EXPECT_TRUE(record.ok());
    EXPECT_THAT(record.text_s, ElementsAre(1)) << chunk;
  }
}

TEST(AnswerReaderTest, OneTokenHasNoTimePerToken) {
  LoadRecord record{.last_s = 2, .text_s = {1}, .usage = AnswerUsage{.completion_tokens = 1}};
  EXPECT_FALSE(record.Tpot().has_value());
  record.usage->completion_tokens = 2;
  EXPECT_DOUBLE_EQ(*record.Tpot(), 1);
  record.usage.reset();
  EXPECT_FALSE(record.Tpot().has_value());
}

TEST(AnswerReaderTest, AWholeAnswerHasNoFirstChunk) {
  const LoadRecord record =
      Read({{2.5, Whole(200, R"({"choices":[{"text":"hi","finish_reason":"length"}],)"
                             R"("usage":{"prompt_tokens":3,"completion_tokens":2}})")}},
           0.5);
  EXPECT_TRUE(record.ok());
  EXPECT_FALSE(record.Ttft().has_value());
  EXPECT_DOUBLE_EQ(record.E2e(), 2);
  EXPECT_EQ(record.usage->completion_tokens, 2);
}

TEST(AnswerReaderTest, AStreamWithoutDoneEndsWithItsFinishReason) {
  EXPECT_TRUE(Read({{1, kStreamHead + Delta("", "\"stop\"") + kEnd}}, 0).ok());
  EXPECT_EQ(Read({{1, kStreamHead + Delta(R"("content":"a")") + kEnd}}, 0).error_kind, "closed");
}

TEST(AnswerReaderTest, WhatFollowsAWholeAnswerDoesNotSpoilIt) {
  const LoadRecord record =
      Read({{1, kStreamHead + Delta("", "\"stop\"") + Event("[DONE]")}}, 0, /*closes=*/true);
  EXPECT_TRUE(record.ok());
}

struct Failure {
  std::string bytes;
  const char* kind;
  const char* words;
};

TEST(AnswerReaderTest, FailuresAreToldApart) {
  const std::string started = kStreamHead + Delta(R"("content":"a")");
  const Failure failures[] = {
      {started, "closed", "amid the answer"},
      {"", "closed", "amid the answer"},
      {started + Event("{\"choices\":"), "bad_answer", "not JSON: {\"choices\":"},
      {started + Event("[1]"), "bad_answer", "neither choices nor usage"},
      {started + Event("{\"object\":\"x\"}"), "bad_answer", "neither choices nor usage"},
      {kStreamHead + Event("[DONE]"), "bad_answer", "[DONE] without an answer"},
      {started + Event(R"({"error":{"message":"The engine failed."}})"), "error_event",
       "The engine failed."},
      {Whole(429, R"({"error":{"message":"The queue is full."}})"), "http_429",
       "The queue is full."},
      {Whole(500, "<h1>Oops</h1>"), "http_500", "<h1>Oops</h1>"},
      {Whole(422, R"({"error":"Model is overloaded"})"), "http_422", "Model is overloaded"},
      {Whole(400, R"({"object":"error","message":"flat"})"), "http_400", "flat"},
      {Whole(200, "garbage"), "bad_answer", "not JSON: garbage"},
      {Whole(200, "{}"), "bad_answer", "neither choices"},
      {Whole(200, R"({"choices":[],"usage":{}})"), "bad_answer", "without choices"},
      {"220 smtp ready\r\n\r\n", "bad_answer", "not an HTTP response"}};
  for (const Failure& failure : failures) {
    const LoadRecord record = Read({{1, failure.bytes}}, 0, /*closes=*/true);
    EXPECT_EQ(record.error_kind, failure.kind) << failure.bytes;
    EXPECT_THAT(record.error, HasSubstr(failure.words)) << failure.bytes;
  }
}

TEST(AnswerReaderTest, NumbersThatAreNoneCountNothing) {
  const LoadRecord record =
      Read({{1, Whole(200, R"({"choices":[{"text":"a"}],"usage":{"prompt_tokens":"9",)"
                           R"("prompt_tokens_details":null,"completion_tokens":2.5}})")}},
           0);
  EXPECT_TRUE(record.ok());
  EXPECT_EQ(record.usage->prompt_tokens, 0);
  EXPECT_EQ(record.usage->completion_tokens, 0);
}

}  // namespace
}  // namespace runahead

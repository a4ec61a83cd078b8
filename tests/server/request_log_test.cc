#include "server/request_log.h"

#include "gtest/gtest.h"
#include <malloc.h>

#include "record_fixture.h"

namespace runahead {
namespace {

class RequestLogTest : public RecordFixture {
 protected:
  std::shared_ptr<RequestRecord> Keep(RequestLog& log, const std::string& id, int key = -1) {
    auto record = log.Begin({.id = id, .key = key});
    log.Keep(record);
    record->OnGeneration(id, "cmpl-" + id, "demo");
    return record;
  }
};

TEST_F(RequestLogTest, BothIdsFindARequest) {
  const auto record = Keep(log_, "abc");
  EXPECT_EQ(log_.Find("abc", -1), record);
  EXPECT_EQ(log_.Find("cmpl-abc", -1), record);
  EXPECT_EQ(log_.Find("", -1), nullptr);
  EXPECT_EQ(log_.Find("ab", -1), nullptr);
}

TEST_F(RequestLogTest, AnIdThatTheBodyNamesFindsItToo) {
  auto record = log_.Begin({.id = "header"});
  log_.Keep(record);
  record->OnGeneration("body", "cmpl-body", "demo");
  for (const char* id : {"header", "body", "cmpl-body"}) EXPECT_EQ(log_.Find(id, -1), record);
}

TEST_F(RequestLogTest, WhatWasNotKeptIsNotFound) {
  log_.Begin({.id = "models"});
  EXPECT_EQ(log_.Find("models", -1), nullptr);
}

TEST_F(RequestLogTest, AKeySeesItsOwnRequestsAlone) {
  const auto mine = Keep(log_, "same", 0);
  const auto theirs = Keep(log_, "same", 1);
  EXPECT_EQ(log_.Find("same", 0), mine);
  EXPECT_EQ(log_.Find("same", 1), theirs);
  EXPECT_EQ(log_.Find("same", -1), nullptr);
  EXPECT_EQ(log_.Find("1:same", 0), nullptr);
}

TEST_F(RequestLogTest, OfOneIdTheNewestIsMeant) {
  RequestLog log({.max_kept = 2}, clock_, nullptr);
  Keep(log, "twice");
  const auto newer = Keep(log, "twice");
  EXPECT_EQ(log.Find("twice", -1), newer);
  Keep(log, "other");  // forgets the older one
  EXPECT_EQ(log.Find("twice", -1), newer);
}

TEST_F(RequestLogTest, TenThousandRequestsLeaveAsManyRecordsAsWereAskedFor) {
  RequestLog log({.max_kept = 64}, clock_, nullptr);
  std::vector<std::weak_ptr<RequestRecord>> all;
  for (int i = 0; i < 10'000; ++i) {
    const auto record = Keep(log, "request-" + std::to_string(i));
    all.push_back(record);
    if (i % 2 == 0) record->OnEnd(true);  // those that run are forgotten as well
  }
  EXPECT_EQ(log.num_kept(), 64);
  int num_alive = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    const bool is_alive = !all[i].expired();
    EXPECT_EQ(is_alive, i >= all.size() - 64);
    EXPECT_EQ(log.Find("cmpl-request-" + std::to_string(i), -1) != nullptr, is_alive);
    num_alive += is_alive ? 1 : 0;
  }
  EXPECT_EQ(num_alive, 64);
}

// Whatever clients call themselves. (A sanitizer's allocator tells nothing.)
TEST_F(RequestLogTest, ARecordHasABound) {
  RequestLog log({.max_kept = 256}, clock_, nullptr);
  const size_t before = mallinfo2().uordblks;
  for (int i = 0; i < 512; ++i) {
    const std::string id = std::to_string(i) + std::string(4000, 'x');
    auto record = log.Begin({.path = id, .id = "header" + id, .client = id});
    log.Keep(record);
    record->OnGeneration(id, "cmpl-" + id, id);
    for (int prompt = 0; prompt < 16; ++prompt) Submit(*record)->Leave(TimelineOf(20));
    record->OnEnd(false);
  }
  EXPECT_LE((mallinfo2().uordblks - before) / 256, size_t{6} << 10);
}

TEST_F(RequestLogTest, WithNothingToKeepNothingIsFound) {
  RequestLog log({.max_kept = 0}, clock_, nullptr);
  const auto record = Keep(log, "a");
  EXPECT_EQ(log.Find("a", -1), nullptr);
  EXPECT_EQ(log.num_kept(), 0);
}

TEST_F(RequestLogTest, AnIdOfAnyLengthFindsItsRequest) {
  const std::string id(4096, 'x');
  const auto record = Keep(log_, id);
  EXPECT_EQ(log_.Find(id, -1), record);
  EXPECT_EQ(log_.Find(std::string(1 << 20, 'y'), -1), nullptr);
}

TEST(KeyNameTest, KeysHaveTheirNamesOrTheirNumbers) {
  const RequestLogSettings settings = {.key_names = {"alice"}};
  EXPECT_EQ(KeyName(settings, -1), "");
  EXPECT_EQ(KeyName(settings, 0), "alice");
  EXPECT_EQ(KeyName(settings, 1), "key2");
}

}  // namespace
}  // namespace runahead

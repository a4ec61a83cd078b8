#include "core/mailbox.h"

#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace runahead {
namespace {

TEST(Mailbox, TakesEverythingInOrderOnce) {
  Mailbox<int> mailbox;
  EXPECT_TRUE(mailbox.Take().empty());
  mailbox.Send(1);
  mailbox.Send(2);
  EXPECT_EQ(mailbox.Take(), (std::vector<int>{1, 2}));
  EXPECT_TRUE(mailbox.Take().empty());
}

TEST(Mailbox, CarriesMoveOnlyMessages) {
  Mailbox<std::unique_ptr<int>> mailbox;
  mailbox.Send(std::make_unique<int>(5));
  EXPECT_EQ(*mailbox.Take().front(), 5);
}

TEST(Mailbox, WaitReturnsAtOnceWhenMailIsThere) {
  Mailbox<int> mailbox;
  mailbox.Send(1);
  EXPECT_TRUE(mailbox.WaitUntil(kNoDeadline));
  EXPECT_TRUE(mailbox.WaitUntil(TimePoint{}));  // a passed deadline does not hide mail
}

TEST(Mailbox, WaitGivesUpAtTheDeadline) {
  Mailbox<int> mailbox;
  EXPECT_FALSE(mailbox.WaitUntil(TimePoint{}));
  EXPECT_FALSE(mailbox.WaitUntil(std::chrono::steady_clock::now() + std::chrono::milliseconds(1)));
}

TEST(Mailbox, SendWakesTheWaitingReceiver) {
  Mailbox<int> mailbox;
  std::vector<int> got;
  std::thread receiver([&] {
    while (got.size() < 2) {
      EXPECT_TRUE(mailbox.WaitUntil(kNoDeadline));
      for (const int message : mailbox.Take()) got.push_back(message);
    }
  });
  mailbox.Send(1);
  mailbox.Send(2);
  receiver.join();
  EXPECT_EQ(got, (std::vector<int>{1, 2}));
}

TEST(Mailbox, ManySendersLoseNothingAndKeepEachOnesOrder) {
  constexpr int kSenders = 4;
  constexpr int kMessages = 2000;
  struct Message {
    int sender;
    int number;
  };
  Mailbox<Message> mailbox;
  std::vector<std::thread> senders;
  for (int s = 0; s < kSenders; ++s) {
    senders.emplace_back([&mailbox, s] {
      for (int i = 0; i < kMessages; ++i) mailbox.Send({s, i});
    });
  }
  std::vector<int> next(kSenders, 0);
  int received = 0;
  while (received < kSenders * kMessages) {
    ASSERT_TRUE(mailbox.WaitUntil(kNoDeadline));
    for (const Message& message : mailbox.Take()) {
      ASSERT_EQ(message.number, next[static_cast<size_t>(message.sender)]++);
      ++received;
    }
  }
  for (std::thread& sender : senders) sender.join();
  EXPECT_TRUE(mailbox.Take().empty());
}

}  // namespace
}  // namespace runahead

#include "engine/timeline_slot.h"

#include <thread>

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(TimelineSlotTest, TheNewestCopyIsTakenOnce) {
  TimelineSlot slot;
  EXPECT_EQ(slot.Take(), nullptr);
  RequestTimeline timeline;
  for (int i = 1; i <= 3; ++i) {
    timeline.num_decode_steps = i;
    slot.Leave(timeline);
  }
  const auto taken = slot.Take();
  ASSERT_NE(taken, nullptr);
  EXPECT_EQ(taken->num_decode_steps, 3);
  EXPECT_EQ(slot.Take(), nullptr);
  slot.Leave(timeline);  // what nobody takes is freed with the slot
}

// For the thread and address sanitizers: no copy is torn, lost twice or read after its end.
TEST(TimelineSlotTest, AReaderBesideTheWriterSeesWholeCopiesInOrder) {
  TimelineSlot slot;
  constexpr int kNumCopies = 2000;
  std::thread writer([&slot] {
    RequestTimeline timeline;
    for (int i = 1; i <= kNumCopies; ++i) {
      timeline.num_decode_steps = timeline.num_discarded_tokens = i;
      slot.Leave(timeline);
    }
  });
  int last = 0;
  while (last < kNumCopies) {
    const auto taken = slot.Take();
    if (taken == nullptr) continue;
    EXPECT_GT(taken->num_decode_steps, last);
    EXPECT_EQ(taken->num_decode_steps, taken->num_discarded_tokens);
    last = taken->num_decode_steps;
  }
  writer.join();
}

}  // namespace
}  // namespace runahead

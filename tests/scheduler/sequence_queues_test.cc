#include "scheduler/sequence_queues.h"

#include <memory>
#include <vector>

#include "gtest/gtest.h"

namespace runahead {
namespace {

class SequenceQueuesTest : public ::testing::Test {
 protected:
  Sequence& Make(int priority, int choice = 0) {
    const RequestSpec spec = {
        .id = RequestId{sequences_.size()}, .prompt = {1}, .priority = priority};
    sequences_.push_back(std::make_unique<Sequence>(spec, choice, sequences_.size(), 100));
    return *sequences_.back();
  }

  std::vector<std::unique_ptr<Sequence>> sequences_;
  SequenceQueues queues_;
};

TEST_F(SequenceQueuesTest, OrdersByPriorityThenArrival) {
  Sequence& first = Make(0);
  Sequence& second = Make(0);
  Sequence& urgent = Make(-1);
  Sequence& idle = Make(5);
  for (Sequence* each : {&idle, &second, &first, &urgent}) queues_.Wait(*each);
  std::vector<Sequence*> order;
  while (queues_.HasWaiting()) {
    order.push_back(&queues_.first_waiting());
    queues_.Run(*order.back());
    queues_.CheckIntegrity();
  }
  EXPECT_EQ(order, (std::vector<Sequence*>{&urgent, &first, &second, &idle}));
  EXPECT_EQ(&queues_.last_running(), &idle);
}

//   running  [a b]   waiting  [c d]      preempt b:   running  [a]   waiting  [b c d]
TEST_F(SequenceQueuesTest, APreemptedSequenceGoesBackToTheHead) {
  Sequence& a = Make(0);
  Sequence& b = Make(0);
  Sequence& c = Make(0);
  Sequence& d = Make(0);
  for (Sequence* each : {&a, &b, &c, &d}) queues_.Wait(*each);
  queues_.Run(a);
  queues_.Run(b);
  EXPECT_EQ(&queues_.last_running(), &b);
  queues_.Preempt(b);
  EXPECT_EQ(b.status(), SequenceStatus::kPreempted);
  EXPECT_EQ(&queues_.first_waiting(), &b);
  EXPECT_EQ(queues_.num_waiting(), 3);
  EXPECT_EQ(queues_.num_running(), 1);
  queues_.CheckIntegrity();
}

TEST_F(SequenceQueuesTest, RemovesFromWhereverASequenceIs) {
  Sequence& running = Make(0);
  Sequence& waiting = Make(0);
  queues_.Wait(running);
  queues_.Run(running);
  queues_.Wait(waiting);
  queues_.Remove(running);
  queues_.Remove(waiting);
  EXPECT_FALSE(queues_.HasRunning());
  EXPECT_FALSE(queues_.HasWaiting());
}

}  // namespace
}  // namespace runahead

#include "server/rejection.h"

#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(RejectionTest, EachStatusCountsOnceUnderItsReason) {
  const std::vector<std::pair<Status, RejectReason>> cases = {
      {InvalidArgument("x"), RejectReason::kInvalid},
      {InvalidArgument("x", "messages", "context_length_exceeded"), RejectReason::kTooLong},
      {{StatusCode::kUnauthenticated, "x"}, RejectReason::kUnauthenticated},
      {{StatusCode::kNotFound, "x"}, RejectReason::kNotFound},
      {{StatusCode::kPayloadTooLarge, "x"}, RejectReason::kTooLarge},
      {{StatusCode::kResourceExhausted, "x"}, RejectReason::kQueueFull},
      {{StatusCode::kUnavailable, "x"}, RejectReason::kUnavailable},
  };
  for (const auto& [status, reason] : cases) {
    Metrics metrics;
    CountRejection(metrics, status);
    const MetricsSnapshot snapshot = metrics.Snapshot();
    EXPECT_EQ(snapshot.received, 1u);
    for (size_t i = 0; i < snapshot.rejected.size(); ++i) {
      EXPECT_EQ(snapshot.rejected[i], i == static_cast<size_t>(reason) ? 1u : 0u)
          << StatusCodeName(status.code()) << " " << i;
    }
  }
}

}  // namespace
}  // namespace runahead

#include "server/rejection.h"

namespace runahead {
namespace {

RejectReason ReasonOf(const Status& status) {
  switch (status.code()) {
    case StatusCode::kUnauthenticated:
      return RejectReason::kUnauthenticated;
    case StatusCode::kNotFound:
      return RejectReason::kNotFound;
    case StatusCode::kPayloadTooLarge:
      return RejectReason::kTooLarge;
    case StatusCode::kResourceExhausted:
      return RejectReason::kQueueFull;
    case StatusCode::kUnavailable:
    case StatusCode::kDeadlineExceeded:
      return RejectReason::kUnavailable;
    default:
      return status.reason() == "context_length_exceeded" ? RejectReason::kTooLong
                                                          : RejectReason::kInvalid;
  }
}

}  // namespace

void CountRejection(Metrics& metrics, const Status& status) {
  metrics.CountRejected(ReasonOf(status));
}

}  // namespace runahead

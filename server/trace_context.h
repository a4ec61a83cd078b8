// TraceContext: a caller's place in a distributed trace, as W3C Trace Context's `traceparent` says
// it, and ours under it. Value type; pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace runahead {

struct TraceContext {
  std::string trace_id;      // 32 lower-case hexadecimal digits, not all zero
  std::string parent_id;     // 16, likewise: the caller's span
  std::string span_id = {};  // 16: ours, made for this request
  std::string flags;         // 2
  bool sampled() const;
};

// Absent where the value is not one that the recommendation accepts: version ff or not two digits,
// wrong lengths, upper case, an id of zeros, or more than a version 00 may hold. A later version is
// read as far as 00 reaches, where a dash sets off what follows.
std::optional<TraceContext> ParseTraceparent(std::string_view value);

// The value of the answer's `traceresponse`: the same trace, and our span.
std::string FormatTraceresponse(const TraceContext& trace);

}  // namespace runahead

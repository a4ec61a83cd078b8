#include "server/trace_context.h"

#include <algorithm>
#include <random>

namespace runahead {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";
constexpr size_t kSize = 2 + 1 + 32 + 1 + 16 + 1 + 2;  // version-trace-parent-flags

bool IsHex(std::string_view text) {
  return text.find_first_not_of(kDigits) == std::string_view::npos;
}

bool IsId(std::string_view text) {
  return IsHex(text) && text.find_first_not_of('0') != std::string_view::npos;
}

std::string NewSpanId() {
  std::random_device entropy;
  std::string id;
  for (int word = 0; word < 2; ++word) {
    uint32_t bits = entropy();
    for (int i = 0; i < 8; ++i, bits >>= 4) id.push_back(kDigits[bits & 15u]);
  }
  if (!IsId(id)) id.back() = '1';
  return id;
}

}  // namespace

bool TraceContext::sampled() const { return (kDigits.find(flags[1]) & 1u) != 0; }

std::optional<TraceContext> ParseTraceparent(std::string_view value) {
  if (value.size() < kSize) return std::nullopt;
  const std::string_view version = value.substr(0, 2);
  if (!IsHex(version) || version == "ff") return std::nullopt;
  if (version == "00" && value.size() != kSize) return std::nullopt;
  if (value.size() > kSize && value[kSize] != '-') return std::nullopt;
  if (value[2] != '-' || value[35] != '-' || value[52] != '-') return std::nullopt;
  TraceContext trace{.trace_id = std::string(value.substr(3, 32)),
                     .parent_id = std::string(value.substr(36, 16)),
                     .flags = std::string(value.substr(53, 2))};
  if (!IsId(trace.trace_id) || !IsId(trace.parent_id) || !IsHex(trace.flags)) return std::nullopt;
  trace.span_id = NewSpanId();
  return trace;
}

std::string FormatTraceresponse(const TraceContext& trace) {
  // Of the flags we know one, and set no other.
  return "00-" + trace.trace_id + "-" + trace.span_id + (trace.sampled() ? "-01" : "-00");
}

}  // namespace runahead

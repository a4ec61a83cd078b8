#include "server/http_gate.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <random>
#include <utility>

#include "server/http_error.h"

namespace runahead {
namespace {

constexpr size_t kMaxIdBytes = 128;

// Ids go into logs and header fields, so only plain visible characters are taken over.
bool IsUsableId(std::string_view id) {
  return !id.empty() && id.size() <= kMaxIdBytes &&
         std::all_of(id.begin(), id.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

// Seconds, with decimals.
std::optional<double> ParseSeconds(std::string_view text) {
  double seconds = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, seconds);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  if (!(seconds >= 0 && seconds <= 1e7)) return std::nullopt;
  return seconds;
}

// The recommendation knows one such field; of several nobody could say which is meant.
std::optional<TraceContext> TraceOf(const HttpHeaders& headers) {
  std::optional<std::string_view> value;
  for (const auto& [name, each] : headers.fields()) {
    if (!EqualsIgnoringCase(name, "traceparent")) continue;
    if (value) return std::nullopt;
    value = each;
  }
  return value ? ParseTraceparent(*value) : std::nullopt;
}

std::string HttpDate(std::chrono::system_clock::time_point now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 40> text{};
  // The C locale's names, which the program never changes, are those HTTP wants.
  const size_t length = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return std::string(text.data(), length);
}

}  // namespace

std::string NewRequestId() {
  std::random_device entropy;
  std::string id;
  for (int word = 0; word < 4; ++word) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    uint32_t bits = entropy();
    for (int i = 0; i < 8; ++i, bits >>= 4) id.push_back(kDigits[bits & 15u]);
  }
  return id;
}

HttpGate::HttpGate(GateOptions options, const Router& router, const Clock& clock,
                   std::function<void(const Status&)> on_refused, RequestLog* log)
    : keys_(std::move(options.api_keys)),
      cors_origins_(std::move(options.cors_origins)),
      router_(router),
      clock_(clock),
      on_refused_(std::move(on_refused)),
      log_(log) {}

// Probes and scrapes, which come by the second, leave no record.
void HttpGate::Identify(HttpRequest& request, const Route* route) const {
  const std::string_view given_id = request.headers.Get("X-Request-Id");
  request.id = IsUsableId(given_id) ? std::string(given_id) : NewRequestId();
  request.trace = TraceOf(request.headers);
  if (log_ == nullptr || (route != nullptr && route->is_open)) return;
  request.record = log_->Begin({.door = Door::kHttp,
                                .method = request.method,
                                .path = request.path,
                                .id = request.id,
                                .client = request.client,
                                .trace = request.trace,
                                .first_byte = request.first_byte});
}

void HttpGate::CountRefused(const Status& status) const {
  if (on_refused_) on_refused_(status);
}

HttpResponse HttpGate::Refuse(const Status& status) const {
  CountRefused(status);
  return ErrorResponse(status);
}

HttpGate::Admitted HttpGate::Admit(HttpRequest& request) const {
  const Route* route = router_.Find(request.method, request.path);
  Identify(request, route);
  if (route == nullptr) {
    const std::string allowed = router_.AllowedMethods(request.path);
    if (allowed.empty()) {
      return {.refusal = ErrorResponse(
                  {StatusCode::kNotFound, "There is no " + request.path + ".", {}, "unknown_url"})};
    }
    if (request.method == "OPTIONS") return {.refusal = Preflight(request)};
    Admitted refused{.refusal = ErrorResponse(InvalidArgument(
                         request.path + " answers " + allowed + ", not " + request.method + ".", {},
                         "method_not_allowed"))};
    refused.refusal.status = 405;
    refused.refusal.headers.Add("Allow", allowed);
    return refused;
  }
  if (const std::string_view authorization = request.headers.Get("Authorization");
      !route->is_open && !keys_.Allow(authorization)) {
    return {.refusal = Refuse({StatusCode::kUnauthenticated,
                               "A valid API key is needed: send 'Authorization: Bearer KEY'."})};
  } else if (!route->is_open) {
    request.key = keys_.Find(authorization).value_or(-1);
    if (request.record != nullptr) request.record->SetKey(request.key);
  }
  if (const std::string_view timeout = request.headers.Get("X-Request-Timeout"); !timeout.empty()) {
    const std::optional<double> seconds = ParseSeconds(timeout);
    if (!seconds) {
      return {.refusal = Refuse(InvalidArgument("X-Request-Timeout must be a number of seconds.",
                                                "X-Request-Timeout"))};
    }
    request.deadline = clock_.Now() + std::chrono::duration_cast<Duration>(
                                          std::chrono::duration<double>(*seconds));
  }
  return {.route = route};
}

std::optional<std::string> HttpGate::AllowedOrigin(const HttpRequest& request) const {
  const std::string_view origin = request.headers.Get("Origin");
  if (origin.empty()) return std::nullopt;
  for (const std::string& allowed : cors_origins_) {
    if (allowed == "*" || allowed == origin) return std::string(allowed == "*" ? "*" : origin);
  }
  return std::nullopt;
}

HttpResponse HttpGate::Preflight(const HttpRequest& request) const {
  HttpResponse response;
  response.status = 204;
  const std::string allowed = router_.AllowedMethods(request.path);
  response.headers.Add("Allow", allowed);
  if (AllowedOrigin(request)) {
    response.headers.Add("Access-Control-Allow-Methods", allowed);
    response.headers.Add("Access-Control-Allow-Headers",
                         "Authorization, Content-Type, X-Request-Id, X-Request-Timeout, "
                         "traceparent");
    response.headers.Add("Access-Control-Max-Age", "600");
  }
  return response;
}

void HttpGate::Finish(const HttpRequest& request, HttpResponse& response) const {
  if (request.record != nullptr) request.record->OnAnswered(response.status);
  response.headers.Set("X-Request-Id", request.id);
  if (request.trace) response.headers.Set("traceresponse", FormatTraceresponse(*request.trace));
  response.headers.Set("Date", HttpDate(std::chrono::system_clock::now()));
  if (cors_origins_.empty()) return;
  if (const auto origin = AllowedOrigin(request)) {
    response.headers.Set("Access-Control-Allow-Origin", *origin);
    response.headers.Set("Access-Control-Expose-Headers",
                         "X-Request-Id, Retry-After, traceresponse");
  }
  // Caches must not hand one origin's answer to another.
  response.headers.Set("Vary", "Origin");
}

}  // namespace runahead

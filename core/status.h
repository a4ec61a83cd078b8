// Status and Result<T>: what a request can cause, as values. Value types.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "core/check.h"

namespace runahead {

// The outcomes a caller can act on; the front ends map each to one HTTP status and one gRPC code.
enum class StatusCode {
  kOk,
  kInvalidArgument,    // HTTP 400, the request itself is wrong; `param` names the field
  kUnauthenticated,    // 401
  kNotFound,           // 404
  kPayloadTooLarge,    // 413
  kResourceExhausted,  // 429, the queue is full: try again later
  kCancelled,          // 499, the client went away
  kInternal,           // 500
  kUnimplemented,      // 501
  kUnavailable,        // 503, draining, loading or a failed device
  kDeadlineExceeded,   // 504
};

// Upper-case name of a code: "INVALID_ARGUMENT".
std::string_view StatusCodeName(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // ok
  Status(StatusCode code, std::string message, std::string param = {}, std::string reason = {})
      : code_(code),
        message_(std::move(message)),
        param_(std::move(param)),
        reason_(std::move(reason)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }
  // The request field at fault ("messages[2].role"), or empty.
  const std::string& param() const { return param_; }
  // A stable machine-readable word ("model_not_found", "context_length_exceeded"), or empty.
  const std::string& reason() const { return reason_; }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
  std::string param_;
  std::string reason_;
};

inline Status InvalidArgument(std::string message, std::string param = {},
                              std::string reason = {}) {
  return {StatusCode::kInvalidArgument, std::move(message), std::move(param), std::move(reason)};
}

// Aborts, naming the failure somebody took for a value.
[[noreturn]] void ResultHasNoValue(const Status& failure);

// A value or the Status that explains its absence.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}        // NOLINT(google-explicit-constructor)
  Result(Status status) : state_(std::move(status)) {  // NOLINT(google-explicit-constructor)
    RA_CHECK(!std::get<Status>(state_).ok(), "a Result made from an ok Status has no value");
  }

  bool ok() const { return std::holds_alternative<T>(state_); }
  explicit operator bool() const { return ok(); }

  T& value() & { return Checked(); }
  const T& value() const& { return const_cast<Result*>(this)->Checked(); }
  T&& value() && { return std::move(Checked()); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // Ok when there is a value.
  Status status() const { return ok() ? Status() : std::get<Status>(state_); }

 private:
  T& Checked() {
    if (const Status* failure = std::get_if<Status>(&state_)) [[unlikely]] {
      ResultHasNoValue(*failure);
    }
    return std::get<T>(state_);
  }

  std::variant<T, Status> state_;
};

}  // namespace runahead

// Returns the failing Status of `expr` from the enclosing function.
#define RA_RETURN_IF_ERROR(expr)                                                  \
  do {                                                                            \
    if (::runahead::Status ra_status = (expr); !ra_status.ok()) return ra_status; \
  } while (false)

#define RA_CONCAT_INNER_(a, b) a##b
#define RA_CONCAT_(a, b) RA_CONCAT_INNER_(a, b)
// RA_ASSIGN_OR_RETURN(auto x, F()): x = the value of F(), or returns F()'s Status.
#define RA_ASSIGN_OR_RETURN(lhs, expr) \
  RA_ASSIGN_OR_RETURN_(RA_CONCAT_(ra_result_, __LINE__), lhs, expr)
#define RA_ASSIGN_OR_RETURN_(tmp, lhs, expr) \
  auto tmp = (expr);                         \
  if (!tmp.ok()) return tmp.status();        \
  lhs = std::move(tmp).value()

// RA_CHECK: invariants whose violation is a bug of ours, never of a request. Thread-safe.
#pragma once

#include <sstream>
#include <string>

namespace runahead {

// Prints `file:line: check failed: expr (values) message` to stderr and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* expr,
                              const std::string& detail);

namespace check_internal {

// "(left vs right)" for values that can be printed, "" for others.
template <typename A, typename B>
std::string Values(const A& a, const B& b) {
  if constexpr (requires(std::ostringstream & s) { s << a << b; }) {
    std::ostringstream stream;
    stream << "(" << a << " vs " << b << ") ";
    return stream.str();
  } else {
    return {};
  }
}

}  // namespace check_internal
}  // namespace runahead

// RA_CHECK(cond) or RA_CHECK(cond, "what it means").
#define RA_CHECK(cond, ...)                                                           \
  do {                                                                                \
    if (!(cond)) [[unlikely]] {                                                       \
      ::runahead::CheckFailed(__FILE__, __LINE__, #cond, ::std::string{__VA_ARGS__}); \
    }                                                                                 \
  } while (false)

#define RA_CHECK_OP_(a, op, b)                                                 \
  do {                                                                         \
    const auto& ra_a = (a);                                                    \
    const auto& ra_b = (b);                                                    \
    if (!(ra_a op ra_b)) [[unlikely]] {                                        \
      ::runahead::CheckFailed(__FILE__, __LINE__, #a " " #op " " #b,           \
                              ::runahead::check_internal::Values(ra_a, ra_b)); \
    }                                                                          \
  } while (false)

#define RA_CHECK_EQ(a, b) RA_CHECK_OP_(a, ==, b)
#define RA_CHECK_NE(a, b) RA_CHECK_OP_(a, !=, b)
#define RA_CHECK_LT(a, b) RA_CHECK_OP_(a, <, b)
#define RA_CHECK_LE(a, b) RA_CHECK_OP_(a, <=, b)
#define RA_CHECK_GT(a, b) RA_CHECK_OP_(a, >, b)
#define RA_CHECK_GE(a, b) RA_CHECK_OP_(a, >=, b)

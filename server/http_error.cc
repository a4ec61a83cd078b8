#include "server/http_error.h"

#include <string_view>

#include "nlohmann/json.hpp"

namespace runahead {
namespace {

struct ErrorForm {
  int http_status;
  std::string_view type;
  const char* default_code;  // null: the code is null unless the Status has a reason
};

ErrorForm FormOf(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return {200, "", nullptr};
    case StatusCode::kInvalidArgument:
      return {400, "invalid_request_error", nullptr};
    case StatusCode::kUnauthenticated:
      return {401, "authentication_error", "invalid_api_key"};
    case StatusCode::kNotFound:
      return {404, "invalid_request_error", "not_found"};
    case StatusCode::kPayloadTooLarge:
      return {413, "invalid_request_error", "request_too_large"};
    case StatusCode::kResourceExhausted:
      return {429, "rate_limit_error", "rate_limit_exceeded"};
    case StatusCode::kCancelled:
      return {499, "request_cancelled", "cancelled"};
    case StatusCode::kInternal:
      return {500, "server_error", "internal_error"};
    case StatusCode::kUnimplemented:
      return {501, "server_error", "not_implemented"};
    case StatusCode::kUnavailable:
      return {503, "server_error", "service_unavailable"};
    case StatusCode::kDeadlineExceeded:
      return {504, "timeout_error", "deadline_exceeded"};
  }
  return {500, "server_error", "internal_error"};
}

}  // namespace

int HttpStatusOf(StatusCode code) { return FormOf(code).http_status; }

std::string ErrorJson(const Status& status) {
  const ErrorForm form = FormOf(status.code());
  nlohmann::ordered_json error;
  error["message"] = status.message();
  error["type"] = form.type;
  error["param"] = nullptr;
  if (!status.param().empty()) error["param"] = status.param();
  error["code"] = nullptr;
  if (!status.reason().empty()) {
    error["code"] = status.reason();
  } else if (form.default_code != nullptr) {
    error["code"] = form.default_code;
  }
  nlohmann::ordered_json body;
  body["error"] = std::move(error);
  return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

HttpResponse ErrorResponse(const Status& status) {
  HttpResponse response;
  response.status = HttpStatusOf(status.code());
  response.body = ErrorJson(status);
  // A second is about what a queue of short answers takes to move, and no client should spin
  // faster.
  if (response.status == 429 || response.status == 503) response.headers.Add("Retry-After", "1");
  if (response.status == 401) response.headers.Add("WWW-Authenticate", "Bearer");
  return response;
}

}  // namespace runahead

#include "server/explain_api.h"

#include <string>
#include <string_view>

#include "server/explain_format.h"
#include "server/http_error.h"

namespace runahead {
namespace {

constexpr std::string_view kPrefix = "/v1/requests/";
constexpr std::string_view kSuffix = "/explain";
constexpr size_t kMaxNamedBytes = 64;  // of an id, in the answer that says it is unknown

}  // namespace

HttpReply Explain(const RequestLog& log, const Clock& clock, const HttpRequest& request) {
  std::string_view id = request.path;
  if (!id.starts_with(kPrefix) || !id.ends_with(kSuffix) ||
      id.size() <= kPrefix.size() + kSuffix.size()) {
    return ErrorResponse({StatusCode::kNotFound,
                          "Ask for " + std::string(kPrefix) + "{id}" + std::string(kSuffix) + ".",
                          {},
                          "unknown_url"});
  }
  id.remove_prefix(kPrefix.size());
  id.remove_suffix(kSuffix.size());
  const auto record = log.Find(std::string(id), request.key);
  if (record == nullptr) {
    return ErrorResponse(
        {StatusCode::kNotFound,
         "No recent request is called '" + std::string(id.substr(0, kMaxNamedBytes)) + "'.", "id",
         "request_not_found"});
  }
  HttpResponse response;
  response.body = FormatExplain(record->Read(), KeyName(log.settings(), request.key), clock.Now());
  return response;
}

}  // namespace runahead

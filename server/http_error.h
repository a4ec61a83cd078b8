// Status as HTTP sees it: the status code and OpenAI's error object with all four keys. Pure
// functions.
#pragma once

#include <string>

#include "core/status.h"
#include "server/http_message.h"

namespace runahead {

int HttpStatusOf(StatusCode code);

// {"error":{"message","type","param","code"}}; param and code are null where the Status names none.
std::string ErrorJson(const Status& status);

// The whole answer, with Retry-After on 429 and 503.
HttpResponse ErrorResponse(const Status& status);

}  // namespace runahead

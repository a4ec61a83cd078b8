// The handler of /v1/requests/{id}/explain. Thread-safe.
#pragma once

#include "core/clock.h"
#include "server/http_message.h"
#include "server/request_log.h"

namespace runahead {

// The request's own key says whose requests it may ask about: those that came with the same one.
// Another's request is not found, as one that never was.
HttpReply Explain(const RequestLog& log, const Clock& clock, const HttpRequest& request);

}  // namespace runahead

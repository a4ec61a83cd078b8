// Bodies of the OpenAI routes, and the HTTP bytes around them: any input is parsed or refused.
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/check.h"
#include "server/http_parser.h"
#include "server/openai_format.h"
#include "server/openai_parse.h"
#include "server/trace_context.h"

namespace {

void ParseBody(const std::string& text) {
  const runahead::Result<runahead::Json> body = runahead::ParseJsonBody(text);
  if (!body.ok()) return;
  runahead::Dump(*body);  // whatever was accepted can be written again
  if (!body->is_object()) return;
  for (const auto route : {runahead::OpenAiRoute::kChat, runahead::OpenAiRoute::kCompletion}) {
    const auto parsed = runahead::ParseOpenAiRequest(*body, route, {});
    RA_CHECK(parsed.ok() ? !parsed->prompts.empty()
                         : parsed.status().code() == runahead::StatusCode::kInvalidArgument);
  }
}

void ParseHttp(std::string bytes) {
  runahead::HttpParser parser({.max_header_bytes = 4096, .max_body_bytes = 4096});
  for (;;) {
    const auto progress = parser.Feed(bytes);
    if (progress == runahead::HttpParser::Progress::kHeaderDone) continue;
    if (progress != runahead::HttpParser::Progress::kDone) return;
    RA_CHECK(parser.Take().body.size() <= 4096);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  ParseBody(text);
  ParseHttp(text);
  if (const auto trace = runahead::ParseTraceparent(text)) {
    RA_CHECK(runahead::ParseTraceparent(runahead::FormatTraceresponse(*trace)).has_value());
  }
  return 0;
}

// ParseJsonBody: untrusted JSON to a document of bounded depth and size. Pure functions,
// thread-safe.
#pragma once

#include <string_view>

#include "nlohmann/json.hpp"

#include "core/status.h"

namespace runahead {

using Json = nlohmann::ordered_json;

struct JsonLimits {
  int max_depth = 64;          // nesting; what walks a document recurses this deep at most
  int max_values = 1'000'000;  // values in all: a few bytes of text can cost a hundred of memory
};

// Invalid JSON, invalid UTF-8, numbers beyond a double and broken limits are kInvalidArgument with
// the place. Members keep their order. A name given twice stays twice: FindMember returns the last.
Result<Json> ParseJsonBody(std::string_view text, const JsonLimits& limits = {});

// The last member of that name whose value is not null; nullptr when there is none. An explicit
// null says "not given".
const Json* FindMember(const Json& object, std::string_view name);

}  // namespace runahead

// A request's record as people and programs read it: explain's JSON, and the line of the access
// log. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "core/clock.h"
#include "server/request_record.h"

namespace runahead {

// GET /v1/requests/{id}/explain; docs/explain.md is its description. `key_name`: of the API key.
std::string FormatExplain(const RequestFacts& facts, std::string_view key_name, TimePoint now);

// The members of the access log's JSON object, without its braces.
std::string FormatAccessMembers(const RequestFacts& facts, std::string_view key_name);

// The same in one short line for people.
std::string FormatAccessText(const RequestFacts& facts, std::string_view key_name);

}  // namespace runahead

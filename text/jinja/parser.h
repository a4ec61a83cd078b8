// Jinja source to a syntax tree. Pure functions.
#pragma once

#include <string_view>

#include "core/status.h"
#include "text/jinja/ast.h"

namespace runahead::jinja {

// Errors name the line and what was met there. Filters and tests that do not exist are errors too,
// but for those inside an `if`, which fail when they are reached, as in Jinja.
Result<Template> Parse(std::string_view source);

}  // namespace runahead::jinja

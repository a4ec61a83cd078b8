// JSON documents as values. One render, one thread.
#pragma once

#include "nlohmann/json.hpp"

#include "text/jinja/runtime.h"

namespace runahead::jinja {

// Integers past 63 bits become floats; strings that are not UTF-8 get U+FFFD where they break.
Value FromJson(Runtime& runtime, const nlohmann::ordered_json& json);

}  // namespace runahead::jinja

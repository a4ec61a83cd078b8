// The one table of request fields of the OpenAI routes: handled, ignorable, or known and not
// supported. Immutable.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/status.h"
#include "server/json_body.h"

namespace runahead {

enum class OpenAiRoute : uint8_t { kChat, kCompletion };

enum class FieldUse : uint8_t {
  kHandled,  // openai_parse reads it
  kIgnored,  // changes nothing about the answer: labels, hints, switches of services we are not
  kRefused,  // would change the answer and is not supported: any value but a harmless one is an
             // error
};

struct OpenAiField {
  std::string_view name;
  bool in_chat;
  bool in_completion;
  FieldUse use;
  // With kRefused: a JSON array of the values that ask for nothing. Null always is.
  std::string_view harmless = "[]";
};

std::span<const OpenAiField> OpenAiFields();

// kInvalidArgument (reason "unsupported_parameter", param the field) when `body`, an object, asks
// for something of the table that is refused. Fields outside the table are ignored: clients send
// new ones before servers know them.
Status CheckUnsupported(const Json& body, OpenAiRoute route);

}  // namespace runahead

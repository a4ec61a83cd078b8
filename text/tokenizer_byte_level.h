// Byte level: GPT-2's mapping of every byte to a visible character and back. Immutable;
// thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace runahead {

// Appends one character per byte of `bytes`: printable Latin-1 stays, the others are U+0100 + n
// (space is "Ġ", newline "Ċ"), as in OpenAI's gpt-2/src/encoder.py.
void AppendByteLevel(std::string_view bytes, std::string* out);

// The bytes that `characters` (valid UTF-8) stand for; nothing if one of them stands for none.
std::optional<std::string> BytesOfByteLevel(std::string_view characters);

}  // namespace runahead

// Any bytes as a chat template: parsing and rendering must end with a text or an error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "text/jinja/from_json.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"

namespace {

const nlohmann::ordered_json& Conversation() {
  static const auto conversation = nlohmann::ordered_json::parse(R"({
    "messages": [{"role": "system", "content": "Be brief."},
                 {"role": "user", "content": "Zażółć 漢字 🦊"},
                 {"role": "assistant", "content": null,
                  "tool_calls": [{"function": {"name": "f", "arguments": {"x": [1, 2.5, null]}}}]},
                 {"role": "tool", "content": "{}"}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>"})");
  return conversation;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const auto parsed = runahead::jinja::Parse(source);
  if (!parsed.ok()) return 0;
  // Small limits, so that every input is quick.
  runahead::jinja::Limits limits;
  limits.max_steps = 100'000;
  limits.max_memory_bytes = 1 << 22;
  runahead::jinja::Runtime runtime(limits, 1732147200);
  runahead::jinja::Interpreter interpreter(*parsed, runtime);
  for (const auto& item : Conversation().items()) {
    interpreter.SetVariable(item.key(), runahead::jinja::FromJson(runtime, item.value()));
  }
  interpreter.Render();
  return 0;
}

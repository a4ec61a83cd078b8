// render(source): what a template makes of JSON variables, or "error: ..."; for the tests here.
#pragma once

#include <string>

#include "text/jinja/from_json.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"

namespace runahead::jinja {

inline std::string Render(
    const std::string& source,
    const nlohmann::ordered_json& variables = nlohmann::ordered_json::object(),
    const Limits& limits = {}) {
  const Result<Template> parsed = Parse(source);
  if (!parsed.ok()) return "error: " + parsed.status().message();
  Runtime runtime(limits);
  Interpreter interpreter(*parsed, runtime);
  for (const auto& item : variables.items()) {
    interpreter.SetVariable(item.key(), FromJson(runtime, item.value()));
  }
  std::string text = interpreter.Render();
  return runtime.failed() ? "error: " + runtime.status().message() : text;
}

}  // namespace runahead::jinja

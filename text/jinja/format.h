// Values as text: Python's str() and repr(), and json.dumps. One render, one thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace runahead::jinja {

// repr(float): the shortest digits that read back equal.
std::string FormatFloat(double value);

// str(value), undefined being empty.
void AppendStr(const Value& value, TextBuilder& out);
std::string Str(Runtime& runtime, const Value& value);

void AppendRepr(const Value& value, TextBuilder& out);

// The keyword arguments of json.dumps.
struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent;  // of one level; without it everything is on one line
  std::optional<std::string> item_separator;
  std::optional<std::string> key_separator;
  bool sort_keys = false;
};

// Fails on what json.dumps refuses, undefined values among them.
void AppendJson(const Value& value, const JsonStyle& style, TextBuilder& out);

}  // namespace runahead::jinja

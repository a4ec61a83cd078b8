#include <algorithm>
#include <string>

#include "text/jinja/builtins.h"
#include "text/jinja/format.h"
#include "text/jinja/operations.h"

namespace runahead::jinja {
namespace {

Value FilterDefault(Runtime& runtime, const Value& self, const Bound& arguments) {
  const bool wanted = self.IsUndefined() || (arguments.Flag(1, false) && !Truthy(self));
  if (!wanted) return self;
  return arguments.Has(0) ? arguments[0] : runtime.NewString("");
}

Value FilterString(Runtime& runtime, const Value& self, const Bound&) {
  return self.IsString() ? self : runtime.NewString(Str(runtime, self));
}

// Chat templates run without autoescape, where `safe` changes nothing that can be seen.
Value FilterSafe(Runtime& runtime, const Value& self, const Bound& arguments) {
  return FilterString(runtime, self, arguments);
}

Value FilterEscape(Runtime& runtime, const Value& self, const Bound&) {
  TextBuilder out(runtime);
  const std::string text = Str(runtime, self);
  std::string_view rest = text;
  while (!rest.empty() && !runtime.failed()) {
    const size_t at = std::min(rest.find_first_of("&<>\"'"), rest.size());
    out.Append(rest.substr(0, at));
    if (at == rest.size()) break;
    switch (rest[at]) {
      case '&':
        out.Append("&amp;");
        break;
      case '<':
        out.Append("&lt;");
        break;
      case '>':
        out.Append("&gt;");
        break;
      case '"':
        out.Append("&#34;");
        break;
      default:
        out.Append("&#39;");
        break;
    }
    rest.remove_prefix(at + 1);
  }
  return runtime.NewString(out.Take());
}

// json.dumps's separators: a pair (item, key).
bool ReadSeparators(Runtime& runtime, const Value& value, JsonStyle& style) {
  if (value.IsNone() || value.IsUndefined()) return true;
  if (!value.IsList() || value.list().items.size() != 2 || !value.list().items[0].IsString() ||
      !value.list().items[1].IsString()) {
    runtime.Fail("tojson() takes two strings as separators");
    return false;
  }
  style.item_separator = value.list().items[0].text();
  style.key_separator = value.list().items[1].text();
  return true;
}

// As transformers defines it: json.dumps without the HTML escapes of Jinja's own.
Value FilterToJson(Runtime& runtime, const Value& self, const Bound& arguments) {
  JsonStyle style;
  style.ensure_ascii = arguments.Flag(0, false);
  style.sort_keys = arguments.Flag(3, false);
  const Value& indent = arguments[1];
  if (indent.IsString()) {
    style.indent = indent.text();
  } else if (indent.IsInteger()) {
    TextBuilder spaces(runtime);
    spaces.Repeat(" ", indent.integer());
    style.indent = spaces.Take();
  } else if (!indent.IsNone() && !indent.IsUndefined()) {
    return runtime.Fail("tojson() takes a number or a string as indent");
  }
  if (!ReadSeparators(runtime, arguments[2], style)) return Value();
  TextBuilder out(runtime);
  AppendJson(self, style, out);
  return runtime.NewString(out.Take());
}

Value FilterAttr(Runtime& runtime, const Value& self, const Bound& arguments) {
  const std::string_view name = arguments.Text(runtime, 0, "");
  if (self.IsDict() && FindMethod(self, name) == nullptr) {
    return runtime.NewUndefined("'dict object' has no attribute '" + std::string(name) + "'");
  }
  return GetAttribute(runtime, self, name);
}

constexpr Builtin kOutputFilters[] = {
    {"default", "default_value boolean", 0, FilterDefault},
    {"d", "default_value boolean", 0, FilterDefault},
    {"string", "", 0, FilterString},
    {"safe", "", 0, FilterSafe},
    {"e", "", 0, FilterEscape},
    {"escape", "", 0, FilterEscape},
    {"forceescape", "", 0, FilterEscape},
    {"tojson", "ensure_ascii indent separators sort_keys", 0, FilterToJson},
    {"attr", "name", 1, FilterAttr},
};

}  // namespace

std::span<const Builtin> OutputFilters() { return kOutputFilters; }

}  // namespace runahead::jinja

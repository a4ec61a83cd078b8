#include "text/jinja/format.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "text/jinja/characters.h"
#include "text/utf8.h"

namespace runahead::jinja {
namespace {

using Kind = Value::Kind;

constexpr size_t kFlushBytes = 4096;  // escaped text meets the limits in pieces of this size

void AppendHex(char32_t code, int num_digits, std::string& out) {
  for (int shift = 4 * (num_digits - 1); shift >= 0; shift -= 4) {
    out.push_back("0123456789abcdef"[code >> shift & 0xF]);
  }
}

// What repr() writes for a character that it does not show.
void AppendPythonEscape(char32_t c, std::string& out) {
  if (c == '\n' || c == '\r' || c == '\t' || c == '\\') {
    out.push_back('\\');
    out.push_back(c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : '\\');
    return;
  }
  const int num_digits = c < 0x100 ? 2 : c < 0x10000 ? 4 : 8;
  out += num_digits == 2 ? "\\x" : num_digits == 4 ? "\\u" : "\\U";
  AppendHex(c, num_digits, out);
}

void AppendStringRepr(std::string_view text, TextBuilder& out) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const bool has_double = text.find('"') != std::string_view::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  std::string quoted(1, quote);
  while (!text.empty()) {
    const utf8::Step step = utf8::Decode(text);
    const auto num_bytes = static_cast<size_t>(step.num_bytes);
    if (step.code_point == static_cast<char32_t>(quote)) {
      quoted.push_back('\\');
      quoted.push_back(quote);
    } else if (step.code_point == '\\' || !IsPrintable(step.code_point)) {
      AppendPythonEscape(step.code_point, quoted);
    } else {
      quoted.append(text.substr(0, num_bytes));
    }
    text.remove_prefix(num_bytes);
    if (quoted.size() > kFlushBytes) out.Append(std::exchange(quoted, {}));
    if (out.runtime().failed()) return;
  }
  quoted.push_back(quote);
  out.Append(quoted);
}

struct Brackets {
  std::string_view open;
  std::string_view close;
};

Brackets BracketsOf(const ListNode& list) {
  switch (list.kind) {
    case ListKind::kList:
      return {"[", "]"};
    case ListKind::kTuple:
      return {"(", list.items.size() == 1 ? ",)" : ")"};
    case ListKind::kView:
      return {"dict_view([", "])"};
    case ListKind::kGenerator:
      return {"<generator [", "]>"};
  }
  return {};
}

}  // namespace

std::string FormatFloat(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  std::string scientific(buffer, end);
  const size_t e = scientific.find('e');
  const int exponent = std::stoi(scientific.substr(e + 1));
  if (exponent < -4 || exponent >= 16)
    return scientific;  // "1e+16", "1.5e-07": two digits at least
  end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed).ptr;
  std::string fixed(buffer, end);
  if (fixed.find('.') == std::string::npos) fixed += ".0";
  return fixed;
}

void AppendStr(const Value& value, TextBuilder& out) {
  if (value.IsString()) {
    out.Append(value.text());
  } else if (!value.IsUndefined()) {
    AppendRepr(value, out);
  }
}

std::string Str(Runtime& runtime, const Value& value) {
  TextBuilder out(runtime);
  AppendStr(value, out);
  return out.Take();
}

namespace {

void AppendListRepr(const ListNode& list, TextBuilder& out) {
  const Brackets brackets = BracketsOf(list);
  out.Append(brackets.open);
  bool is_first = true;
  for (const Value& item : list.items) {
    if (out.runtime().failed()) return;
    if (!is_first) out.Append(", ");
    is_first = false;
    AppendRepr(item, out);
  }
  out.Append(brackets.close);
}

void AppendDictRepr(const DictNode& dict, TextBuilder& out) {
  out.Append('{');
  bool is_first = true;
  for (const auto& [key, item] : dict.entries) {
    if (out.runtime().failed()) return;
    if (!is_first) out.Append(", ");
    is_first = false;
    AppendRepr(key, out);
    out.Append(": ");
    AppendRepr(item, out);
  }
  out.Append('}');
}

}  // namespace

void AppendRepr(const Value& value, TextBuilder& out) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return out.Append("Undefined");
    case Kind::kNone:
      return out.Append("None");
    case Kind::kBool:
      return out.Append(value.boolean() ? "True" : "False");
    case Kind::kInt:
      return out.Append(std::to_string(value.integer()));
    case Kind::kFloat:
      return out.Append(FormatFloat(value.number()));
    case Kind::kString:
      return AppendStringRepr(value.text(), out);
    case Kind::kList:
      return AppendListRepr(value.list(), out);
    case Kind::kDict:
      return AppendDictRepr(value.dict(), out);
    case Kind::kNamespace:
      return out.Append("<Namespace>");  // it may contain itself
    case Kind::kLoop:
      return out.Append("<LoopContext>");
    case Kind::kCallable:
      return out.Append("<function>");
  }
}

}  // namespace runahead::jinja

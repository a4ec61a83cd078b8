#include <algorithm>
#include <cmath>
#include <utility>

#include "text/jinja/format.h"
#include "text/utf8.h"

namespace runahead::jinja {
namespace {

using Kind = Value::Kind;

constexpr size_t kFlushBytes = 4096;  // escaped text meets the limits in pieces of this size

void AppendCodeUnit(char32_t unit, std::string& out) {
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) {
    out.push_back("0123456789abcdef"[unit >> shift & 0xF]);
  }
}

void AppendEscaped(char32_t c, std::string& out) {
  if (c >= 0x10000) {  // a surrogate pair
    AppendCodeUnit(0xD800 + ((c - 0x10000) >> 10), out);
    AppendCodeUnit(0xDC00 + ((c - 0x10000) & 0x3FF), out);
    return;
  }
  constexpr std::string_view kShort = "\"\\\b\f\n\r\t";
  constexpr std::string_view kLetters = "\"\\bfnrt";
  const size_t at = c < 0x80 ? kShort.find(static_cast<char>(c)) : std::string_view::npos;
  if (at == std::string_view::npos) return AppendCodeUnit(c, out);
  out.push_back('\\');
  out.push_back(kLetters[at]);
}

class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, TextBuilder& out)
      : style_(style),
        out_(out),
        item_separator_(style.item_separator.value_or(style.indent ? "," : ", ")),
        key_separator_(style.key_separator.value_or(": ")) {}

  void Write(const Value& value) {
    switch (value.kind()) {
      case Kind::kNone:
        return out_.Append("null");
      case Kind::kBool:
        return out_.Append(value.boolean() ? "true" : "false");
      case Kind::kInt:
        return out_.Append(std::to_string(value.integer()));
      case Kind::kFloat:
        return WriteFloat(value.number());
      case Kind::kString:
        return WriteString(value.text());
      case Kind::kList:
        if (value.list().kind <= ListKind::kTuple) return WriteList(value.list());
        break;
      case Kind::kDict:
        return WriteDict(value.dict());
      default:
        break;
    }
    out_.runtime().Fail("an object of type " + std::string(value.TypeName()) +
                        " cannot be written as JSON");
  }

 private:
  void WriteFloat(double value) {
    if (std::isfinite(value)) return out_.Append(FormatFloat(value));
    out_.Append(std::isnan(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity");
  }

  void WriteString(std::string_view text) {
    std::string quoted = "\"";
    while (!text.empty()) {
      const utf8::Step step = utf8::Decode(text);
      const auto num_bytes = static_cast<size_t>(step.num_bytes);
      const char32_t c = step.code_point;
      const bool escape = c < 0x20 || c == '"' || c == '\\' || (style_.ensure_ascii && c >= 0x7F);
      if (escape && c != 0x7F) {
        AppendEscaped(c, quoted);
      } else {
        quoted.append(text.substr(0, num_bytes));
      }
      text.remove_prefix(num_bytes);
      if (quoted.size() > kFlushBytes) out_.Append(std::exchange(quoted, {}));
      if (out_.runtime().failed()) return;
    }
    quoted.push_back('"');
    out_.Append(quoted);
  }

  // A new line at the current level, when there is an indent.
  void BreakLine() {
    if (!style_.indent) return;
    out_.Append('\n');
    out_.Repeat(*style_.indent, level_);
  }

  void WriteList(const ListNode& list) {
    if (list.items.empty()) return out_.Append("[]");
    out_.Append('[');
    ++level_;
    bool is_first = true;
    for (const Value& item : list.items) {
      if (out_.runtime().failed()) return;
      if (!is_first) out_.Append(item_separator_);
      is_first = false;
      BreakLine();
      Write(item);
    }
    --level_;
    BreakLine();
    out_.Append(']');
  }

  void WriteDict(const DictNode& dict) {
    if (dict.entries.empty()) return out_.Append("{}");
    out_.Append('{');
    ++level_;
    bool is_first = true;
    for (const DictNode::Entry* entry : Ordered(dict)) {
      if (out_.runtime().failed()) return;
      if (!is_first) out_.Append(item_separator_);
      is_first = false;
      BreakLine();
      WriteKey(entry->first);
      out_.Append(key_separator_);
      Write(entry->second);
    }
    --level_;
    BreakLine();
    out_.Append('}');
  }

  void WriteKey(const Value& key) {
    if (key.IsString()) return WriteString(key.text());
    if (!key.IsNumber() && !key.IsNone()) {
      out_.runtime().Fail("a JSON key must be a string, number, boolean or none");
      return;
    }
    out_.Append('"');
    Write(key);
    out_.Append('"');
  }

  std::vector<const DictNode::Entry*> Ordered(const DictNode& dict) {
    std::vector<const DictNode::Entry*> entries;
    bool all_strings = true;
    for (const DictNode::Entry& entry : dict.entries) {
      entries.push_back(&entry);
      all_strings = all_strings && entry.first.IsString();
    }
    if (!style_.sort_keys) return entries;
    if (!all_strings) {
      out_.runtime().Fail("only string keys can be sorted");
      return {};
    }
    std::ranges::sort(entries, {}, [](const DictNode::Entry* e) { return e->first.text(); });
    return entries;
  }

  const JsonStyle& style_;
  TextBuilder& out_;
  const std::string item_separator_;
  const std::string key_separator_;
  int64_t level_ = 0;
};

}  // namespace

void AppendJson(const Value& value, const JsonStyle& style, TextBuilder& out) {
  JsonWriter(style, out).Write(value);
}

}  // namespace runahead::jinja

#include <algorithm>
#include <string>

#include "text/jinja/builtins.h"
#include "text/jinja/characters.h"
#include "text/jinja/format.h"
#include "text/jinja/operations.h"
#include "text/jinja/text_ops.h"
#include "text/utf8.h"

namespace runahead::jinja {
namespace {

// Text filters take anything and work on its str().
template <std::string (*kConvert)(std::string_view)>
Value FilterConvert(Runtime& runtime, const Value& self, const Bound&) {
  return runtime.NewString(kConvert(Str(runtime, self)));
}

Value FilterTrim(Runtime& runtime, const Value& self, const Bound& arguments) {
  return StripText(runtime, Str(runtime, self), StripSide::kBoth, arguments[0]);
}

// Jinja's title: a word begins after white space or one of -({[<.
std::string JinjaTitle(std::string_view text) {
  std::string out;
  bool begins_word = true;
  while (!text.empty()) {
    const std::string_view first = FirstCharacter(text);
    const char32_t c = CodePointOf(first);
    const bool splits =
        IsSpace(c) || (c < 0x80 && std::string_view("-({[<").find(static_cast<char>(c)) !=
                                       std::string_view::npos);
    begins_word ? AppendUpper(c, out) : AppendLower(c, out);
    begins_word = splits;
    text.remove_prefix(first.size());
  }
  return out;
}

Value FilterReplace(Runtime& runtime, const Value& self, const Bound& arguments) {
  const std::string text = Str(runtime, self);
  const std::string old_text = Str(runtime, arguments[0]);
  const std::string new_text = Str(runtime, arguments[1]);
  const int64_t count = arguments[2].IsNone() ? -1 : arguments.Int(runtime, 2, -1);
  return ReplaceText(runtime, text, old_text, new_text, count);
}

Value FilterWordCount(Runtime& runtime, const Value& self, const Bound&) {
  const std::string text = Str(runtime, self);
  std::string_view rest = text;
  int64_t count = 0;
  bool in_word = false;
  while (!rest.empty()) {
    const std::string_view first = FirstCharacter(rest);
    const char32_t c = CodePointOf(first);
    const bool is_word = IsLetter(c) || IsDigit(c) || c == '_';
    count += is_word && !in_word ? 1 : 0;
    in_word = is_word;
    rest.remove_prefix(first.size());
  }
  return Value(count);
}

// Jinja's do_indent, quirks included: lines are those of str.splitlines of the text and one "\n".
Value FilterIndent(Runtime& runtime, const Value& self, const Bound& arguments) {
  if (self.IsUndefined()) return runtime.Fail(self.undefined_reason());
  if (!self.IsString()) return runtime.Fail("indent() needs a string");
  const bool first = arguments.Flag(1, false);
  const bool blank = arguments.Flag(2, false);
  TextBuilder indention(runtime);
  if (arguments[0].IsString()) {
    indention.Append(arguments[0].text());
  } else {
    indention.Repeat(" ", arguments.Int(runtime, 0, 4));
  }
  const std::string margin = indention.Take();
  const std::string text = Str(runtime, self) + "\n";
  const std::vector<std::string_view> lines = SplitLines(text);
  TextBuilder out(runtime);
  for (size_t i = 0; i < lines.size() && !runtime.failed(); ++i) {
    if (i > 0) out.Append('\n');
    const bool wants_margin = i == 0 ? first : blank || !lines[i].empty();
    if (wants_margin) out.Append(margin);
    out.Append(lines[i]);
  }
  return runtime.NewString(out.Take());
}

Value FilterTruncate(Runtime& runtime, const Value& self, const Bound& arguments) {
  const int64_t length = arguments.Int(runtime, 0, 255);
  const std::string_view end = arguments.Text(runtime, 2, "...");
  const int64_t leeway = arguments[3].IsNone() ? 5 : arguments.Int(runtime, 3, 5);
  const int64_t kept = length - utf8::CountCharacters(end);
  if (kept < 0) return runtime.Fail("truncate() needs a length that holds the ending");
  // What is short enough stays as it is, whatever it is.
  if (Length(runtime, self).value_or(0) <= length + leeway) return self;
  if (!self.IsString()) return runtime.Fail("truncate() needs a string");
  std::string_view cut = self.text().substr(0, utf8::OffsetOfCharacter(self.text(), kept));
  if (!arguments.Flag(1, false)) cut = cut.substr(0, std::min(cut.rfind(' '), cut.size()));
  return runtime.NewString(std::string(cut) + std::string(end));
}

Value FilterCenter(Runtime& runtime, const Value& self, const Bound& arguments) {
  const Value text = runtime.NewString(Str(runtime, self));
  if (!text.IsString()) return Value();
  Arguments width;
  width.positional.push_back(Value(arguments.Int(runtime, 0, 80)));
  return Invoke(runtime, *FindMethod(text, "center"), text, width);
}

Value FilterFormat(Runtime& runtime, const Value& self, const Bound& arguments) {
  const Arguments& given = arguments.all();
  if (given.named.empty()) {
    const Value tuple = runtime.NewList(given.positional, ListKind::kTuple);
    return FormatPercent(runtime, Str(runtime, self), tuple);
  }
  if (!given.positional.empty()) return runtime.Fail("format() takes positions or names, not both");
  std::vector<DictNode::Entry> entries;
  for (const auto& [name, value] : given.named)
    entries.emplace_back(runtime.NewString(name), value);
  return FormatPercent(runtime, Str(runtime, self), runtime.NewDict(std::move(entries)));
}

constexpr Builtin kTextFilters[] = {
    {"upper", "", 0, FilterConvert<ToUpper>},
    {"lower", "", 0, FilterConvert<ToLower>},
    {"capitalize", "", 0, FilterConvert<Capitalize>},
    {"title", "", 0, FilterConvert<JinjaTitle>},
    {"trim", "chars", 0, FilterTrim},
    {"replace", "old new count", 2, FilterReplace},
    {"wordcount", "", 0, FilterWordCount},
    {"indent", "width first blank", 0, FilterIndent},
    {"truncate", "length killwords end leeway", 0, FilterTruncate},
    {"center", "width", 0, FilterCenter},
    {"format", "*", 0, FilterFormat},
};

}  // namespace

std::span<const Builtin> TextFilters() { return kTextFilters; }

}  // namespace runahead::jinja

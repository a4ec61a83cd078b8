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

template <StripSide kSide>
Value MethodStrip(Runtime& runtime, const Value& self, const Bound& arguments) {
  return StripText(runtime, self.text(), kSide, arguments[0]);
}

template <std::string (*kConvert)(std::string_view)>
Value MethodConvert(Runtime& runtime, const Value& self, const Bound&) {
  if (!runtime.StepText(self.text().size())) return Value();
  return runtime.NewString(kConvert(self.text()));
}

std::string SwapCase(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::string_view first = FirstCharacter(text);
    const char32_t c = CodePointOf(first);
    IsUpper(c) ? AppendLower(c, out) : AppendUpper(c, out);
    text.remove_prefix(first.size());
  }
  return out;
}

// More pieces than this are refused; the functions below stop there.
constexpr size_t kMaxPieces = 1'000'000;

// Pieces of str.split() without a separator: runs of other than white space.
std::vector<std::string_view> SplitWords(std::string_view text, int64_t max_splits) {
  std::vector<std::string_view> pieces;
  for (text = StripLeft(text); !text.empty() && pieces.size() <= kMaxPieces;
       text = StripLeft(text)) {
    if (max_splits-- == 0) {
      pieces.push_back(StripRight(text));
      break;
    }
    size_t end = 0;
    while (end < text.size() && !IsSpace(CodePointOf(text.substr(end)))) {
      end += FirstCharacter(text.substr(end)).size();
    }
    pieces.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return pieces;
}

std::vector<std::string_view> SplitWordsRight(std::string_view text, int64_t max_splits) {
  std::vector<std::string_view> pieces;
  for (text = StripRight(text); !text.empty() && pieces.size() <= kMaxPieces;
       text = StripRight(text)) {
    if (max_splits-- == 0) {
      pieces.push_back(StripLeft(text));
      break;
    }
    size_t begin = text.size();
    while (begin > 0) {
      const std::string_view last = LastCharacter(text.substr(0, begin));
      if (IsSpace(CodePointOf(last))) break;
      begin -= last.size();
    }
    pieces.push_back(text.substr(begin));
    text = text.substr(0, begin);
  }
  std::ranges::reverse(pieces);
  return pieces;
}

std::vector<std::string_view> SplitAt(std::string_view text, std::string_view separator,
                                      int64_t max_splits) {
  std::vector<std::string_view> pieces;
  for (size_t at; max_splits-- != 0 && (at = text.find(separator)) != std::string_view::npos;) {
    if (pieces.size() > kMaxPieces) break;
    pieces.push_back(text.substr(0, at));
    text.remove_prefix(at + separator.size());
  }
  pieces.push_back(text);
  return pieces;
}

std::vector<std::string_view> SplitAtRight(std::string_view text, std::string_view separator,
                                           int64_t max_splits) {
  std::vector<std::string_view> pieces;
  for (size_t at; max_splits-- != 0 && (at = text.rfind(separator)) != std::string_view::npos;) {
    if (pieces.size() > kMaxPieces) break;
    pieces.push_back(text.substr(at + separator.size()));
    text = text.substr(0, at);
  }
  pieces.push_back(text);
  std::ranges::reverse(pieces);
  return pieces;
}

Value NewStrings(Runtime& runtime, const std::vector<std::string_view>& pieces,
                 ListKind kind = ListKind::kList) {
  if (pieces.size() > kMaxPieces) return runtime.Fail("a text falls into too many pieces");
  std::vector<Value> items;
  for (const std::string_view piece : pieces) {
    if (runtime.failed()) break;
    items.push_back(runtime.NewString(piece));
  }
  return runtime.NewList(std::move(items), kind);
}

template <bool kFromRight>
Value MethodSplit(Runtime& runtime, const Value& self, const Bound& arguments) {
  const int64_t max_splits = std::max<int64_t>(arguments.Int(runtime, 1, -1), -1);
  if (!runtime.StepText(self.text().size() * 4)) return Value();
  if (!arguments.Has(0) || arguments[0].IsNone()) {
    const auto split = kFromRight ? SplitWordsRight : SplitWords;
    return NewStrings(runtime, split(self.text(), max_splits));
  }
  const std::string_view separator = arguments.Text(runtime, 0, "");
  if (separator.empty()) return runtime.Fail("split() needs a separator that is not empty");
  const auto split = kFromRight ? SplitAtRight : SplitAt;
  return NewStrings(runtime, split(self.text(), separator, max_splits));
}

Value MethodSplitLines(Runtime& runtime, const Value& self, const Bound& arguments) {
  if (arguments.Flag(0, false)) return runtime.Fail("splitlines(True) is not supported");
  return NewStrings(runtime, SplitLines(self.text()));
}

template <bool kFromRight>
Value MethodPartition(Runtime& runtime, const Value& self, const Bound& arguments) {
  const std::string_view separator = arguments.Text(runtime, 0, "");
  if (separator.empty()) return runtime.Fail("partition() needs a separator that is not empty");
  const std::string_view text = self.text();
  const size_t at = kFromRight ? text.rfind(separator) : text.find(separator);
  if (at == std::string_view::npos) {
    if (kFromRight) return NewStrings(runtime, {"", "", text}, ListKind::kTuple);
    return NewStrings(runtime, {text, "", ""}, ListKind::kTuple);
  }
  return NewStrings(runtime, {text.substr(0, at), separator, text.substr(at + separator.size())},
                    ListKind::kTuple);
}

bool HasAffix(std::string_view text, std::string_view affix, bool at_end) {
  return at_end ? text.ends_with(affix) : text.starts_with(affix);
}

template <bool kAtEnd>
Value MethodHasAffix(Runtime& runtime, const Value& self, const Bound& arguments) {
  if (arguments.Has(1)) return runtime.Fail("startswith() and endswith() take one argument here");
  const Value& affix = arguments[0];
  if (affix.IsString()) return Value(HasAffix(self.text(), affix.text(), kAtEnd));
  if (!affix.IsList() || affix.list().kind != ListKind::kTuple) {
    return runtime.Fail("startswith() and endswith() take a string or a tuple of strings");
  }
  return Value(std::ranges::any_of(affix.list().items, [&](const Value& one) {
    return one.IsString() && HasAffix(self.text(), one.text(), kAtEnd);
  }));
}

template <bool kAtEnd>
Value MethodRemoveAffix(Runtime& runtime, const Value& self, const Bound& arguments) {
  const std::string_view affix = arguments.Text(runtime, 0, "");
  const std::string_view text = self.text();
  if (!HasAffix(text, affix, kAtEnd)) return self;
  return runtime.NewString(kAtEnd ? text.substr(0, text.size() - affix.size())
                                  : text.substr(affix.size()));
}

// The part of `self` from character `start` to `stop`, as the optional arguments of find() bound
// it.
struct Window {
  std::string_view text;
  int64_t start = 0;
};

Window WindowOf(Runtime& runtime, const Value& self, const Bound& arguments) {
  if (!arguments.Has(1)) return {self.text(), 0};
  const int64_t length = Length(runtime, self).value_or(0);
  const auto clamp = [&](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + length : at, 0, length);
  };
  const int64_t start = clamp(arguments.Int(runtime, 1, 0));
  const int64_t stop = std::max(start, clamp(arguments.Int(runtime, 2, length)));
  const size_t begin = utf8::OffsetOfCharacter(self.text(), start);
  const size_t end = utf8::OffsetOfCharacter(self.text(), stop);
  return {self.text().substr(begin, end - begin), start};
}

template <bool kFromRight, bool kMustExist>
Value MethodFind(Runtime& runtime, const Value& self, const Bound& arguments) {
  const std::string_view wanted = arguments.Text(runtime, 0, "");
  if (!runtime.StepText(self.text().size() * 2)) return Value();
  const Window window = WindowOf(runtime, self, arguments);
  const size_t at = kFromRight ? window.text.rfind(wanted) : window.text.find(wanted);
  if (at != std::string_view::npos) {
    return Value(window.start + utf8::CountCharacters(window.text.substr(0, at)));
  }
  return kMustExist ? runtime.Fail("the substring was not found") : Value(int64_t{-1});
}

Value MethodCount(Runtime& runtime, const Value& self, const Bound& arguments) {
  const std::string_view wanted = arguments.Text(runtime, 0, "");
  if (!runtime.StepText(self.text().size() * 2)) return Value();
  std::string_view rest = WindowOf(runtime, self, arguments).text;
  if (wanted.empty()) return Value(utf8::CountCharacters(rest) + 1);
  int64_t count = 0;
  for (size_t at; (at = rest.find(wanted)) != std::string_view::npos; ++count) {
    rest.remove_prefix(at + wanted.size());
  }
  return Value(count);
}

Value MethodReplace(Runtime& runtime, const Value& self, const Bound& arguments) {
  const std::string_view old_text = arguments.Text(runtime, 0, "");
  const std::string_view new_text = arguments.Text(runtime, 1, "");
  return ReplaceText(runtime, self.text(), old_text, new_text, arguments.Int(runtime, 2, -1));
}

Value MethodJoin(Runtime& runtime, const Value& self, const Bound& arguments) {
  return JoinTexts(runtime, self.text(), Iterate(runtime, arguments[0]), true);
}

enum class Align { kLeft, kRight, kCenter };

template <Align kAlign>
Value MethodAlign(Runtime& runtime, const Value& self, const Bound& arguments) {
  const std::string_view fill = arguments.Text(runtime, 1, " ");
  if (utf8::CountCharacters(fill) != 1) return runtime.Fail("the fill must be one character");
  const int64_t width = arguments.Int(runtime, 0, 0);
  const int64_t padding = std::max<int64_t>(width - Length(runtime, self).value_or(0), 0);
  // CPython puts the odd one of a centred text on the left when the width is odd.
  const int64_t centred = padding / 2 + (padding & width & 1);
  const int64_t left = kAlign == Align::kLeft ? 0 : kAlign == Align::kRight ? padding : centred;
  TextBuilder out(runtime);
  out.Repeat(fill, left);
  out.Append(self.text());
  out.Repeat(fill, padding - left);
  return runtime.NewString(out.Take());
}

Value MethodZeroFill(Runtime& runtime, const Value& self, const Bound& arguments) {
  const int64_t padding = arguments.Int(runtime, 0, 0) - Length(runtime, self).value_or(0);
  const std::string_view text = self.text();
  const size_t sign = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  TextBuilder out(runtime);
  out.Append(text.substr(0, sign));
  out.Repeat("0", padding);
  out.Append(text.substr(sign));
  return runtime.NewString(out.Take());
}

// str.format with the fields {}, {0} and {name}; conversions and format specifications are refused.
Value MethodFormat(Runtime& runtime, const Value& self, const Bound& arguments) {
  TextBuilder out(runtime);
  const Arguments& given = arguments.all();
  std::string_view rest = self.text();
  size_t next = 0;
  while (!rest.empty() && !runtime.failed()) {
    const size_t brace = std::min(rest.find_first_of("{}"), rest.size());
    out.Append(rest.substr(0, brace));
    rest.remove_prefix(brace);
    if (rest.empty()) break;
    if (rest.size() > 1 && rest[0] == rest[1]) {
      out.Append(rest[0]);
      rest.remove_prefix(2);
      continue;
    }
    const size_t close = rest.find('}');
    if (rest[0] == '}' || close == std::string_view::npos)
      return runtime.Fail("a format has a single brace");
    const std::string_view field = rest.substr(1, close - 1);
    rest.remove_prefix(close + 1);
    const auto index = field.empty() ? std::optional<int64_t>(next++) : ParsePythonInt(field);
    const auto named = std::ranges::find(given.named, field, &std::pair<std::string, Value>::first);
    if (index && *index >= 0 && static_cast<size_t>(*index) < given.positional.size()) {
      AppendStr(given.positional[static_cast<size_t>(*index)], out);
    } else if (!index && named != given.named.end()) {
      AppendStr(named->second, out);
    } else {
      return runtime.Fail("a format field is not supported or names no argument");
    }
  }
  return runtime.NewString(out.Take());
}

constexpr Builtin kStringMethods[] = {
    {"strip", "chars", 0, MethodStrip<StripSide::kBoth>},
    {"lstrip", "chars", 0, MethodStrip<StripSide::kLeft>},
    {"rstrip", "chars", 0, MethodStrip<StripSide::kRight>},
    {"upper", "", 0, MethodConvert<ToUpper>},
    {"lower", "", 0, MethodConvert<ToLower>},
    {"casefold", "", 0, MethodConvert<ToLower>},
    {"title", "", 0, MethodConvert<TitleCase>},
    {"capitalize", "", 0, MethodConvert<Capitalize>},
    {"swapcase", "", 0, MethodConvert<SwapCase>},
    {"split", "sep maxsplit", 0, MethodSplit<false>},
    {"rsplit", "sep maxsplit", 0, MethodSplit<true>},
    {"splitlines", "keepends", 0, MethodSplitLines},
    {"partition", "sep", 1, MethodPartition<false>},
    {"rpartition", "sep", 1, MethodPartition<true>},
    {"startswith", "prefix start", 1, MethodHasAffix<false>},
    {"endswith", "suffix start", 1, MethodHasAffix<true>},
    {"removeprefix", "prefix", 1, MethodRemoveAffix<false>},
    {"removesuffix", "suffix", 1, MethodRemoveAffix<true>},
    {"find", "sub start end", 1, MethodFind<false, false>},
    {"rfind", "sub start end", 1, MethodFind<true, false>},
    {"index", "sub start end", 1, MethodFind<false, true>},
    {"rindex", "sub start end", 1, MethodFind<true, true>},
    {"count", "sub start end", 1, MethodCount},
    {"replace", "old new count", 2, MethodReplace},
    {"join", "iterable", 1, MethodJoin},
    {"ljust", "width fillchar", 1, MethodAlign<Align::kLeft>},
    {"rjust", "width fillchar", 1, MethodAlign<Align::kRight>},
    {"center", "width fillchar", 1, MethodAlign<Align::kCenter>},
    {"zfill", "width", 1, MethodZeroFill},
    {"format", "*", 0, MethodFormat},
};

}  // namespace

std::span<const Builtin> StringMethods() { return kStringMethods; }

}  // namespace runahead::jinja

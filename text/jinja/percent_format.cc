#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "text/jinja/format.h"
#include "text/jinja/operations.h"
#include "text/utf8.h"

namespace runahead::jinja {
namespace {

constexpr int kMaxWidth = 1000;

// One conversion of a format: %(key)-08.3f
struct Conversion {
  std::string_view key;
  bool has_key = false;
  std::string flags;
  int width = 0;
  int precision = -1;
  char type = 0;
};

class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, std::string_view format, const Value& arguments)
      : runtime_(runtime), out_(runtime), rest_(format), arguments_(arguments) {}

  Value Run() {
    while (!rest_.empty() && !runtime_.failed()) {
      const size_t percent = std::min(rest_.find('%'), rest_.size());
      out_.Append(rest_.substr(0, percent));
      rest_.remove_prefix(percent);
      if (!rest_.empty()) Convert(Parse());
    }
    const bool is_tuple = IsTuple();
    const size_t given = is_tuple ? arguments_.list().items.size() : 1;
    // Python takes what has items for a mapping, of which nothing need be used.
    const bool is_mapping =
        arguments_.IsDict() || arguments_.IsUndefined() || (arguments_.IsList() && !is_tuple);
    if (next_ < given && !is_mapping) {
      return runtime_.Fail("not all arguments were converted by the string format");
    }
    return runtime_.NewString(out_.Take());
  }

 private:
  bool IsTuple() const { return arguments_.IsList() && arguments_.list().kind == ListKind::kTuple; }

  char Peek() const { return rest_.empty() ? '\0' : rest_[0]; }
  char Pop() {
    const char c = Peek();
    if (!rest_.empty()) rest_.remove_prefix(1);
    return c;
  }

  int ParseNumber() {
    int number = 0;
    while (Peek() >= '0' && Peek() <= '9')
      number = std::min(number * 10 + (Pop() - '0'), kMaxWidth + 1);
    if (number > kMaxWidth) runtime_.Fail("a width in a string format is too large");
    return number;
  }

  Conversion Parse() {
    Conversion conversion;
    Pop();  // the percent sign
    if (Peek() == '(') {
      const size_t close = std::min(rest_.find(')'), rest_.size());
      conversion.key = rest_.substr(1, close - 1);
      conversion.has_key = true;
      rest_.remove_prefix(std::min(close + 1, rest_.size()));
    }
    while (Peek() != '\0' && std::string_view("-+ #0").find(Peek()) != std::string_view::npos) {
      conversion.flags.push_back(Pop());
      if (conversion.flags.size() > 8) runtime_.Fail("a string format has too many flags");
    }
    conversion.width = ParseNumber();
    if (Peek() == '.') {
      Pop();
      conversion.precision = ParseNumber();
    }
    conversion.type = Pop();
    return conversion;
  }

  Value NextArgument(const Conversion& conversion) {
    if (conversion.has_key) {
      const Value* found = arguments_.IsDict() ? arguments_.dict().Find(conversion.key) : nullptr;
      if (found == nullptr) return runtime_.Fail("the string format names a missing key");
      return *found;
    }
    const size_t i = next_++;
    if (!IsTuple())
      return i == 0 ? arguments_ : runtime_.Fail("not enough arguments for a string format");
    const auto& items = arguments_.list().items;
    return i < items.size() ? items[i] : runtime_.Fail("not enough arguments for a string format");
  }

  void Convert(const Conversion& conversion) {
    if (runtime_.failed()) return;
    if (conversion.type == '%') return out_.Append('%');
    const std::string_view known = "srdiufFgGeExXoc";
    if (conversion.type == '\0' || known.find(conversion.type) == std::string_view::npos) {
      runtime_.Fail("a string format has an unknown conversion");
      return;
    }
    const Value value = NextArgument(conversion);
    if (runtime_.failed()) return;
    if (conversion.type == 's' || conversion.type == 'r') return ConvertText(conversion, value);
    if (conversion.type == 'c' && value.IsString()) return ConvertText(conversion, value);
    if (!value.IsNumber()) {
      runtime_.Fail("a string format needs a number");
      return;
    }
    ConvertNumber(conversion, value);
  }

  void ConvertText(const Conversion& conversion, const Value& value) {
    TextBuilder text(runtime_);
    conversion.type == 'r' ? AppendRepr(value, text) : AppendStr(value, text);
    std::string whole = text.Take();
    if (conversion.precision >= 0)
      whole.resize(utf8::OffsetOfCharacter(whole, conversion.precision));
    const int64_t padding = conversion.width - utf8::CountCharacters(whole);
    const bool left = conversion.flags.find('-') != std::string::npos;
    if (!left) out_.Repeat(" ", padding);
    out_.Append(whole);
    if (left) out_.Repeat(" ", padding);
  }

  void ConvertNumber(const Conversion& conversion, const Value& value) {
    std::string spec = "%" + conversion.flags;
    if (conversion.width > 0) spec += std::to_string(conversion.width);
    if (conversion.precision >= 0) spec += "." + std::to_string(conversion.precision);
    char buffer[2048];  // width and precision are at most 1000, a double has up to 309 digits
    int length = 0;
    const bool is_float =
        std::string_view("fFgGeE").find(conversion.type) != std::string_view::npos;
    if (is_float) {
      spec += conversion.type;
      length = std::snprintf(buffer, sizeof buffer, spec.c_str(), value.number());
    } else if (value.IsInteger() || conversion.type == 'd' || conversion.type == 'i' ||
               conversion.type == 'u') {
      if (!value.IsInteger() && !(std::abs(value.number()) < 9e18)) {
        runtime_.Fail("a number in a string format is too large");
        return;
      }
      const int64_t whole =
          value.IsInteger() ? value.integer() : static_cast<int64_t>(value.number());
      const bool is_signed =
          conversion.type == 'd' || conversion.type == 'i' || conversion.type == 'u';
      spec +=
          is_signed ? "lld" : std::string("ll") + (conversion.type == 'c' ? 'd' : conversion.type);
      length = std::snprintf(buffer, sizeof buffer, spec.c_str(), static_cast<long long>(whole));
    } else {
      runtime_.Fail("a string format needs an integer");
      return;
    }
    out_.Append(std::string_view(buffer, static_cast<size_t>(std::max(length, 0))));
  }

  Runtime& runtime_;
  TextBuilder out_;
  std::string_view rest_;
  const Value& arguments_;
  size_t next_ = 0;
};

}  // namespace

Value FormatPercent(Runtime& runtime, std::string_view format, const Value& arguments) {
  return PercentFormatter(runtime, format, arguments).Run();
}

}  // namespace runahead::jinja

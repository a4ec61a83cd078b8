#include <algorithm>
#include <ctime>
#include <string>

#include "text/jinja/builtins.h"
#include "text/jinja/format.h"
#include "text/jinja/operations.h"

namespace runahead::jinja {
namespace {

constexpr int64_t kMaxRange = 100'000;  // as Jinja's sandbox

// range(stop), range(start, stop[, step])
Value GlobalRange(Runtime& runtime, const Value&, const Bound& arguments) {
  const int64_t first = arguments.Int(runtime, 0, 0);
  const bool one = !arguments.Has(1);
  const int64_t start = one ? 0 : first;
  const int64_t stop = one ? first : arguments.Int(runtime, 1, 0);
  const int64_t step = arguments.Int(runtime, 2, 1);
  if (step == 0) return runtime.Fail("range() needs a step that is not 0");
  std::vector<Value> items;
  for (int64_t at = start; step > 0 ? at < stop : at > stop;) {
    if (!runtime.Step()) return Value();
    if (std::ssize(items) == kMaxRange) return runtime.Fail("range() makes at most 100000 numbers");
    items.push_back(Value(at));
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  return runtime.NewList(std::move(items));
}

// dict(mapping or pairs, name=value, ...)
Value GlobalDict(Runtime& runtime, const Value&, const Bound& bound) {
  const Arguments& arguments = bound.all();
  std::vector<DictNode::Entry> entries;
  if (arguments.positional.size() > 1) return runtime.Fail("dict() takes one mapping");
  for (const Value& source : arguments.positional) {
    if (source.IsDict()) {
      entries = source.dict().entries;
      continue;
    }
    for (const Value& pair : Iterate(runtime, source)) {
      const std::vector<Value> parts = Iterate(runtime, pair);
      if (parts.size() != 2) return runtime.Fail("dict() takes pairs");
      if (DepthOf(parts[0]) > 0) return runtime.Fail("a list or dict cannot be a key");
      entries.emplace_back(parts[0], parts[1]);
    }
  }
  for (const auto& [name, value] : arguments.named) {
    entries.emplace_back(runtime.NewString(name), value);
  }
  return runtime.NewDict(std::move(entries));
}

Value GlobalNamespace(Runtime& runtime, const Value& self, const Bound& bound) {
  const Value initial = GlobalDict(runtime, self, bound);
  const Value made = runtime.NewNamespace();
  if (!initial.IsDict() || runtime.failed()) return Value();
  for (const auto& [key, value] : initial.dict().entries) {
    if (key.IsString()) made.name_space()->Set(key.text(), value);
  }
  return made;
}

// Text after the first call; nothing at the first.
class Joiner : public Callable {
 public:
  explicit Joiner(Value separator) : separator_(std::move(separator)) {}
  Value Call(Runtime& runtime, const Arguments&) override {
    if (used_) return separator_;
    used_ = true;
    return runtime.NewString("");
  }

 private:
  Value separator_;
  bool used_ = false;
};

Value GlobalJoiner(Runtime& runtime, const Value&, const Bound& arguments) {
  return runtime.NewCallable<Joiner>(arguments.Has(0) ? arguments[0] : runtime.NewString(", "));
}

Value GlobalRaise(Runtime& runtime, const Value&, const Bound& arguments) {
  return runtime.FailAsRaised(Str(runtime, arguments[0]));
}

// strftime in UTC and the C locale.
Value GlobalStrftimeNow(Runtime& runtime, const Value&, const Bound& arguments) {
  const std::time_t now = static_cast<std::time_t>(runtime.now_unix_seconds());
  std::tm utc = {};
  gmtime_r(&now, &utc);
  TextBuilder out(runtime);
  std::string_view rest = arguments.Text(runtime, 0, "");
  while (!rest.empty() && !runtime.failed()) {
    const size_t percent = std::min(rest.find('%'), rest.size());
    out.Append(rest.substr(0, percent));
    rest.remove_prefix(percent);
    if (rest.empty()) break;
    // glibc's "-" drops the padding; its widths are not let through, they can be enormous.
    const size_t length = rest.size() > 2 && rest[1] == '-' ? 3 : std::min<size_t>(2, rest.size());
    const std::string one(rest.substr(0, length));
    rest.remove_prefix(length);
    constexpr std::string_view kKnown = "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%";
    if (one.size() < 2 || kKnown.find(one.back()) == std::string_view::npos) {
      return runtime.Fail("strftime_now() does not know '" + one + "'");
    }
    char buffer[128];
    out.Append(std::string_view(buffer, std::strftime(buffer, sizeof buffer, one.c_str(), &utc)));
  }
  return runtime.NewString(out.Take());
}

constexpr Builtin kGlobals[] = {
    {"range", "start stop step", 1, GlobalRange},
    {"dict", "*", 0, GlobalDict},
    {"namespace", "*", 0, GlobalNamespace},
    {"joiner", "sep", 0, GlobalJoiner},
    {"raise_exception", "message", 1, GlobalRaise},
    {"strftime_now", "format", 1, GlobalStrftimeNow},
};

}  // namespace

const Builtin* FindGlobal(std::string_view name) {
  const auto found = std::ranges::find(kGlobals, name, &Builtin::name);
  return found == std::end(kGlobals) ? nullptr : found;
}

}  // namespace runahead::jinja

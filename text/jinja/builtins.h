// The functions a template can name: filters, tests, methods and globals, as tables. Immutable.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace runahead::jinja {

// Arguments matched to parameter names. Getters fail the render on a wrong type.
class Bound {
 public:
  static constexpr size_t kMaxParameters = 6;

  bool Has(size_t i) const { return values_[i].has_value(); }
  const Value& operator[](size_t i) const;  // undefined when absent
  int64_t Int(Runtime& runtime, size_t i, int64_t fallback) const;
  std::string_view Text(Runtime& runtime, size_t i, std::string_view fallback) const;
  bool Flag(size_t i, bool fallback) const;
  const Arguments& all() const { return *all_; }  // as written; what "*" functions read

 private:
  friend std::optional<Bound> Bind(Runtime&, const struct Builtin&, const Arguments&);
  std::array<std::optional<Value>, kMaxParameters> values_;
  const Arguments* all_ = nullptr;
};

struct Builtin {
  std::string_view name;
  std::string_view parameters;  // "old new count"; "*" takes whatever is given
  int num_required;
  // `self` is what a filter filters, a test tests, a method is called on; undefined for globals.
  Value (*call)(Runtime& runtime, const Value& self, const Bound& arguments);
};

std::optional<Bound> Bind(Runtime& runtime, const Builtin& builtin, const Arguments& arguments);
Value Invoke(Runtime& runtime, const Builtin& builtin, const Value& self,
             const Arguments& arguments);

// Null where there is none of that name.
const Builtin* FindFilter(std::string_view name);
const Builtin* FindTest(std::string_view name);
const Builtin* FindGlobal(std::string_view name);
const Builtin* FindMethod(const Value& object, std::string_view name);

// Methods that change their object: Hugging Face's sandbox forbids them.
bool IsForbiddenMethod(const Value& object, std::string_view name);

// What `loop.name` gives, or nothing.
std::optional<Value> LoopAttribute(const LoopState& loop, std::string_view name);

// A filter or test by name, applied; the argument lists of map(), select() and the like begin with
// it.
Value ApplyFilter(Runtime& runtime, std::string_view name, const Value& self,
                  const Arguments& arguments);
bool ApplyTest(Runtime& runtime, std::string_view name, const Value& self,
               const Arguments& arguments);

// A callable value, or the failure that says it is none.
Value CallValue(Runtime& runtime, const Value& callee, const Arguments& arguments);

// One table per source file.
std::span<const Builtin> TextFilters();
std::span<const Builtin> NumberFilters();
std::span<const Builtin> SequenceFilters();
std::span<const Builtin> SelectionFilters();
std::span<const Builtin> OutputFilters();
std::span<const Builtin> StringMethods();
std::span<const Builtin> StringPredicates();
std::span<const Builtin> DictMethods();
std::span<const Builtin> ListMethods();
std::span<const Builtin> LoopMethods();

}  // namespace runahead::jinja

// Runtime: the account of one render: limits, the first error, and what the render owns. One
// thread.
#pragma once

#include <concepts>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"
#include "text/jinja/value.h"

namespace runahead::jinja {

// What a template may use at most. A hostile one meets an error, not the machine's limits.
struct Limits {
  int64_t max_steps = 20'000'000;  // expressions, statements, elements, and 64-byte runs of text
  int64_t max_memory_bytes = int64_t{128} << 20;  // alive at one time, the output included
  int max_depth = 600;        // nested evaluations: macro calls in calls in loops ...
  int max_value_depth = 200;  // lists in dicts in lists ...
};

// Arguments of a call as written.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Runtime;

// A macro, a bound method, a global function, joiner(), ... Owned by the Runtime.
class Callable {
 public:
  virtual ~Callable() = default;
  virtual Value Call(Runtime& runtime, const Arguments& arguments) = 0;
};

// The variables of one block; inner scopes see outer ones.
struct Scope {
  Scope* parent = nullptr;
  bool is_captured = false;  // a macro remembers it: it lives as long as the render
  std::map<std::string_view, Value>
      variables;  // names belong to the template or the render's input
};

// Errors are sticky: Fail keeps the first, every evaluation then returns at once, and the render
// ends with that error. So no function here needs to return a Result, and none throws.
class Runtime {
 public:
  explicit Runtime(const Limits& limits, int64_t now_unix_seconds = 0);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const Limits& limits() const { return limits_; }
  int64_t now_unix_seconds() const { return now_unix_seconds_; }
  void set_line(int line) { line_ = line; }
  int line() const { return line_; }

  bool failed() const { return failed_; }
  // Records "line N: message" unless something failed before; returns undefined.
  Value Fail(std::string_view message);
  // What the template raised itself, word for word.
  Value FailAsRaised(std::string message);
  Status status() const;

  // Accounts for work; false once the render has failed or spent its steps.
  bool Step(int64_t count = 1);
  // The cost of touching `num_bytes` of text.
  bool StepText(size_t num_bytes) { return Step(1 + static_cast<int64_t>(num_bytes / 64)); }
  // False (and failed) when `num_bytes` more would pass the memory limit.
  bool CanHold(int64_t num_bytes);

  Value NewString(std::string text);
  Value NewString(std::string_view text) { return NewString(std::string(text)); }
  Value NewString(const char* text) { return NewString(std::string(text)); }
  Value NewList(std::vector<Value> items, ListKind kind = ListKind::kList);
  Value NewDict(std::vector<DictNode::Entry> entries);
  Value NewUndefined(std::string_view what);

  // Things that live until the render ends.
  Value NewNamespace();
  LoopState* NewLoop();
  template <std::derived_from<Callable> T, typename... Args>
  Value NewCallable(Args&&... args) {
    if (!ChargeOwned(sizeof(T))) return Value();
    callables_.push_back(std::make_unique<T>(std::forward<Args>(args)...));
    return Value(callables_.back().get());
  }
  void Adopt(std::unique_ptr<Scope> scope);

  // Depth of nested evaluation; see DepthGuard.
  bool Enter();
  void Leave() { --depth_; }

 private:
  friend class TextBuilder;
  bool ChargeOwned(size_t num_bytes);

  const Limits limits_;
  const int64_t now_unix_seconds_;
  MemoryAccount memory_;  // before everything that holds values
  int64_t steps_left_;
  int depth_ = 0;
  int line_ = 1;
  bool failed_ = false;
  bool raised_ = false;
  std::string error_;
  std::vector<std::unique_ptr<Namespace>> namespaces_;
  std::vector<std::unique_ptr<LoopState>> loops_;
  std::vector<std::unique_ptr<Callable>> callables_;
  std::vector<std::unique_ptr<Scope>> scopes_;
};

// One level of nesting for as long as it lives; false when there were too many.
class DepthGuard {
 public:
  explicit DepthGuard(Runtime& runtime) : runtime_(runtime), ok_(runtime.Enter()) {}
  ~DepthGuard() { runtime_.Leave(); }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;
  explicit operator bool() const { return ok_; }

 private:
  Runtime& runtime_;
  bool ok_;
};

// Text that grows within the render's limits; past them it stops growing and the render fails.
class TextBuilder {
 public:
  explicit TextBuilder(Runtime& runtime) : runtime_(runtime) {}
  ~TextBuilder() { Release(); }
  TextBuilder(const TextBuilder&) = delete;
  TextBuilder& operator=(const TextBuilder&) = delete;
  void Append(std::string_view text);
  void Append(char c) { Append(std::string_view(&c, 1)); }
  void Repeat(std::string_view text, int64_t count);
  size_t size() const { return text_.size(); }
  std::string Take();
  Runtime& runtime() { return runtime_; }

 private:
  void Release();

  Runtime& runtime_;
  std::string text_;
};

}  // namespace runahead::jinja

#include "text/jinja/runtime.h"

namespace runahead::jinja {

Runtime::Runtime(const Limits& limits, int64_t now_unix_seconds)
    : limits_(limits), now_unix_seconds_(now_unix_seconds), steps_left_(limits.max_steps) {}

Runtime::~Runtime() = default;

Value Runtime::Fail(std::string_view message) {
  if (!failed_) {
    failed_ = true;
    error_ = "line " + std::to_string(line_) + ": " + std::string(message);
  }
  return Value();
}

Value Runtime::FailAsRaised(std::string message) {
  if (!failed_) {
    failed_ = true;
    raised_ = true;
    error_ = std::move(message);
  }
  return Value();
}

Status Runtime::status() const {
  if (!failed_) return {};
  if (raised_) return InvalidArgument(error_, "messages", "template_raised");
  return InvalidArgument("chat template, " + error_, "messages", "template_failed");
}

bool Runtime::Step(int64_t count) {
  if (failed_) return false;
  steps_left_ -= count;
  if (steps_left_ < 0) {
    Fail("the template takes too many steps");
    return false;
  }
  return true;
}

bool Runtime::CanHold(int64_t num_bytes) {
  if (failed_) return false;
  if (num_bytes > limits_.max_memory_bytes - memory_.num_bytes) {
    Fail("the template needs too much memory");
    return false;
  }
  return true;
}

bool Runtime::ChargeOwned(size_t num_bytes) {
  const auto bytes = static_cast<int64_t>(num_bytes) + 64;
  if (!CanHold(bytes)) return false;
  memory_.num_bytes += bytes;
  return true;
}

Value Runtime::NewString(std::string text) {
  if (!StepText(text.size()) || !CanHold(static_cast<int64_t>(text.size()))) return Value();
  return Value(std::make_shared<const StringNode>(&memory_, std::move(text)));
}

Value Runtime::NewList(std::vector<Value> items, ListKind kind) {
  const auto count = static_cast<int64_t>(items.size());
  if (!Step(1 + count / 8) || !CanHold(count * int64_t{sizeof(Value)})) return Value();
  auto node = std::make_shared<const ListNode>(&memory_, std::move(items), kind);
  if (node->depth > limits_.max_value_depth) return Fail("lists and dicts are nested too deeply");
  return Value(std::move(node));
}

Value Runtime::NewDict(std::vector<DictNode::Entry> entries) {
  const auto count = static_cast<int64_t>(entries.size());
  if (!Step(1 + count) || !CanHold(count * int64_t{2 * sizeof(DictNode::Entry)})) return Value();
  // Keys that are not strings are found by walking, so a dict of n of them costs n^2 / 2 to build.
  int64_t num_other_keys = 0;
  for (const DictNode::Entry& entry : entries) num_other_keys += entry.first.IsString() ? 0 : 1;
  if (!Step(num_other_keys * num_other_keys / 2)) return Value();
  auto node = std::make_shared<const DictNode>(&memory_, std::move(entries));
  if (node->depth > limits_.max_value_depth) return Fail("lists and dicts are nested too deeply");
  return Value(std::move(node));
}

Value Runtime::NewUndefined(std::string_view what) {
  if (!StepText(what.size()) || !CanHold(static_cast<int64_t>(what.size()))) return Value();
  return Value(Value::Undefined{std::make_shared<const StringNode>(&memory_, std::string(what))});
}

Value Runtime::NewNamespace() {
  if (!ChargeOwned(sizeof(Namespace))) return Value();
  namespaces_.push_back(std::make_unique<Namespace>());
  return Value(namespaces_.back().get());
}

LoopState* Runtime::NewLoop() {
  if (!ChargeOwned(sizeof(LoopState))) return nullptr;
  loops_.push_back(std::make_unique<LoopState>());
  return loops_.back().get();
}

void Runtime::Adopt(std::unique_ptr<Scope> scope) {
  ChargeOwned(sizeof(Scope) + 64 * scope->variables.size());
  scopes_.push_back(std::move(scope));  // also when that failed: macros still point to it
}

bool Runtime::Enter() {
  ++depth_;
  if (failed_) return false;
  if (depth_ > limits_.max_depth) {
    Fail("the template nests or recurses too deeply");
    return false;
  }
  return true;
}

void TextBuilder::Append(std::string_view text) {
  const auto num_bytes = static_cast<int64_t>(text.size());
  if (!runtime_.StepText(text.size()) || !runtime_.CanHold(num_bytes)) return;
  runtime_.memory_.num_bytes += num_bytes;
  text_.append(text);
}

void TextBuilder::Release() { runtime_.memory_.num_bytes -= static_cast<int64_t>(text_.size()); }

std::string TextBuilder::Take() {
  Release();
  return std::exchange(text_, {});
}

void TextBuilder::Repeat(std::string_view text, int64_t count) {
  if (text.empty()) return;
  for (int64_t i = 0; i < count && !runtime_.failed(); ++i) Append(text);
}

}  // namespace runahead::jinja

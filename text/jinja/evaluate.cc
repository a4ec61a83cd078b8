// The expressions' half of the interpreter.
#include "text/jinja/format.h"
#include "text/jinja/interpreter.h"

namespace runahead::jinja {
namespace {

// A global function as a value, where a template stores or passes it.
class GlobalFunction : public Callable {
 public:
  explicit GlobalFunction(const Builtin& function) : function_(function) {}
  Value Call(Runtime& runtime, const Arguments& arguments) override {
    return Invoke(runtime, function_, Value(), arguments);
  }

 private:
  const Builtin& function_;
};

}  // namespace

Value Interpreter::Evaluate(ExpressionPtr expression) {
  const DepthGuard depth(runtime_);
  if (!depth || !runtime_.Step()) return Value();
  if (expression->line > 0) runtime_.set_line(expression->line);
  return std::visit([this](const auto& node) { return Get(node); }, expression->node);
}

Value Interpreter::EvaluateOrNone(ExpressionPtr expression) {
  return expression == nullptr ? Value(Value::None{}) : Evaluate(expression);
}

const Value* Interpreter::FindVariable(std::string_view name) const {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    const auto found = scope->variables.find(name);
    if (found != scope->variables.end()) return &found->second;
  }
  return nullptr;
}

Value Interpreter::Get(const NameExpression& e) {
  if (const Value* found = FindVariable(e.name)) return *found;
  if (const Builtin* global = FindGlobal(e.name)) {
    return runtime_.NewCallable<GlobalFunction>(*global);
  }
  return runtime_.NewUndefined("'" + e.name + "' is undefined");
}

Value Interpreter::Get(const AttributeExpression& e) {
  return GetAttribute(runtime_, Evaluate(e.object), e.name);
}

Value Interpreter::Get(const SubscriptExpression& e) {
  const Value object = Evaluate(e.object);
  return GetItem(runtime_, object, Evaluate(e.key));
}

Value Interpreter::Get(const SliceExpression& e) {
  const Value object = Evaluate(e.object);
  const Value start = EvaluateOrNone(e.start);
  const Value stop = EvaluateOrNone(e.stop);
  return GetSlice(runtime_, object, {start, stop, EvaluateOrNone(e.step)});
}

Arguments Interpreter::EvaluateArguments(const CallArguments& arguments) {
  Arguments evaluated;
  evaluated.positional.reserve(arguments.positional.size());
  for (const ExpressionPtr value : arguments.positional)
    evaluated.positional.push_back(Evaluate(value));
  for (const auto& [name, value] : arguments.named)
    evaluated.named.emplace_back(name, Evaluate(value));
  return evaluated;
}

// object.name(...), without making a value of the method first.
Value Interpreter::CallMethod(const AttributeExpression& callee, const Arguments& arguments) {
  const Value object = Evaluate(callee.object);
  if (runtime_.failed()) return Value();
  if (const Builtin* method = FindMethod(object, callee.name)) {
    return Invoke(runtime_, *method, object, arguments);
  }
  const Value function = GetAttribute(runtime_, object, callee.name);
  return runtime_.failed() ? Value() : CallValue(runtime_, function, arguments);
}

Value Interpreter::Get(const CallExpression& e) {
  const Arguments arguments = EvaluateArguments(e.arguments);
  if (runtime_.failed()) return Value();
  if (const auto* attribute = std::get_if<AttributeExpression>(&e.callee->node)) {
    return CallMethod(*attribute, arguments);
  }
  if (const auto* name = std::get_if<NameExpression>(&e.callee->node)) {
    const Builtin* global = FindVariable(name->name) == nullptr ? FindGlobal(name->name) : nullptr;
    if (global != nullptr) return Invoke(runtime_, *global, Value(), arguments);
  }
  const Value callee = Evaluate(e.callee);
  return runtime_.failed() ? Value() : CallValue(runtime_, callee, arguments);
}

Value Interpreter::Get(const FilterExpression& e) {
  const Value input = e.input == nullptr ? filter_input_ : Evaluate(e.input);
  const Arguments arguments = EvaluateArguments(e.arguments);
  return runtime_.failed() ? Value() : ApplyFilter(runtime_, e.name, input, arguments);
}

Value Interpreter::Get(const TestExpression& e) {
  const Value input = Evaluate(e.input);
  const Arguments arguments = EvaluateArguments(e.arguments);
  if (runtime_.failed()) return Value();
  return Value(ApplyTest(runtime_, e.name, input, arguments) != e.negated);
}

Value Interpreter::Get(const NotExpression& e) { return Value(!Truthy(Evaluate(e.operand))); }

Value Interpreter::Get(const SignExpression& e) {
  return Negate(runtime_, Evaluate(e.operand), e.is_minus);
}

Value Interpreter::Get(const BinaryExpression& e) {
  const Value left = Evaluate(e.left);
  const Value right = Evaluate(e.right);
  return runtime_.failed() ? Value() : Arithmetic(runtime_, e.op, left, right);
}

Value Interpreter::Get(const LogicExpression& e) {
  Value left = Evaluate(e.left);
  return Truthy(left) == e.is_and ? Evaluate(e.right) : left;
}

Value Interpreter::Get(const CompareExpression& e) {
  Value left = Evaluate(e.first);
  for (const auto& [op, operand] : e.rest) {
    Value right = Evaluate(operand);
    if (runtime_.failed()) return Value();
    if (!Compare(runtime_, op, left, right)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Value Interpreter::Get(const ConcatExpression& e) {
  TextBuilder text(runtime_);
  for (const ExpressionPtr part : e.parts) AppendStr(Evaluate(part), text);
  return runtime_.NewString(text.Take());
}

Value Interpreter::Get(const ConditionalExpression& e) {
  const bool taken = Truthy(Evaluate(e.condition));
  if (runtime_.failed()) return Value();
  if (taken) return Evaluate(e.then);
  if (e.otherwise != nullptr) return Evaluate(e.otherwise);
  return runtime_.NewUndefined("the inline if is false and has no else");
}

Value Interpreter::Get(const SequenceExpression& e) {
  std::vector<Value> items;
  items.reserve(e.items.size());
  for (const ExpressionPtr item : e.items) items.push_back(Evaluate(item));
  return runtime_.NewList(std::move(items), e.kind);
}

Value Interpreter::Get(const DictExpression& e) {
  std::vector<DictNode::Entry> entries;
  for (const auto& [key_expression, value] : e.entries) {
    Value key = Evaluate(key_expression);
    if (DepthOf(key) > 0) return runtime_.Fail("a list or dict cannot be a key");
    entries.emplace_back(std::move(key), Evaluate(value));
  }
  return runtime_.NewDict(std::move(entries));
}

}  // namespace runahead::jinja

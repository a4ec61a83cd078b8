#include "text/jinja/interpreter.h"

#include <algorithm>

#include "text/jinja/format.h"

namespace runahead::jinja {
namespace {

// A macro, or the body of a call block, with the scope it saw.
class Macro : public Callable {
 public:
  Macro(Interpreter& interpreter, const MacroDefinition& macro, Scope& closure)
      : interpreter_(interpreter), macro_(macro), closure_(closure) {}
  Value Call(Runtime&, const Arguments& arguments) override {
    return interpreter_.CallMacro(macro_, closure_, arguments);
  }

 private:
  Interpreter& interpreter_;  // renders end before their interpreter
  const MacroDefinition& macro_;
  Scope& closure_;
};

}  // namespace

// A scope under `parent` for as long as the guard lives; the Runtime keeps it when a macro saw it.
class Interpreter::ScopeGuard {
 public:
  ScopeGuard(Interpreter& interpreter, Scope* parent)
      : interpreter_(interpreter), outer_(interpreter.scope_), scope_(std::make_unique<Scope>()) {
    scope_->parent = parent;
    interpreter_.scope_ = scope_.get();
  }
  explicit ScopeGuard(Interpreter& interpreter) : ScopeGuard(interpreter, interpreter.scope_) {}
  ~ScopeGuard() {
    interpreter_.scope_ = outer_;
    if (scope_->is_captured) interpreter_.runtime_.Adopt(std::move(scope_));
  }
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;

 private:
  Interpreter& interpreter_;
  Scope* outer_;
  std::unique_ptr<Scope> scope_;
};

class Interpreter::OutputGuard {
 public:
  OutputGuard(Interpreter& interpreter, TextBuilder& out)
      : interpreter_(interpreter), outer_(std::exchange(interpreter.out_, &out)) {}
  ~OutputGuard() { interpreter_.out_ = outer_; }
  OutputGuard(const OutputGuard&) = delete;
  OutputGuard& operator=(const OutputGuard&) = delete;

 private:
  Interpreter& interpreter_;
  TextBuilder* outer_;
};

Interpreter::Interpreter(const Template& source, Runtime& runtime)
    : template_(source), runtime_(runtime), root_(std::make_unique<Scope>()), scope_(root_.get()) {}

Interpreter::~Interpreter() = default;

void Interpreter::SetVariable(std::string_view name, Value value) {
  root_->variables.insert_or_assign(name, std::move(value));
}

std::string Interpreter::Render() {
  TextBuilder out(runtime_);
  const OutputGuard output(*this, out);
  const ScopeGuard top(*this);  // what the template sets hides, never changes, what it was given
  Run(template_.body);
  return out.Take();
}

Interpreter::Flow Interpreter::Run(const Block& block) {
  const DepthGuard depth(runtime_);
  if (!depth) return Flow::kNext;
  for (const Statement* statement : block) {
    const Flow flow = Run(*statement);
    if (flow != Flow::kNext || runtime_.failed()) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::Run(const Statement& statement) {
  runtime_.set_line(statement.line);
  if (!runtime_.Step()) return Flow::kNext;
  return std::visit([this](const auto& node) { return Do(node); }, statement.node);
}

Interpreter::Flow Interpreter::Do(const TextStatement& statement) {
  out_->Append(statement.text);
  return Flow::kNext;
}

Interpreter::Flow Interpreter::Do(const PrintStatement& statement) {
  AppendStr(Evaluate(statement.value), *out_);
  return Flow::kNext;
}

Interpreter::Flow Interpreter::Do(const IfStatement& statement) {
  for (const auto& [condition, body] : statement.branches) {
    const bool taken = Truthy(Evaluate(condition));
    if (runtime_.failed()) return Flow::kNext;
    if (taken) return Run(body);
  }
  return Run(statement.otherwise);
}

Value Interpreter::LoopItems(const ForStatement& statement) {
  Value source = Evaluate(statement.items);
  if (source.IsList() && statement.condition == nullptr) return source;
  std::vector<Value> items = Iterate(runtime_, source);
  if (statement.condition == nullptr) return runtime_.NewList(std::move(items));
  std::vector<Value> kept;
  for (Value& item : items) {
    const ScopeGuard scope(*this);
    Assign(statement.target, item);
    const bool passes = Truthy(Evaluate(statement.condition));
    if (runtime_.failed()) break;
    if (passes) kept.push_back(std::move(item));
  }
  return runtime_.NewList(std::move(kept));
}

bool Interpreter::RunTurns(const ForStatement& statement, LoopState& loop, const Value& items) {
  bool any_turn_ended = false;
  for (size_t i = 0; i < loop.size && runtime_.Step(); ++i) {
    const ScopeGuard scope(*this);
    loop.index0 = i;
    scope_->variables.insert_or_assign("loop", Value(&loop));
    Assign(statement.target, items.list().items[i]);
    const Flow flow = Run(statement.body);
    if (flow == Flow::kBreak) break;
    any_turn_ended = any_turn_ended || flow == Flow::kNext;
  }
  return any_turn_ended;
}

Interpreter::Flow Interpreter::Do(const ForStatement& statement) {
  const Value items = LoopItems(statement);
  LoopState* loop = items.IsList() ? runtime_.NewLoop() : nullptr;
  if (loop == nullptr) return Flow::kNext;  // failed
  loop->items = items.shared_list();
  loop->size = items.list().items.size();
  const bool any_turn_ended = RunTurns(statement, *loop, items);
  loop->items.reset();
  // As in Jinja, `else` runs when no turn reached its end, be it by `break`, `continue` or no turn.
  if (any_turn_ended) return Flow::kNext;
  const ScopeGuard scope(*this);
  return Run(statement.otherwise);
}

void Interpreter::AssignAttribute(const Target& target, const Value& value) {
  const Value* found = FindVariable(target.name);
  if (found == nullptr || !found->is(Value::Kind::kNamespace)) {
    runtime_.Fail("'" + target.name + "' is no namespace, so its attributes cannot be set");
    return;
  }
  if (runtime_.CanHold(static_cast<int64_t>(target.attribute.size()))) {
    found->name_space()->Set(target.attribute, value);
  }
}

void Interpreter::Assign(const Target& target, const Value& value) {
  if (runtime_.failed()) return;
  if (!target.attribute.empty()) return AssignAttribute(target, value);
  if (target.elements.empty()) {
    scope_->variables.insert_or_assign(target.name, value);
    return;
  }
  const std::vector<Value> parts = Iterate(runtime_, value);
  if (parts.size() != target.elements.size()) {
    runtime_.Fail("cannot unpack " + std::to_string(parts.size()) + " values into " +
                  std::to_string(target.elements.size()) + " names");
    return;
  }
  for (size_t i = 0; i < parts.size(); ++i) Assign(target.elements[i], parts[i]);
}

Interpreter::Flow Interpreter::Do(const SetStatement& statement) {
  Assign(statement.target, Evaluate(statement.value));
  return Flow::kNext;
}

Value Interpreter::Capture(const Block& block, Flow& flow) {
  TextBuilder text(runtime_);
  const OutputGuard output(*this, text);
  const ScopeGuard scope(*this);
  flow = Run(block);
  return runtime_.NewString(text.Take());
}

Interpreter::Flow Interpreter::Do(const SetBlockStatement& statement) {
  Flow flow = Flow::kNext;
  Value text = Capture(statement.body, flow);
  if (statement.filter != nullptr) {
    filter_input_ = std::move(text);
    text = Evaluate(statement.filter);
  }
  Assign(statement.target, text);
  return flow;
}

Interpreter::Flow Interpreter::Do(const FilterStatement& statement) {
  Flow flow = Flow::kNext;
  filter_input_ = Capture(statement.body, flow);
  AppendStr(Evaluate(statement.filter), *out_);
  return flow;
}

Value Interpreter::MakeMacro(const MacroDefinition& macro) {
  for (Scope* scope = scope_; scope != nullptr; scope = scope->parent) scope->is_captured = true;
  return runtime_.NewCallable<Macro>(*this, macro, *scope_);
}

Interpreter::Flow Interpreter::Do(const MacroStatement& statement) {
  scope_->variables.insert_or_assign(statement.macro.name, MakeMacro(statement.macro));
  return Flow::kNext;
}

Interpreter::Flow Interpreter::Do(const CallStatement& statement) {
  const auto& call = std::get<CallExpression>(statement.call->node);
  const Value callee = Evaluate(call.callee);
  Arguments arguments = EvaluateArguments(call.arguments);
  arguments.named.emplace_back("caller", MakeMacro(statement.caller));
  if (!runtime_.failed()) AppendStr(CallValue(runtime_, callee, arguments), *out_);
  return Flow::kNext;
}

Interpreter::Flow Interpreter::Do(const WithStatement& statement) {
  std::vector<Value> values;
  for (const auto& [target, value] : statement.variables) values.push_back(Evaluate(value));
  const ScopeGuard scope(*this);
  for (size_t i = 0; i < values.size(); ++i) Assign(statement.variables[i].first, values[i]);
  return Run(statement.body);
}

void Interpreter::BindParameters(const MacroDefinition& macro, const Arguments& arguments) {
  const size_t count = macro.parameters.size();
  if (arguments.positional.size() > count) {
    runtime_.Fail("macro '" + macro.name + "' takes at most " + std::to_string(count) +
                  " arguments");
  }
  auto& variables = scope_->variables;
  for (const auto& [name, value] : arguments.named) {
    const auto known = std::find(macro.parameters.begin(), macro.parameters.end(), name);
    if (name == "caller") {
      variables.insert_or_assign("caller", value);
    } else if (known == macro.parameters.end()) {
      runtime_.Fail("macro '" + macro.name + "' has no argument '" + name + "'");
    } else {
      variables.insert_or_assign(*known, value);
    }
  }
  const size_t num_required = count - macro.defaults.size();
  for (size_t i = 0; i < count && !runtime_.failed(); ++i) {
    const std::string& name = macro.parameters[i];
    if (i < arguments.positional.size()) {
      if (variables.contains(name)) runtime_.Fail("argument '" + name + "' is given twice");
      variables.insert_or_assign(name, arguments.positional[i]);
    } else if (!variables.contains(name)) {
      variables.insert_or_assign(
          name, i >= num_required
                    ? Evaluate(macro.defaults[i - num_required])
                    : runtime_.NewUndefined("parameter '" + name + "' was not provided"));
    }
  }
}

Value Interpreter::CallMacro(const MacroDefinition& macro, Scope& closure,
                             const Arguments& arguments) {
  const DepthGuard depth(runtime_);
  if (!depth) return Value();
  const int line = runtime_.line();
  TextBuilder text(runtime_);
  const OutputGuard output(*this, text);
  const ScopeGuard scope(*this, &closure);
  BindParameters(macro, arguments);
  if (!runtime_.failed()) Run(macro.body);
  if (!runtime_.failed()) runtime_.set_line(line);
  return runtime_.NewString(text.Take());
}

}  // namespace runahead::jinja

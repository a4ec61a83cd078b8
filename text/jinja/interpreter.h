// Interpreter: walks a template's tree and writes its text. One render, one thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"

namespace runahead::jinja {

// Evaluation never throws; after a failure (Runtime's, sticky) every call returns at once.
class Interpreter {
 public:
  // Both outlive the interpreter.
  Interpreter(const Template& source, Runtime& runtime);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  // A variable of the outermost scope; `name` outlives the interpreter.
  void SetVariable(std::string_view name, Value value);

  std::string Render();

  // The text of one call, in the scope the macro was defined in.
  Value CallMacro(const MacroDefinition& macro, Scope& closure, const Arguments& arguments);

 private:
  enum class Flow { kNext, kBreak, kContinue };
  class ScopeGuard;
  class OutputGuard;

  Flow Run(const Block& block);
  Flow Run(const Statement& statement);
  Flow Do(const TextStatement& statement);
  Flow Do(const PrintStatement& statement);
  Flow Do(const IfStatement& statement);
  Flow Do(const ForStatement& statement);
  Flow Do(const SetStatement& statement);
  Flow Do(const SetBlockStatement& statement);
  Flow Do(const FilterStatement& statement);
  Flow Do(const MacroStatement& statement);
  Flow Do(const CallStatement& statement);
  Flow Do(const WithStatement& statement);
  Flow Do(const BreakStatement&) { return Flow::kBreak; }
  Flow Do(const ContinueStatement&) { return Flow::kContinue; }

  // True when at least one turn ran to its end.
  bool RunTurns(const ForStatement& statement, LoopState& loop, const Value& items);
  void Assign(const Target& target, const Value& value);
  void AssignAttribute(const Target& target, const Value& value);
  // A list; undefined after a failure.
  Value LoopItems(const ForStatement& statement);
  // The text a block writes, in a scope of its own.
  Value Capture(const Block& block, Flow& flow);
  Value MakeMacro(const MacroDefinition& macro);
  void BindParameters(const MacroDefinition& macro, const Arguments& arguments);

  Value Evaluate(ExpressionPtr expression);
  Value Get(const LiteralExpression& e) { return e.value; }
  Value Get(const NameExpression& e);
  Value Get(const AttributeExpression& e);
  Value Get(const SubscriptExpression& e);
  Value Get(const SliceExpression& e);
  Value Get(const CallExpression& e);
  Value Get(const FilterExpression& e);
  Value Get(const TestExpression& e);
  Value Get(const NotExpression& e);
  Value Get(const SignExpression& e);
  Value Get(const BinaryExpression& e);
  Value Get(const LogicExpression& e);
  Value Get(const CompareExpression& e);
  Value Get(const ConcatExpression& e);
  Value Get(const ConditionalExpression& e);
  Value Get(const SequenceExpression& e);
  Value Get(const DictExpression& e);
  Value EvaluateOrNone(ExpressionPtr expression);
  Arguments EvaluateArguments(const CallArguments& arguments);
  Value CallMethod(const AttributeExpression& callee, const Arguments& arguments);
  const Value* FindVariable(std::string_view name) const;

  const Template& template_;
  Runtime& runtime_;
  std::unique_ptr<Scope> root_;
  Scope* scope_;
  TextBuilder* out_ = nullptr;
  Value filter_input_;  // what a filter expression without input filters
};

}  // namespace runahead::jinja

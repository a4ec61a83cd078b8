// The syntax tree of a template. Immutable once parsed.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja/builtins.h"
#include "text/jinja/operations.h"
#include "text/jinja/value.h"

namespace runahead::jinja {

struct Expression;
struct Statement;
// Nodes live in Template's deques, so that a long chain of them is freed without recursion.
using ExpressionPtr = const Expression*;
using Block = std::vector<const Statement*>;

struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
};

struct LiteralExpression {
  Value value;
};
struct NameExpression {
  std::string name;
};
struct AttributeExpression {
  ExpressionPtr object;
  std::string name;
};
struct SubscriptExpression {
  ExpressionPtr object;
  ExpressionPtr key;
};
struct SliceExpression {
  ExpressionPtr object;
  ExpressionPtr start, stop, step;
};  // bounds may be null
struct CallExpression {
  ExpressionPtr callee;
  CallArguments arguments;
};
struct FilterExpression {
  ExpressionPtr input;
  std::string name;
  CallArguments arguments;
};
struct TestExpression {
  ExpressionPtr input;
  std::string name;
  CallArguments arguments;
  bool negated;
};
struct NotExpression {
  ExpressionPtr operand;
};
struct SignExpression {
  ExpressionPtr operand;
  bool is_minus;
};
struct BinaryExpression {
  BinaryOp op;
  ExpressionPtr left, right;
};
struct LogicExpression {
  bool is_and;
  ExpressionPtr left, right;
};
struct CompareExpression {  // first op operand op operand ..., each pair compared
  ExpressionPtr first;
  std::vector<std::pair<CompareOp, ExpressionPtr>> rest;
};
struct ConcatExpression {
  std::vector<ExpressionPtr> parts;
};
struct ConditionalExpression {
  ExpressionPtr condition, then, otherwise;
};  // otherwise may be null
struct SequenceExpression {
  std::vector<ExpressionPtr> items;
  ListKind kind;
};
struct DictExpression {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries;
};

struct Expression {
  int line = 0;
  std::variant<LiteralExpression, NameExpression, AttributeExpression, SubscriptExpression,
               SliceExpression, CallExpression, FilterExpression, TestExpression, NotExpression,
               SignExpression, BinaryExpression, LogicExpression, CompareExpression,
               ConcatExpression, ConditionalExpression, SequenceExpression, DictExpression>
      node;
};

// What `set` and `for` assign to: name, name.attribute (a namespace's), or a tuple of targets.
struct Target {
  std::string name;
  std::string attribute;
  std::vector<Target> elements;
};

struct MacroDefinition {
  std::string name;
  std::vector<std::string> parameters;
  std::vector<ExpressionPtr> defaults;  // of the last parameters
  Block body;
};

struct TextStatement {
  std::string text;
};
struct PrintStatement {
  ExpressionPtr value;
};
struct IfStatement {
  std::vector<std::pair<ExpressionPtr, Block>> branches;
  Block otherwise;
};
struct ForStatement {
  Target target;
  ExpressionPtr items;
  ExpressionPtr condition;  // may be null
  Block body;
  Block otherwise;
};
struct SetStatement {
  Target target;
  ExpressionPtr value;
};
// The text of the body, through the filters, whose innermost input is null and stands for that
// text.
struct SetBlockStatement {
  Target target;
  ExpressionPtr filter;
  Block body;
};  // filter may be null
struct FilterStatement {
  ExpressionPtr filter;
  Block body;
};
struct MacroStatement {
  MacroDefinition macro;
};
struct CallStatement {
  ExpressionPtr call;
  MacroDefinition caller;
};
struct WithStatement {
  std::vector<std::pair<Target, ExpressionPtr>> variables;
  Block body;
};
struct BreakStatement {};
struct ContinueStatement {};

struct Statement {
  int line = 0;
  std::variant<TextStatement, PrintStatement, IfStatement, ForStatement, SetStatement,
               SetBlockStatement, FilterStatement, MacroStatement, CallStatement, WithStatement,
               BreakStatement, ContinueStatement>
      node;
};

struct Template {
  std::deque<Expression> expressions;
  std::deque<Statement> statements;
  Block body;
};

}  // namespace runahead::jinja

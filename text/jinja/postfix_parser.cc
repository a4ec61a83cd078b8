// What may follow a value: attributes, subscripts, calls, filters and tests.
#include "text/jinja/expression_parser.h"
#include "text/jinja/text_ops.h"

namespace runahead::jinja {

ExpressionPtr ExpressionParser::ParsePostfix(ExpressionPtr object) {
  while (true) {
    if (IsOperator(".")) {
      object = ParseAttribute(object);
    } else if (IsOperator("[")) {
      object = ParseSubscript(object);
    } else if (IsOperator("(")) {
      object = ParseCall(object);
    } else {
      return object;
    }
  }
}

ExpressionPtr ExpressionParser::ParsePostfixAndFilters(ExpressionPtr object) {
  while (true) {
    if (IsOperator("|")) {
      object = ParseFilter(object);
    } else if (IsName("is")) {
      object = ParseTest(object);
    } else if (IsOperator("(")) {
      object = ParseCall(object);
    } else {
      return object;
    }
  }
}

ExpressionPtr ExpressionParser::ParseFilters(ExpressionPtr input) {
  if (!IsOperator("|")) return FailAtToken("'|'");
  while (IsOperator("|")) input = ParseFilter(input);
  return input;
}

ExpressionPtr ExpressionParser::ParseAttribute(ExpressionPtr object) {
  const int line = Next().line;
  const Token& token = Next();
  if (token.kind == TokenKind::kName) return Make(line, AttributeExpression{object, token.text});
  const auto index = token.kind == TokenKind::kInteger ? ParsePythonInt(token.text) : std::nullopt;
  if (!index) return Fail("expected a name or number after '.'");
  return Make(line, SubscriptExpression{object, Make(line, LiteralExpression{Value(*index)})});
}

ExpressionPtr ExpressionParser::ParseSubscript(ExpressionPtr object) {
  const Nesting nesting(*this);
  Next();
  const ExpressionPtr result = ParseSubscriptPart(object);
  if (IsOperator(",")) return Fail("a subscript has one part");
  ExpectOperator("]");
  return result;
}

ExpressionPtr ExpressionParser::ParseSubscriptPart(ExpressionPtr object) {
  const int line = Peek().line;
  const auto bound = [&]() -> ExpressionPtr {
    return IsOperator(":") || IsOperator("]") ? nullptr : ParseExpression();
  };
  const ExpressionPtr start = bound();
  if (!SkipOperator(":")) {
    return start == nullptr ? FailAtToken("an expression")
                            : Make(line, SubscriptExpression{object, start});
  }
  const ExpressionPtr stop = bound();
  const ExpressionPtr step = SkipOperator(":") ? bound() : nullptr;
  return Make(line, SliceExpression{object, start, stop, step});
}

CallArguments ExpressionParser::ParseArguments() {
  const Nesting nesting(*this);
  CallArguments arguments;
  ExpectOperator("(");
  while (!failed() && !IsOperator(")")) {
    if (IsOperator("*") || IsOperator("**")) {
      Fail("unpacking of arguments is not supported");
    } else if (Peek().kind == TokenKind::kName && IsOperator("=", 1)) {
      std::string name = Next().text;
      Next();
      arguments.named.emplace_back(std::move(name), ParseExpression());
    } else if (!arguments.named.empty()) {
      Fail("a positional argument follows a named one");
    } else {
      arguments.positional.push_back(ParseExpression());
    }
    if (!SkipOperator(",")) break;
  }
  ExpectOperator(")");
  return arguments;
}

ExpressionPtr ExpressionParser::ParseCall(ExpressionPtr callee) {
  const int line = Peek().line;
  return Make(line, CallExpression{callee, ParseArguments()});
}

std::string ExpressionParser::ParseDottedName() {
  std::string name = ExpectName();
  while (SkipOperator(".")) name += "." + ExpectName();
  return name;
}

ExpressionPtr ExpressionParser::ParseFilter(ExpressionPtr input) {
  const int line = Next().line;
  std::string name = ParseDottedName();
  if (FindFilter(name) == nullptr && conditions_ == 0)
    return Fail("there is no filter '" + name + "'");
  CallArguments arguments;
  if (IsOperator("(")) arguments = ParseArguments();
  return Make(line, FilterExpression{input, std::move(name), std::move(arguments)});
}

// `x is divisibleby 3`: one argument without parentheses.
bool ExpressionParser::BeginsTestArgument() const {
  switch (Peek().kind) {
    case TokenKind::kName:
      return !IsName("else") && !IsName("or") && !IsName("and") && !IsName("is") && !IsName("if") &&
             !IsName("not") && !IsName("in");
    case TokenKind::kString:
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return true;
    default:
      return IsOperator("[") || IsOperator("{");
  }
}

ExpressionPtr ExpressionParser::ParseTest(ExpressionPtr input) {
  const int line = Next().line;
  TestExpression test{input, {}, {}, SkipName("not")};
  test.name = ParseDottedName();
  if (FindTest(test.name) == nullptr && conditions_ == 0) {
    return Fail("there is no test '" + test.name + "'");
  }
  if (IsOperator("(")) {
    test.arguments = ParseArguments();
  } else if (IsName("is")) {
    return Fail("tests cannot be chained with 'is'");
  } else if (BeginsTestArgument()) {
    test.arguments.positional.push_back(ParsePostfix(ParsePrimary()));
  }
  return Make(line, std::move(test));
}

}  // namespace runahead::jinja

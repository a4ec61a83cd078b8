#include "text/jinja/expression_parser.h"

#include <charconv>

#include "text/jinja/text_ops.h"

namespace runahead::jinja {

bool ParserBase::SkipOperator(std::string_view text) {
  if (!IsOperator(text)) return false;
  Next();
  return true;
}

bool ParserBase::SkipName(std::string_view text) {
  if (!IsName(text)) return false;
  Next();
  return true;
}

void ParserBase::ExpectOperator(std::string_view text) {
  if (!SkipOperator(text)) FailAtToken("'" + std::string(text) + "'");
}

void ParserBase::Expect(TokenKind kind, std::string_view what) {
  if (Peek().kind == kind) {
    Next();
  } else {
    FailAtToken(what);
  }
}

std::string ParserBase::ExpectName() {
  if (Peek().kind == TokenKind::kName) return Next().text;
  FailAtToken("a name");
  return {};
}

ExpressionPtr ParserBase::Fail(std::string_view message) {
  if (error_.empty()) error_ = "line " + std::to_string(Peek().line) + ": " + std::string(message);
  at_ = tokens_.size() - 1;
  return Make(0, LiteralExpression{});
}

ExpressionPtr ParserBase::FailAtToken(std::string_view expected) {
  const Token& token = Peek();
  std::string met;
  switch (token.kind) {
    case TokenKind::kData:
      met = "text";
      break;
    case TokenKind::kBlockBegin:
      met = "'{%'";
      break;
    case TokenKind::kBlockEnd:
      met = "'%}'";
      break;
    case TokenKind::kVariableBegin:
      met = "'{{'";
      break;
    case TokenKind::kVariableEnd:
      met = "'}}'";
      break;
    case TokenKind::kEnd:
      met = "the end of the template";
      break;
    default:
      met = "'" + token.text + "'";
      break;
  }
  return Fail("expected " + std::string(expected) + ", got " + met);
}

ExpressionPtr ExpressionParser::ParseConditional() {
  const Nesting nesting(*this);
  const int line = Peek().line;
  ExpressionPtr value = ParseOr();
  while (SkipName("if")) {
    ++conditions_;
    const ExpressionPtr condition = ParseOr();
    const ExpressionPtr otherwise = SkipName("else") ? ParseConditional() : nullptr;
    --conditions_;
    value = Make(line, ConditionalExpression{condition, value, otherwise});
  }
  return value;
}

ExpressionPtr ExpressionParser::ParseOr() {
  ExpressionPtr left = ParseAnd();
  while (IsName("or")) {
    const int line = Next().line;
    left = Make(line, LogicExpression{false, left, ParseAnd()});
  }
  return left;
}

ExpressionPtr ExpressionParser::ParseAnd() {
  ExpressionPtr left = ParseNot();
  while (IsName("and")) {
    const int line = Next().line;
    left = Make(line, LogicExpression{true, left, ParseNot()});
  }
  return left;
}

ExpressionPtr ExpressionParser::ParseNot() {
  if (!IsName("not")) return ParseCompare();
  const Nesting nesting(*this);
  const int line = Next().line;
  return Make(line, NotExpression{ParseNot()});
}

std::optional<CompareOp> ExpressionParser::SkipCompareOp() {
  constexpr std::pair<std::string_view, CompareOp> kOps[] = {
      {"==", CompareOp::kEqual},  {"!=", CompareOp::kNotEqual},
      {"<", CompareOp::kLess},    {"<=", CompareOp::kLessEqual},
      {">", CompareOp::kGreater}, {">=", CompareOp::kGreaterEqual}};
  for (const auto& [text, op] : kOps) {
    if (SkipOperator(text)) return op;
  }
  if (SkipName("in")) return CompareOp::kIn;
  if (IsName("not") && IsName("in", 1)) {
    Next();
    Next();
    return CompareOp::kNotIn;
  }
  return std::nullopt;
}

ExpressionPtr ExpressionParser::ParseCompare() {
  const int line = Peek().line;
  const ExpressionPtr first = ParseSum();
  CompareExpression compare{first, {}};
  while (const auto op = SkipCompareOp()) compare.rest.emplace_back(*op, ParseSum());
  return compare.rest.empty() ? first : Make(line, std::move(compare));
}

ExpressionPtr ExpressionParser::ParseSum() {
  ExpressionPtr left = ParseConcat();
  while (IsOperator("+") || IsOperator("-")) {
    const Token& op = Next();
    const BinaryOp kind = op.text == "+" ? BinaryOp::kAdd : BinaryOp::kSubtract;
    const int line = op.line;
    left = Make(line, BinaryExpression{kind, left, ParseConcat()});
  }
  return left;
}

ExpressionPtr ExpressionParser::ParseConcat() {
  const int line = Peek().line;
  const ExpressionPtr first = ParseProduct();
  ConcatExpression concat{{first}};
  while (SkipOperator("~")) concat.parts.push_back(ParseProduct());
  return concat.parts.size() == 1 ? first : Make(line, std::move(concat));
}

ExpressionPtr ExpressionParser::ParseProduct() {
  constexpr std::pair<std::string_view, BinaryOp> kOps[] = {{"*", BinaryOp::kMultiply},
                                                            {"/", BinaryOp::kDivide},
                                                            {"//", BinaryOp::kFloorDivide},
                                                            {"%", BinaryOp::kModulo}};
  ExpressionPtr left = ParsePower();
  for (bool more = true; more;) {
    more = false;
    for (const auto& [text, op] : kOps) {
      if (!IsOperator(text)) continue;
      const int line = Next().line;
      left = Make(line, BinaryExpression{op, left, ParsePower()});
      more = true;
    }
  }
  return left;
}

ExpressionPtr ExpressionParser::ParsePower() {
  ExpressionPtr left = ParseUnary();
  while (IsOperator("**")) {
    const int line = Next().line;
    left = Make(line, BinaryExpression{BinaryOp::kPower, left, ParseUnary()});
  }
  return left;
}

ExpressionPtr ExpressionParser::ParseUnary(bool with_filters) {
  ExpressionPtr value = nullptr;
  if (IsOperator("-") || IsOperator("+")) {
    const Nesting nesting(*this);
    const Token& op = Next();
    const bool is_minus = op.text == "-";
    const int line = op.line;
    value = Make(line, SignExpression{ParseUnary(false), is_minus});
  } else {
    value = ParsePrimary();
  }
  value = ParsePostfix(value);
  return with_filters ? ParsePostfixAndFilters(value) : value;
}

ExpressionPtr ExpressionParser::ParsePrimary() {
  switch (Peek().kind) {
    case TokenKind::kName:
      return ParseName();
    case TokenKind::kString:
      return ParseStrings();
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return ParseNumber();
    default:
      break;
  }
  const Nesting nesting(*this);
  if (IsOperator("(")) return ParseParenthesized();
  if (IsOperator("[")) return ParseList();
  if (IsOperator("{")) return ParseDict();
  return FailAtToken("an expression");
}

ExpressionPtr ExpressionParser::ParseName() {
  const Token& token = Next();
  const std::string& name = token.text;
  if (name == "true" || name == "True") return Make(token.line, LiteralExpression{Value(true)});
  if (name == "false" || name == "False") return Make(token.line, LiteralExpression{Value(false)});
  if (name == "none" || name == "None") {
    return Make(token.line, LiteralExpression{Value(Value::None{})});
  }
  return Make(token.line, NameExpression{name});
}

ExpressionPtr ExpressionParser::ParseStrings() {
  const int line = Peek().line;
  std::string text;
  while (Peek().kind == TokenKind::kString) text += Next().text;  // neighbours join, as in Python
  return Make(line, LiteralExpression{Value::Literal(std::move(text))});
}

ExpressionPtr ExpressionParser::ParseNumber() {
  const Token& token = Next();
  const std::string& text = token.text;
  if (token.kind == TokenKind::kFloat) {
    const auto value = ParsePythonFloat(text);
    return value ? Make(token.line, LiteralExpression{Value(*value)}) : Fail("a malformed number");
  }
  const char prefix = text.size() > 2 && text[0] == '0' ? static_cast<char>(text[1] | 0x20) : '\0';
  const int base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 10;
  const auto value = ParsePythonInt(text, base);
  if (!value) return Fail("a malformed number, or one past 64 bits");
  return Make(token.line, LiteralExpression{Value(*value)});
}

bool ExpressionParser::EndsTuple() const {
  const TokenKind kind = Peek().kind;
  return kind == TokenKind::kVariableEnd || kind == TokenKind::kBlockEnd ||
         kind == TokenKind::kEnd || IsOperator(")") || IsOperator("]") || IsName("in") ||
         IsName("if") || IsName("recursive");
}

ExpressionPtr ExpressionParser::ParseTuple(bool with_conditional) {
  const int line = Peek().line;
  const auto parse = [&] {
    return with_conditional ? ParseExpression() : ParseWithoutConditional();
  };
  SequenceExpression tuple{{parse()}, ListKind::kTuple};
  bool is_tuple = false;
  while (SkipOperator(",")) {
    is_tuple = true;
    if (EndsTuple()) break;
    tuple.items.push_back(parse());
  }
  return is_tuple ? Make(line, std::move(tuple)) : tuple.items[0];
}

ExpressionPtr ExpressionParser::ParseParenthesized() {
  const int line = Next().line;
  if (SkipOperator(")")) return Make(line, SequenceExpression{{}, ListKind::kTuple});
  const ExpressionPtr value = ParseTuple();
  ExpectOperator(")");
  return value;
}

ExpressionPtr ExpressionParser::ParseList() {
  const int line = Next().line;
  SequenceExpression list{{}, ListKind::kList};
  while (!failed() && !IsOperator("]")) {
    list.items.push_back(ParseExpression());
    if (!SkipOperator(",")) break;
  }
  ExpectOperator("]");
  return Make(line, std::move(list));
}

ExpressionPtr ExpressionParser::ParseDict() {
  const int line = Next().line;
  DictExpression dict;
  while (!failed() && !IsOperator("}")) {
    const ExpressionPtr key = ParseExpression();
    ExpectOperator(":");
    dict.entries.emplace_back(key, ParseExpression());
    if (!SkipOperator(",")) break;
  }
  ExpectOperator("}");
  return Make(line, std::move(dict));
}

}  // namespace runahead::jinja

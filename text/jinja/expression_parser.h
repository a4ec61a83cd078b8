// The expression half of the parser, and the cursor over tokens both halves share. One parse.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace runahead::jinja {

// Errors are sticky: the first is kept and the cursor jumps to the end, where every loop stops.
class ParserBase {
 public:
  ParserBase(std::vector<Token> tokens, Template& result)
      : tokens_(std::move(tokens)), template_(result) {}

  bool failed() const { return !error_.empty(); }
  const std::string& error() const { return error_; }

 protected:
  static constexpr int kMaxNesting = 150;

  const Token& Peek(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  const Token& Next() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool IsOperator(std::string_view text, size_t ahead = 0) const {
    return Peek(ahead).kind == TokenKind::kOperator && Peek(ahead).text == text;
  }
  bool IsName(std::string_view text, size_t ahead = 0) const {
    return Peek(ahead).kind == TokenKind::kName && Peek(ahead).text == text;
  }
  bool SkipOperator(std::string_view text);
  bool SkipName(std::string_view text);
  void ExpectOperator(std::string_view text);
  void Expect(TokenKind kind, std::string_view what);
  std::string ExpectName();

  ExpressionPtr Fail(std::string_view message);
  ExpressionPtr FailAtToken(std::string_view expected);

  template <typename Node>
  ExpressionPtr Make(int line, Node node) {
    template_.expressions.push_back({line, std::move(node)});
    return &template_.expressions.back();
  }

  // One level of nesting while it lives.
  class Nesting {
   public:
    explicit Nesting(ParserBase& parser) : parser_(parser) {
      if (++parser_.nesting_ > kMaxNesting) parser_.Fail("the template is nested too deeply");
    }
    ~Nesting() { --parser_.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    ParserBase& parser_;
  };

  std::vector<Token> tokens_;
  Template& template_;
  size_t at_ = 0;
  std::string error_;
  int nesting_ = 0;
  int conditions_ = 0;  // enclosing ifs: unknown filters wait until they are reached
};

class ExpressionParser : public ParserBase {
 public:
  using ParserBase::ParserBase;

 protected:
  ExpressionPtr ParseExpression() { return ParseConditional(); }
  ExpressionPtr ParseWithoutConditional() { return ParseOr(); }
  // Expressions separated by commas are a tuple; one alone is itself.
  ExpressionPtr ParseTuple(bool with_conditional = true);
  // "| filter(...) ..." applied to `input`; at least the first pipe must be there.
  ExpressionPtr ParseFilters(ExpressionPtr input);
  ExpressionPtr ParseUnary(bool with_filters = true);

 private:
  ExpressionPtr ParseConditional();
  ExpressionPtr ParseOr();
  ExpressionPtr ParseAnd();
  ExpressionPtr ParseNot();
  ExpressionPtr ParseCompare();
  ExpressionPtr ParseSum();
  ExpressionPtr ParseConcat();
  ExpressionPtr ParseProduct();
  ExpressionPtr ParsePower();
  ExpressionPtr ParsePrimary();
  ExpressionPtr ParseName();
  ExpressionPtr ParseStrings();
  ExpressionPtr ParseNumber();
  ExpressionPtr ParseParenthesized();
  ExpressionPtr ParseList();
  ExpressionPtr ParseDict();
  ExpressionPtr ParsePostfix(ExpressionPtr object);
  ExpressionPtr ParseAttribute(ExpressionPtr object);
  ExpressionPtr ParseSubscript(ExpressionPtr object);
  ExpressionPtr ParseSubscriptPart(ExpressionPtr object);
  ExpressionPtr ParseCall(ExpressionPtr callee);
  ExpressionPtr ParsePostfixAndFilters(ExpressionPtr object);
  ExpressionPtr ParseFilter(ExpressionPtr input);
  ExpressionPtr ParseTest(ExpressionPtr input);
  CallArguments ParseArguments();
  std::optional<CompareOp> SkipCompareOp();
  bool EndsTuple() const;
  bool BeginsTestArgument() const;
  std::string ParseDottedName();
};

}  // namespace runahead::jinja

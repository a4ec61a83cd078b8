#include "text/jinja/parser.h"

#include <initializer_list>

#include "text/jinja/expression_parser.h"

namespace runahead::jinja {
namespace {

constexpr size_t kMaxSourceBytes = size_t{1} << 20;

class Parser : public ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  void Run() {
    template_.body = ParseBody({});
    if (!failed() && Peek().kind != TokenKind::kEnd) FailAtToken("the end of the template");
  }

 private:
  template <typename Node>
  const Statement* MakeStatement(int line, Node node) {
    template_.statements.push_back({line, std::move(node)});
    return &template_.statements.back();
  }

  // True at "{% name", for one of `names`.
  bool AtTag(std::initializer_list<std::string_view> names) const {
    if (Peek().kind != TokenKind::kBlockBegin || Peek(1).kind != TokenKind::kName) return false;
    for (const std::string_view name : names) {
      if (Peek(1).text == name) return true;
    }
    return false;
  }

  // Statements up to one of the tags `ends`, which is left, or to the end of the template.
  Block ParseBody(std::initializer_list<std::string_view> ends) {
    const Nesting nesting(*this);
    Block body;
    while (!failed() && Peek().kind != TokenKind::kEnd && !AtTag(ends)) {
      const Statement* statement = ParseStatement();
      if (statement != nullptr) body.push_back(statement);
    }
    return body;
  }

  // The body and its "{% end %}".
  Block ParseBodyUntil(std::string_view end) {
    Block body = ParseBody({end});
    SkipTag(end);
    return body;
  }

  void EndTag() { Expect(TokenKind::kBlockEnd, "'%}'"); }

  void SkipTag(std::string_view name) {
    Expect(TokenKind::kBlockBegin, "'{% " + std::string(name) + " %}'");
    if (!SkipName(name)) FailAtToken("'" + std::string(name) + "'");
    EndTag();
  }

  const Statement* ParseStatement() {
    const int line = Peek().line;
    switch (Peek().kind) {
      case TokenKind::kData:
        return MakeStatement(line, TextStatement{Next().text});
      case TokenKind::kVariableBegin: {
        Next();
        const ExpressionPtr value = ParseTuple();
        Expect(TokenKind::kVariableEnd, "'}}'");
        return MakeStatement(line, PrintStatement{value});
      }
      case TokenKind::kBlockBegin:
        Next();
        return ParseTag(line);
      default:
        FailAtToken("a tag");
        return nullptr;
    }
  }

  const Statement* ParseTag(int line) {
    using Handler = const Statement* (Parser::*)(int);
    constexpr std::pair<std::string_view, Handler> kTags[] = {
        {"if", &Parser::ParseIf},          {"for", &Parser::ParseFor},
        {"set", &Parser::ParseSet},        {"macro", &Parser::ParseMacro},
        {"call", &Parser::ParseCallBlock}, {"filter", &Parser::ParseFilterBlock},
        {"with", &Parser::ParseWith},      {"generation", &Parser::ParseGeneration},
        {"break", &Parser::ParseBreak},    {"continue", &Parser::ParseContinue}};
    for (const auto& [name, handler] : kTags) {
      if (SkipName(name)) return (this->*handler)(line);
    }
    if (Peek().kind == TokenKind::kName) {
      Fail("the tag '" + Peek().text + "' is unknown or out of place");
    } else {
      FailAtToken("the name of a tag");
    }
    return nullptr;
  }

  const Statement* ParseIf(int line) {
    ++conditions_;
    IfStatement statement;
    do {
      const ExpressionPtr condition = ParseTuple(false);
      EndTag();
      statement.branches.emplace_back(condition, ParseBody({"elif", "else", "endif"}));
      Expect(TokenKind::kBlockBegin, "'{% endif %}'");
    } while (SkipName("elif") && !failed());
    if (SkipName("else")) {
      EndTag();
      statement.otherwise = ParseBodyUntil("endif");
    } else {
      if (!SkipName("endif")) FailAtToken("'endif'");
      EndTag();
    }
    --conditions_;
    return MakeStatement(line, std::move(statement));
  }

  // name, name.attribute (where `with_attribute`), or several in a tuple.
  Target ParseTarget(bool with_attribute) {
    std::vector<Target> elements;
    bool is_tuple = false;
    do {
      if (is_tuple && (IsName("in") || IsOperator("="))) break;
      elements.push_back(ParseOneTarget(with_attribute));
      is_tuple = is_tuple || IsOperator(",");
    } while (SkipOperator(",") && !failed());
    if (!is_tuple) return std::move(elements[0]);
    return {{}, {}, std::move(elements)};
  }

  Target ParseOneTarget(bool with_attribute) {
    const Nesting nesting(*this);
    if (SkipOperator("(")) {
      Target target = ParseTarget(false);
      ExpectOperator(")");
      return target;
    }
    Target target;
    target.name = ExpectName();
    for (const std::string_view reserved : {"true", "false", "none", "True", "False", "None"}) {
      if (target.name == reserved) Fail("'" + target.name + "' cannot be assigned to");
    }
    if (with_attribute && SkipOperator(".")) target.attribute = ExpectName();
    return target;
  }

  const Statement* ParseFor(int line) {
    ForStatement statement{ParseTarget(false), nullptr, nullptr, {}, {}};
    if (statement.target.name == "loop") Fail("'loop' is the loop's own variable");
    if (!SkipName("in")) FailAtToken("'in'");
    statement.items = ParseTuple(false);
    if (SkipName("if")) statement.condition = ParseExpression();
    if (IsName("recursive")) Fail("recursive loops are not supported");
    EndTag();
    ++loops_;
    statement.body = ParseBody({"else", "endfor"});
    --loops_;
    if (AtTag({"else"})) {
      SkipTag("else");
      statement.otherwise = ParseBody({"endfor"});
    }
    SkipTag("endfor");
    return MakeStatement(line, std::move(statement));
  }

  const Statement* ParseSet(int line) {
    Target target = ParseTarget(true);
    if (SkipOperator("=")) {
      const ExpressionPtr value = ParseTuple();
      EndTag();
      return MakeStatement(line, SetStatement{std::move(target), value});
    }
    const ExpressionPtr filter = IsOperator("|") ? ParseFilters(nullptr) : nullptr;
    EndTag();
    return MakeStatement(line,
                         SetBlockStatement{std::move(target), filter, ParseBodyUntil("endset")});
  }

  // "(a, b=1)", the parameters of a macro or of a call block.
  void ParseParameters(MacroDefinition& macro) {
    ExpectOperator("(");
    while (!failed() && !IsOperator(")")) {
      macro.parameters.push_back(ExpectName());
      if (SkipOperator("=")) {
        macro.defaults.push_back(ParseExpression());
      } else if (!macro.defaults.empty()) {
        Fail("a parameter without a default follows one with a default");
      }
      if (!SkipOperator(",")) break;
    }
    ExpectOperator(")");
  }

  // A body with loops of its own: `break` does not leave it.
  Block ParseClosedBody(std::string_view end) {
    const int outer_loops = std::exchange(loops_, 0);
    Block body = ParseBodyUntil(end);
    loops_ = outer_loops;
    return body;
  }

  const Statement* ParseMacro(int line) {
    MacroDefinition macro;
    macro.name = ExpectName();
    ParseParameters(macro);
    EndTag();
    macro.body = ParseClosedBody("endmacro");
    return MakeStatement(line, MacroStatement{std::move(macro)});
  }

  const Statement* ParseCallBlock(int line) {
    CallStatement statement;
    statement.caller.name = "caller";
    if (IsOperator("(")) ParseParameters(statement.caller);
    statement.call = ParseUnary(false);
    if (!failed() && !std::holds_alternative<CallExpression>(statement.call->node)) {
      Fail("a call block needs a call");
    }
    EndTag();
    statement.caller.body = ParseClosedBody("endcall");
    return MakeStatement(line, std::move(statement));
  }

  const Statement* ParseFilterBlock(int line) {
    // The first filter's name follows the tag; the pipes come after it.
    tokens_[at_ - 1] = {TokenKind::kOperator, line, "|"};
    --at_;
    const ExpressionPtr filter = ParseFilters(nullptr);
    EndTag();
    return MakeStatement(line, FilterStatement{filter, ParseBodyUntil("endfilter")});
  }

  const Statement* ParseWith(int line) {
    WithStatement statement;
    while (!failed() && Peek().kind != TokenKind::kBlockEnd) {
      Target target = ParseOneTarget(false);
      ExpectOperator("=");
      statement.variables.emplace_back(std::move(target), ParseExpression());
      if (!SkipOperator(",")) break;
    }
    EndTag();
    statement.body = ParseBodyUntil("endwith");
    return MakeStatement(line, std::move(statement));
  }

  // Hugging Face's mark around what the assistant said: its body, in a scope of its own.
  const Statement* ParseGeneration(int line) {
    EndTag();
    return MakeStatement(line, WithStatement{{}, ParseClosedBody("endgeneration")});
  }

  template <typename Node>
  const Statement* ParseJump(int line) {
    if (loops_ == 0) Fail("'break' and 'continue' belong in a loop");
    EndTag();
    return MakeStatement(line, Node{});
  }
  const Statement* ParseBreak(int line) { return ParseJump<BreakStatement>(line); }
  const Statement* ParseContinue(int line) { return ParseJump<ContinueStatement>(line); }

  int loops_ = 0;
};

}  // namespace

Result<Template> Parse(std::string_view source) {
  if (source.size() > kMaxSourceBytes) return InvalidArgument("the template is larger than 1 MiB");
  RA_ASSIGN_OR_RETURN(std::vector<Token> tokens, Tokenize(source));
  Template result;
  Parser parser(std::move(tokens), result);
  parser.Run();
  if (parser.failed()) return InvalidArgument(parser.error());
  return result;
}

}  // namespace runahead::jinja

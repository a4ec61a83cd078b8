#include "text/jinja/lexer.h"

#include "gtest/gtest.h"

namespace runahead::jinja {
namespace {

// "line:kind:text" of every token, for short expectations.
std::string Show(std::string_view source) {
  const auto tokens = Tokenize(source);
  if (!tokens.ok()) return tokens.status().message();
  constexpr const char* kKinds[] = {"data", "{%",  "%}",    "{{", "}}", "name",
                                    "str",  "int", "float", "op", "end"};
  std::string out;
  for (const Token& token : *tokens) {
    out += std::to_string(token.line) + ":" + kKinds[static_cast<int>(token.kind)];
    if (!token.text.empty()) out += ":" + token.text;
    out += " ";
  }
  return out;
}

TEST(JinjaLexer, SplitsTagsAndCountsLines) {
  EXPECT_EQ(Show("a\n{{ b }}"), "1:data:a\n 2:{{ 2:name:b 2:}} 2:end ");
  EXPECT_EQ(Show("{%- if x -%}\n\ny"), "1:{% 1:name:if 1:name:x 1:%} 3:data:y 3:end ");
  EXPECT_EQ(Show("{{ 1.5e3 + 0x1F // 1_0 }}"),
            "1:{{ 1:float:1.5e3 1:op:+ 1:int:0x1F 1:op:// 1:int:10 1:}} 1:end ");
  EXPECT_EQ(Show("{{ a.0.b }}"), "1:{{ 1:name:a 1:op:. 1:int:0 1:op:. 1:name:b 1:}} 1:end ");
  EXPECT_EQ(Show("{{ {'a':{}} }}"), "1:{{ 1:op:{ 1:str:a 1:op:: 1:op:{ 1:op:} 1:op:} 1:}} 1:end ");
}

TEST(JinjaLexer, ErrorsNameTheLine) {
  EXPECT_EQ(Show("a\n\n{{ b"), "line 3: the tag has no end");
  EXPECT_EQ(Show("\n{# x"), "line 2: the comment has no end");
  EXPECT_EQ(Show("{% raw %}x"), "line 1: the raw block has no end");
  EXPECT_EQ(Show("{{ 'x }}"), "line 1: the string has no end");
  EXPECT_EQ(Show("{{ ? }}"), "line 1: unexpected character '?'");
  EXPECT_EQ(Show("{{ ) }}"), "line 1: unexpected ')'");
}

TEST(JinjaLexer, LiteralsFollowPythonsEscapes) {
  EXPECT_EQ(*UnescapeLiteral(R"(a\tb\x41\u00e9\U0001F98A\101\q\\)"), "a\tbA\u00e9\U0001F98AA\\q\\");
  EXPECT_EQ(*UnescapeLiteral("con\\\ntinued"), "continued");
  for (const char* bad : {R"(\x4)", R"(\u12)", R"(\U99999999)", R"(\N{DASH})", "\\"}) {
    EXPECT_FALSE(UnescapeLiteral(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace runahead::jinja

#include "text/jinja/parser.h"

#include "gtest/gtest.h"

namespace runahead::jinja {
namespace {

std::string ErrorOf(std::string_view source) {
  const auto parsed = Parse(source);
  return parsed.ok() ? "" : parsed.status().message();
}

TEST(JinjaParser, ErrorsNameLineAndConstruct) {
  EXPECT_EQ(ErrorOf("{{ a }}{% if a %}{% elif b %}{% else %}{% endif %}"), "");
  EXPECT_EQ(ErrorOf("a\n{% if a %}\nb"),
            "line 3: expected '{% endif %}', got the end of the template");
  EXPECT_EQ(ErrorOf("\n\n{% endfor %}"), "line 3: the tag 'endfor' is unknown or out of place");
  EXPECT_EQ(ErrorOf("{% include 'x' %}"), "line 1: the tag 'include' is unknown or out of place");
  EXPECT_EQ(ErrorOf("{{ a|frobnicate }}"), "line 1: there is no filter 'frobnicate'");
  EXPECT_EQ(ErrorOf("{{ a is frobnicated }}"), "line 1: there is no test 'frobnicated'");
  EXPECT_EQ(ErrorOf("{{ a b }}"), "line 1: expected '}}', got 'b'");
  EXPECT_EQ(ErrorOf("{{ f(*a) }}"), "line 1: unpacking of arguments is not supported");
  EXPECT_EQ(ErrorOf("{{ 99999999999999999999 }}"),
            "line 1: a malformed number, or one past 64 bits");
  EXPECT_EQ(ErrorOf("{% for x in y recursive %}{% endfor %}"),
            "line 1: recursive loops are not supported");
  EXPECT_EQ(ErrorOf("{% call x %}{% endcall %}"), "line 1: a call block needs a call");
  EXPECT_EQ(ErrorOf(std::string((1 << 20) + 1, 'x')), "the template is larger than 1 MiB");
}

TEST(JinjaParser, UnknownFiltersInABranchWaitUntilTheyAreReached) {
  EXPECT_EQ(ErrorOf("{% if a %}{{ a|frobnicate }}{% endif %}"), "");
  EXPECT_EQ(ErrorOf("{{ 1 if a is frobnicated else 2 }}"), "");
  EXPECT_NE(ErrorOf("{% if a %}{% endif %}{{ a|frobnicate }}"), "");
}

}  // namespace
}  // namespace runahead::jinja

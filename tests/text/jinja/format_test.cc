#include "text/jinja/format.h"

#include <cmath>

#include "gtest/gtest.h"

#include "tests/text/jinja/render.h"

namespace runahead::jinja {
namespace {

// Expected values are Python's repr().
TEST(JinjaFormat, FloatsReadAsInPython) {
  EXPECT_EQ(FormatFloat(1), "1.0");
  EXPECT_EQ(FormatFloat(-0.0), "-0.0");
  EXPECT_EQ(FormatFloat(0.1 + 0.2), "0.30000000000000004");
  EXPECT_EQ(FormatFloat(1e15), "1000000000000000.0");
  EXPECT_EQ(FormatFloat(1e16), "1e+16");
  EXPECT_EQ(FormatFloat(123456789012345680.0), "1.2345678901234568e+17");
  EXPECT_EQ(FormatFloat(0.0001), "0.0001");
  EXPECT_EQ(FormatFloat(0.00001), "1e-05");
  EXPECT_EQ(FormatFloat(5e-324), "5e-324");
  EXPECT_EQ(FormatFloat(1.7976931348623157e308), "1.7976931348623157e+308");
  EXPECT_EQ(FormatFloat(NAN), "nan");
  EXPECT_EQ(FormatFloat(-INFINITY), "-inf");
}

TEST(JinjaFormat, JsonNumbersPastPythonsReachStayJson) {
  EXPECT_EQ(Render("{{ [1e400, -1e400]|tojson }}"), "[Infinity, -Infinity]");
  EXPECT_EQ(Render("{{ n|tojson }}", {{"n", 9223372036854775807}}), "9223372036854775807");
  EXPECT_EQ(Render("{{ n|tojson }}", {{"n", 18446744073709551615u}}), "1.8446744073709552e+19");
}

TEST(JinjaFormat, InvalidUtf8OfTheInputIsReplaced) {
  EXPECT_EQ(Render("{{ s }}|{{ s|length }}", {{"s", "a\xFF\xE6z"}}), "a\uFFFD\uFFFDz|4");
}

}  // namespace
}  // namespace runahead::jinja

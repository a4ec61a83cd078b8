// Hostile templates meet an error: they neither hang, nor exhaust memory, nor overflow the stack.
#include <chrono>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/text/jinja/render.h"

namespace runahead::jinja {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string Times(const std::string& unit, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += unit;
  return out;
}

// The default limits, cut to a tenth so that the slow builds of CI stay quick.
Limits Small() {
  Limits limits;
  limits.max_steps /= 10;
  limits.max_memory_bytes /= 10;
  return limits;
}

TEST(JinjaLimits, EndlessWorkIsCut) {
  for (const char* source : {
           "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
           "{% for a in range(99999) %}{% for b in range(99999) %}{% break %}{% endfor %}{% endfor "
           "%}",
           "{% macro m() %}{{ m() ~ m() }}{% endmacro %}{{ m() }}",
           "{% set l = range(99999)|list %}{% for a in l %}{{ a in l }}{% endfor %}",
           "{{ range(99999)|unique|list|length }}",
           "{% set ns = namespace(a=[1]) %}{% for i in range(150) %}{% set ns.a = [ns.a, ns.a] "
           "%}{% endfor %}{{ ns.a == ns.a }}{{ ns.a|string|length }}",
           "{% set s = 'ab' * 1000000 %}{% for i in range(99999) %}{{ s.count('x') }}{% endfor %}",
           "{% set s = 'é' * 100000 %}{% for i in range(99999) %}{{ s[i] }}{% endfor %}",
       }) {
    EXPECT_THAT(Render(source, {}, Small()), StartsWith("error: ")) << source;
  }
}

TEST(JinjaLimits, MemoryIsBounded) {
  for (const char* source : {
           "{{ 'x' * 999999999999 }}",
           "{{ [1] * 999999999999 }}",
           "{% set ns = namespace(s='x' * 1000) %}{% for i in range(40) %}{% set ns.s = ns.s ~ "
           "ns.s %}{% endfor %}",
           "{% set ns = namespace(s='x') %}{% for i in range(40) %}{% set ns.s = ns.s.replace('x', "
           "'xxxx') %}{% endfor %}",
           "{% set ns = namespace(s='x') %}{% for i in range(40) %}{% set ns.s = ns.s|tojson * 3 "
           "%}{% endfor %}",
           "{% set ns = namespace(s=[1]) %}{% for i in range(40) %}{% set ns.s = ns.s + ns.s %}{% "
           "endfor %}",
           "{% set ns = namespace(s='x') %}{% for i in range(40) %}{% set ns.s = ns.s.join([ns.s, "
           "ns.s, ns.s]) %}{% endfor %}",
           "{{ 'x'.center(99999999999) }}",
           "{{ 'x'|indent(99999999999, true) }}",
           "{{ '%99999999d' % 1 }}",
           "{{ 'x'.zfill(99999999999) }}",
           "{{ [[1]]|tojson(indent=99999999999) }}",
           "{{ [1]|batch(99999999999, 0)|list }}",
           "{{ strftime_now('%999999999d') }}",
           "{% set s = ' a' * 4000000 %}{{ s.split()|length }}",
       }) {
    EXPECT_THAT(Render(source, {}, Small()), StartsWith("error: ")) << source;
  }
}

TEST(JinjaLimits, DepthIsBounded) {
  EXPECT_THAT(Render("{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}"),
              HasSubstr("too deeply"));
  EXPECT_THAT(Render("{{ " + Times("(", 100'000) + Times(")", 100'000) + " }}"),
              HasSubstr("too deeply"));
  EXPECT_THAT(Render("{{ " + Times("[", 100'000) + Times("]", 100'000) + " }}"),
              HasSubstr("too deeply"));
  EXPECT_THAT(Render("{{ " + Times("{1:", 100'000) + Times("}", 100'000) + " }}"),
              HasSubstr("too deeply"));
  EXPECT_THAT(Render("{{ " + Times("-", 100'000) + "1 }}"), HasSubstr("too deeply"));
  EXPECT_THAT(Render("{{ " + Times("not ", 100'000) + "1 }}"), HasSubstr("too deeply"));
  EXPECT_THAT(Render("{{ a" + Times("[a", 100'000) + Times("]", 100'000) + " }}"),
              HasSubstr("too deeply"));
  EXPECT_THAT(Render("{{ a" + Times("(a", 100'000) + Times(")", 100'000) + " }}"),
              HasSubstr("too deeply"));
  EXPECT_THAT(Render(Times("{% if a %}", 50'000)), HasSubstr("too deeply"));
  EXPECT_THAT(Render("{% for " + Times("(", 100'000) + Times(")", 100'000) + " %}"),
              HasSubstr("too deeply"));
  EXPECT_THAT(Render("{{ 1" + Times(" if 1 else 1", 50'000) + " }}"), HasSubstr("too deeply"));
  // Long chains parse without recursion; evaluating them meets the depth limit.
  EXPECT_THAT(Render("{{ 1" + Times(" + 1", 100'000) + " }}"), HasSubstr("too deeply"));
  EXPECT_THAT(Render("{{ a" + Times("|string", 100'000) + " }}"), HasSubstr("too deeply"));
  EXPECT_THAT(Render("{{ a" + Times(".a", 100'000) + " }}"), HasSubstr("too deeply"));
}

TEST(JinjaLimits, DeepValuesAreRefused) {
  EXPECT_THAT(
      Render("{% set ns = namespace(a=[]) %}{% for i in range(9999) %}{% set ns.a = [ns.a] %}"
             "{% endfor %}{{ ns.a }}"),
      HasSubstr("too deeply"));
  nlohmann::ordered_json deep = 1;
  for (int i = 0; i < 1000; ++i) deep = nlohmann::ordered_json::array({std::move(deep)});
  EXPECT_THAT(Render("{{ deep }}", {{"deep", deep}}), HasSubstr("too deeply"));
}

TEST(JinjaLimits, AThingThatContainsItselfIsHarmless) {
  EXPECT_EQ(Render("{% set ns = namespace() %}{% set ns.me = [ns] %}{{ ns.me }}"), "[<Namespace>]");
  EXPECT_EQ(
      Render("{% set ns = namespace() %}{% for i in [1, 2] %}{% set ns.l = loop %}{% endfor %}"
             "{{ ns.l.index }}{{ ns.l.previtem is defined }}"),
      "2False");
  EXPECT_EQ(
      Render("{% set ns = namespace() %}{% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}"
             "{% set ns.m = m %}{% endfor %}{{ ns.m() }}"),
      "2");
}

TEST(JinjaLimits, LargeButHonestInputsPass) {
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  for (int i = 0; i < 20'000; ++i) {
    messages.push_back(
        {{"role", i % 2 ? "assistant" : "user"}, {"content", std::string(200, 'x')}});
  }
  const std::string text = Render(
      "{% for m in messages %}{{ '<' + m['role'] + '>' + m['content'] | trim + '\\n' }}{% endfor "
      "%}",
      {{"messages", messages}});
  EXPECT_EQ(text.size(), 10'000 * (6 + 11 + 2 * 201u));
}

}  // namespace
}  // namespace runahead::jinja

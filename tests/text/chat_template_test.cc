// Chat templates against jinja2's own output: tools/golden/chat_templates.py wrote the goldens.
#include "text/chat_template.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "gtest/gtest.h"

#include "tests/published_data.h"
#include "tests/source_dir.h"

namespace runahead {
namespace {

using Json = nlohmann::ordered_json;

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

Json ReadGolden(const std::string& name) {
  return Json::parse(ReadFile(SourceDir() + "/tests/golden/chat_templates/" + name));
}

// Text, or the error's message.
struct Outcome {
  bool ok = false;
  std::string text;
};

Outcome RenderWith(const std::string& source, const Json& variables, int64_t now) {
  const Result<ChatTemplate> compiled = ChatTemplate::Parse(source);
  if (!compiled.ok()) return {false, compiled.status().message()};
  ChatTemplate::Options options;
  options.extra = variables;
  options.now_unix_seconds = now;
  const Result<std::string> text = compiled->Render(Json::array(), options);
  return text.ok() ? Outcome{true, *text} : Outcome{false, text.status().message()};
}

// Errors must be errors; only what a template itself raises must read the same.
void ExpectGolden(const Json& golden, const Outcome& outcome) {
  if (golden.contains("output")) {
    EXPECT_TRUE(outcome.ok) << outcome.text;
    EXPECT_EQ(outcome.text, golden["output"].get<std::string>());
    return;
  }
  EXPECT_FALSE(outcome.ok) << "rendered: " << outcome.text;
  if (!golden.contains("message")) return;
  EXPECT_EQ(outcome.text, golden["message"].get<std::string>());
}

TEST(ChatTemplateGolden, SnippetsRenderAsJinja2Does) {
  const Json golden = ReadGolden("snippets.json");
  ASSERT_GT(golden["cases"].size(), 400u);
  for (const Json& one : golden["cases"]) {
    const auto source = one["template"].get<std::string>();
    SCOPED_TRACE(source);
    ExpectGolden(one, RenderWith(source, golden["context"], golden["now"]));
  }
}

TEST(ChatTemplateGolden, PublishedTemplatesRenderAsJinja2Does) {
  const auto data = PublishedData();
  if (!data) GTEST_SKIP() << "RUNAHEAD_TEST_DATA is not set: no published templates here";
  const Json golden = ReadGolden("published.json");
  ASSERT_GT(golden["results"].size(), 100u);
  for (const Json& one : golden["results"]) {
    const auto name = one["template"].get<std::string>();
    const auto conversation = one["conversation"].get<std::string>();
    SCOPED_TRACE(name + " / " + conversation);
    Json variables = {{"tools", nullptr}, {"documents", nullptr}, {"add_generation_prompt", true}};
    variables.update(golden["tokens"]);
    variables.update(golden["conversations"][conversation]);
    const std::string source = ReadFile(*data / "chat_templates" / name);
    ExpectGolden(one, RenderWith(source, variables, golden["now"]));
  }
}

}  // namespace
}  // namespace runahead

#include "server/openai_fields.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <string>

#include "gtest/gtest.h"

#include "tests/published_data.h"

namespace runahead {
namespace {

size_t Indent(const std::string& line) { return line.find_first_not_of(' '); }

// Names of the members of `schema`'s outermost `properties:` blocks, read by indentation: the file
// is machine-written YAML.
std::set<std::string> PropertiesOf(const std::string& path, const std::string& schema) {
  std::set<std::string> names;
  std::ifstream file(path);
  bool is_inside = false;
  size_t properties_indent = 0;
  size_t outermost = std::string::npos;
  for (std::string line; std::getline(file, line);) {
    if (Indent(line) == std::string::npos) continue;
    if (Indent(line) <= 4) is_inside = line == "    " + schema + ":";
    if (!is_inside) continue;
    const std::string text = line.substr(Indent(line));
    if (text == "properties:" && Indent(line) <= outermost) {
      properties_indent = outermost = Indent(line);
      continue;
    }
    if (properties_indent == 0) continue;
    if (Indent(line) <= properties_indent) properties_indent = 0;
    if (properties_indent != 0 && Indent(line) == properties_indent + 2 && text.back() == ':') {
      names.insert(text.substr(0, text.size() - 1));
    }
  }
  return names;
}

bool IsInTable(const std::string& name, OpenAiRoute route) {
  const auto fields = OpenAiFields();
  return std::any_of(fields.begin(), fields.end(), [&](const OpenAiField& field) {
    return field.name == name &&
           (route == OpenAiRoute::kChat ? field.in_chat : field.in_completion);
  });
}

TEST(OpenAiFieldsTest, EveryPropertyOfTheOpenApiFileIsInTheTable) {
  const auto data = PublishedData();
  if (!data) GTEST_SKIP() << "RUNAHEAD_TEST_DATA is not set";
  const std::string path = *data / "openai/openapi.yaml";
  size_t num_chat = 0;
  for (const char* schema : {"CreateChatCompletionRequest", "CreateModelResponseProperties",
                             "ModelResponseProperties"}) {
    const std::set<std::string> names = PropertiesOf(path, schema);
    num_chat += names.size();
    for (const std::string& name : names) {
      EXPECT_TRUE(IsInTable(name, OpenAiRoute::kChat)) << schema << "." << name;
    }
  }
  EXPECT_GE(num_chat, 35u) << "the file was not understood";
  const std::set<std::string> names = PropertiesOf(path, "CreateCompletionRequest");
  EXPECT_GE(names.size(), 18u) << "the file was not understood";
  for (const std::string& name : names) {
    EXPECT_TRUE(IsInTable(name, OpenAiRoute::kCompletion)) << name;
  }
}

TEST(OpenAiFieldsTest, NoFieldIsListedTwiceForARoute) {
  std::set<std::string_view> chat;
  std::set<std::string_view> completion;
  for (const OpenAiField& field : OpenAiFields()) {
    EXPECT_TRUE(!field.in_chat || chat.insert(field.name).second) << field.name;
    EXPECT_TRUE(!field.in_completion || completion.insert(field.name).second) << field.name;
  }
}

TEST(OpenAiFieldsTest, EveryRefusedFieldIsRefusedByNameAndItsHarmlessValuesAreNot) {
  for (const OpenAiField& field : OpenAiFields()) {
    if (field.use != FieldUse::kRefused) continue;
    const OpenAiRoute route = field.in_chat ? OpenAiRoute::kChat : OpenAiRoute::kCompletion;
    Json body = Json::object();
    const std::string name(field.name);
    body[name] = "certainly not supported";
    const Status status = CheckUnsupported(body, route);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << name;
    EXPECT_EQ(status.param(), name);
    EXPECT_EQ(status.reason(), "unsupported_parameter");
    body[name] = nullptr;
    EXPECT_TRUE(CheckUnsupported(body, route).ok()) << name;
    for (const Json& harmless : Json::parse(field.harmless)) {
      body[name] = harmless;
      EXPECT_TRUE(CheckUnsupported(body, route).ok()) << name << " = " << harmless;
    }
  }
}

TEST(OpenAiFieldsTest, UnknownFieldsAreIgnored) {
  EXPECT_TRUE(CheckUnsupported(Json::parse(R"({"of_next_year": 1})"), OpenAiRoute::kChat).ok());
}

}  // namespace
}  // namespace runahead

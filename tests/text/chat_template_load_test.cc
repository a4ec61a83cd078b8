// Finding a checkpoint's template and its variables.
#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"
#include <unistd.h>

#include "tests/source_dir.h"
#include "text/chat_template.h"

namespace runahead {
namespace {

using Json = nlohmann::ordered_json;

class ChatTemplateLoad : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    directory_ = std::filesystem::temp_directory_path() /
                 ("runahead_chat_template_" + std::to_string(getpid()) + "_" + info->name());
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void Write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name, std::ios::binary) << text;
  }
  Result<ChatTemplate> Load() { return ChatTemplate::Load(directory_.string()); }

  std::string Render(const ChatTemplate::Options& options = {}) {
    const auto loaded = Load();
    if (!loaded.ok()) return "load: " + loaded.status().message();
    const auto text = loaded->Render(Json::array({{{"role", "user"}, {"content", "hi"}}}), options);
    return text.ok() ? *text : "render: " + text.status().message();
  }

  std::filesystem::path directory_;
};

TEST_F(ChatTemplateLoad, NothingThereIsNotFound) {
  EXPECT_EQ(Load().status().code(), StatusCode::kNotFound);
  Write("tokenizer_config.json", R"({"bos_token": "<s>"})");
  EXPECT_EQ(Load().status().code(), StatusCode::kNotFound);
}

TEST_F(ChatTemplateLoad, ReadsTheConfigurationAndItsTokens) {
  Write(
      "tokenizer_config.json",
      R"({"chat_template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ pad_token is defined }}",
            "bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false}, "pad_token": null})");
  EXPECT_EQ(Render(), "<s>hi</s>False");
}

TEST_F(ChatTemplateLoad, TheTemplateFileWins) {
  Write("tokenizer_config.json", R"({"chat_template": "config", "bos_token": "<s>"})");
  Write("chat_template.jinja", "file {{ bos_token }}");
  EXPECT_EQ(Render(), "file <s>");
}

TEST_F(ChatTemplateLoad, TakesTheDefaultOfAListAndToolUseForTools) {
  Write(
      "tokenizer_config.json",
      R"({"chat_template": [{"name": "rag", "template": "rag"}, {"name": "default", "template": "plain"},
                              {"name": "tool_use", "template": "tools {{ tools|length }}"}]})");
  EXPECT_EQ(Render(), "plain");
  ChatTemplate::Options options;
  options.tools = Json::array({Json::object()});
  EXPECT_EQ(Render(options), "tools 1");
}

TEST_F(ChatTemplateLoad, MalformedFilesAreErrorsThatSayWhere) {
  Write("tokenizer_config.json", "{");
  EXPECT_EQ(Load().status().code(), StatusCode::kInvalidArgument);
  Write("tokenizer_config.json", "[]");
  EXPECT_EQ(Load().status().code(), StatusCode::kInvalidArgument);
  Write("tokenizer_config.json", "{}");
  Write("chat_template.jinja", "a\n{% if %}");
  EXPECT_NE(Load().status().message().find("line 2"), std::string::npos)
      << Load().status().message();
}

TEST_F(ChatTemplateLoad, OptionsReachTheTemplate) {
  Write("chat_template.jinja",
        "{{ add_generation_prompt }} {{ tools is none }} {{ documents|length }} {{ extra }} "
        "{{ strftime_now('%Y') }}");
  ChatTemplate::Options options;
  options.add_generation_prompt = false;
  options.documents = Json::array({1, 2});
  options.extra = {{"extra", "more"}};
  options.now_unix_seconds = 1732147200;
  EXPECT_EQ(Render(options), "False True 2 more 2024");
  options.extra = {{"extra", 1}, {"add_generation_prompt", true}};
  EXPECT_EQ(Render(options), "True True 2 1 2024");
}

TEST_F(ChatTemplateLoad, WhatTheTemplateRaisesIsTheClientsError) {
  Write("chat_template.jinja", "{{ raise_exception('roles must alternate') }}");
  const auto text = Load()->Render(Json::array(), {});
  EXPECT_EQ(text.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(text.status().message(), "roles must alternate");
}

TEST(ChatTemplateOfTheDemoModel, Renders) {
  const auto loaded = ChatTemplate::Load(SourceDir() + "/models/demo/target");
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  const Json messages = Json::array({{{"role", "user"}, {"content", "Count to three."}}});
  const auto open = loaded->Render(messages, {});
  ASSERT_TRUE(open.ok()) << open.status().message();
  EXPECT_NE(open->find("Count to three."), std::string::npos);
  ChatTemplate::Options closed;
  closed.add_generation_prompt = false;
  EXPECT_LT(loaded->Render(messages, closed)->size(), open->size());
}

}  // namespace
}  // namespace runahead

#include "server/openai_parse.h"

#include <string>

#include "gtest/gtest.h"

namespace runahead {
namespace {

Json Chat(std::string_view extra) {
  Json body = Json::parse(R"({"model": "m", "messages": [{"role": "user", "content": "hi"}]})");
  body.update(Json::parse(extra));
  return body;
}

Json Completion(std::string_view extra) {
  Json body = Json::parse(R"({"model": "m", "prompt": "hi"})");
  body.update(Json::parse(extra));
  return body;
}

OpenAiRequest Parsed(const Json& body, OpenAiRoute route) {
  Result<OpenAiRequest> parsed = ParseOpenAiRequest(body, route, SamplingDefaults{});
  EXPECT_TRUE(parsed.ok()) << body << ": " << parsed.status().message();
  return parsed.ok() ? std::move(*parsed) : OpenAiRequest{};
}

OpenAiRequest ParsedChat(std::string_view extra) { return Parsed(Chat(extra), OpenAiRoute::kChat); }
OpenAiRequest ParsedCompletion(std::string_view extra) {
  return Parsed(Completion(extra), OpenAiRoute::kCompletion);
}

// The field that the refusal names.
std::string Refused(const Json& body, OpenAiRoute route) {
  const Result<OpenAiRequest> parsed = ParseOpenAiRequest(body, route, SamplingDefaults{});
  EXPECT_FALSE(parsed.ok()) << body;
  EXPECT_EQ(parsed.status().code(), StatusCode::kInvalidArgument) << body;
  return parsed.status().param();
}

TEST(OpenAiParseTest, DefaultsAreTheModelsAndThenOpenAis) {
  const SamplingDefaults defaults = {
      .temperature = 0.6f, .top_p = 0.9f, .top_k = 20, .repetition_penalty = 1.1f};
  const auto parsed = ParseOpenAiRequest(Chat("{}"), OpenAiRoute::kChat, defaults);
  ASSERT_TRUE(parsed.ok());
  const GenerationRequest& base = parsed->base;
  EXPECT_FLOAT_EQ(base.sampling.temperature, 0.6f);
  EXPECT_FLOAT_EQ(base.sampling.top_p, 0.9f);
  EXPECT_EQ(base.sampling.top_k, 20);
  EXPECT_FLOAT_EQ(base.sampling.repetition_penalty, 1.1f);
  EXPECT_EQ(base.max_tokens, std::nullopt);
  EXPECT_EQ(base.num_choices, 1);
  EXPECT_EQ(base.sampling.num_logprobs, -1);
  EXPECT_TRUE(base.skip_special_tokens);
  EXPECT_FALSE(parsed->stream);
  EXPECT_EQ(ParsedCompletion("{}").base.max_tokens, 16);
}

TEST(OpenAiParseTest, SpeculationSaysWhatItNames) {
  const SpeculationRequest silent = ParsedChat("{}").base.speculation;
  EXPECT_FALSE(silent.mode || silent.max_tokens || silent.include_usage || silent.include_drafter);
  const SpeculationRequest all =
      ParsedCompletion(
          R"({"speculation": {"mode": "fixed", "max_tokens": 4, "include_usage": true,
          "include_drafter": true, "of_next_year": 1}})")
          .base.speculation;
  EXPECT_EQ(all.mode, SpeculationMode::kFixed);
  EXPECT_EQ(all.max_tokens, 4);
  EXPECT_TRUE(all.include_usage && all.include_drafter);
  const auto mode = [](const char* name) {
    return ParsedChat(R"({"speculation": {"mode": )" + std::string(name) + "}}")
        .base.speculation.mode;
  };
  EXPECT_EQ(mode("\"auto\""), SpeculationMode::kAuto);
  EXPECT_EQ(mode("\"off\""), SpeculationMode::kOff);
  EXPECT_EQ(mode("null"), std::nullopt);
}

TEST(OpenAiParseTest, SpeculationOutOfRangeIsNamed) {
  const auto refused = [](std::string_view speculation) {
    return Refused(Chat(R"({"speculation": )" + std::string(speculation) + "}"),
                   OpenAiRoute::kChat);
  };
  EXPECT_EQ(refused("4"), "speculation");
  EXPECT_EQ(refused(R"({"mode": "fast"})"), "speculation.mode");
  EXPECT_EQ(refused(R"({"mode": 1})"), "speculation.mode");
  EXPECT_EQ(refused(R"({"max_tokens": 17})"), "speculation.max_tokens");
  EXPECT_EQ(refused(R"({"max_tokens": -1})"), "speculation.max_tokens");
  EXPECT_EQ(refused(R"({"include_usage": 1})"), "speculation.include_usage");
  EXPECT_EQ(refused(R"({"include_drafter": "yes"})"), "speculation.include_drafter");
}

TEST(OpenAiParseTest, PredictionIsTextOrPartsOfOneText) {
  EXPECT_EQ(ParsedChat("{}").prediction, std::nullopt);
  EXPECT_EQ(ParsedChat(R"({"prediction": {"type": "content", "content": "abc"}})").prediction,
            "abc");
  EXPECT_EQ(ParsedChat(R"({"prediction": {"type": "content", "content": [
                {"type": "text", "text": "a\n"}, {"type": "text", "text": "b"}]}})")
                .prediction,
            "a\nb");
  const auto refused = [](std::string_view prediction) {
    return Refused(Chat(R"({"prediction": )" + std::string(prediction) + "}"), OpenAiRoute::kChat);
  };
  EXPECT_EQ(refused(R"("abc")"), "prediction");
  EXPECT_EQ(refused(R"({"content": "abc"})"), "prediction.type");
  EXPECT_EQ(refused(R"({"type": "static", "content": "abc"})"), "prediction.type");
  EXPECT_EQ(refused(R"({"type": "content"})"), "prediction.content");
  EXPECT_EQ(refused(R"({"type": "content", "content": 5})"), "prediction.content");
  EXPECT_EQ(refused(R"({"type": "content", "content": []})"), "prediction.content");
  EXPECT_EQ(refused(R"({"type": "content", "content": [{"type": "text", "text": "a"}, 5]})"),
            "prediction.content[1]");
  EXPECT_EQ(refused(R"({"type": "content", "content": [{"type": "image_url", "text": "a"}]})"),
            "prediction.content[0]");
}

TEST(OpenAiParseTest, ReadsEveryHandledField) {
  const OpenAiRequest parsed = ParsedChat(
      R"({"temperature": 0.5, "top_p": 0.8, "top_k": 5, "min_p": 0.1, "n": 3, "seed": -1,
          "repetition_penalty": 1.2, "presence_penalty": -2, "frequency_penalty": 2,
          "logit_bias": {"7": -100, "3": 5}, "allowed_token_ids": [9, 4, 9],
          "banned_token_ids": [1], "max_tokens": 5, "max_completion_tokens": 6, "min_tokens": 2,
          "stop": ["a", "", "b"], "stop_token_ids": [11], "include_stop_str_in_output": true,
          "ignore_eos": true, "skip_special_tokens": false, "logprobs": true, "top_logprobs": 4,
          "stream": true, "stream_options": {"include_usage": true}, "priority": -3,
          "request_id": "mine", "cache_salt": "s", "timeout": 2.5})");
  const SamplingParams& sampling = parsed.base.sampling;
  EXPECT_FLOAT_EQ(sampling.temperature, 0.5f);
  EXPECT_EQ(sampling.top_k, 5);
  EXPECT_FLOAT_EQ(sampling.min_p, 0.1f);
  EXPECT_EQ(parsed.base.seed, ~uint64_t{0});
  EXPECT_EQ(sampling.logit_bias, (std::vector<std::pair<int32_t, float>>{{3, 5.f}, {7, -100.f}}));
  EXPECT_EQ(sampling.allowed_token_ids, (std::vector<int32_t>{4, 9}));
  EXPECT_EQ(sampling.banned_token_ids, (std::vector<int32_t>{1}));
  EXPECT_EQ(parsed.base.max_tokens, 6) << "the newer name wins";
  EXPECT_EQ(parsed.base.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(parsed.base.include_stop_in_output);
  EXPECT_TRUE(parsed.base.ignore_eos);
  EXPECT_FALSE(parsed.base.skip_special_tokens);
  EXPECT_EQ(sampling.num_logprobs, 4);
  EXPECT_TRUE(parsed.stream && parsed.include_usage && parsed.wants_logprobs);
  EXPECT_EQ(parsed.base.priority, -3);
  EXPECT_EQ(parsed.request_id, "mine");
  EXPECT_EQ(parsed.base.cache_salt, "s");
  EXPECT_EQ(parsed.timeout_seconds, 2.5);
}

TEST(OpenAiParseTest, ExplicitNullIsAbsentEverywhere) {
  for (const OpenAiField& field : OpenAiFields()) {
    const std::string name(field.name);
    if (name == "model" || name == "messages" || name == "prompt") continue;
    if (field.in_chat) ParsedChat("{\"" + name + "\": null}");
    if (field.in_completion) ParsedCompletion("{\"" + name + "\": null}");
  }
}

TEST(OpenAiParseTest, WrongTypesAndRangesNameTheField) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"temperature": 2.1})", "temperature"},
      {R"({"temperature": "hot"})", "temperature"},
      {R"({"temperature": -1})", "temperature"},
      {R"({"temperature": 1e300})", "temperature"},
      {R"({"top_p": 1.5})", "top_p"},
      {R"({"top_k": 1.5})", "top_k"},
      {R"({"top_k": 99999999999})", "top_k"},
      {R"({"min_p": -0.1})", "min_p"},
      {R"({"repetition_penalty": 0})", "repetition_penalty"},
      {R"({"presence_penalty": 3})", "presence_penalty"},
      {R"({"frequency_penalty": []})", "frequency_penalty"},
      {R"({"n": 0})", "n"},
      {R"({"n": 129})", "n"},
      {R"({"max_tokens": 0})", "max_tokens"},
      {R"({"max_tokens": 1e18})", "max_tokens"},
      {R"({"max_completion_tokens": -5})", "max_completion_tokens"},
      {R"({"min_tokens": 9, "max_tokens": 3})", "min_tokens"},
      {R"({"seed": 1.5})", "seed"},
      {R"({"seed": "x"})", "seed"},
      {R"({"logit_bias": {"x": 1}})", "logit_bias"},
      {R"({"logit_bias": {"1": 101}})", "logit_bias"},
      {R"({"logit_bias": {"1": "2"}})", "logit_bias"},
      {R"({"logit_bias": []})", "logit_bias"},
      {R"({"allowed_token_ids": []})", "allowed_token_ids"},
      {R"({"stop": 5})", "stop"},
      {R"({"stop": [5]})", "stop"},
      {R"({"stop_token_ids": "x"})", "stop_token_ids"},
      {R"({"stream": "yes"})", "stream"},
      {R"({"stream_options": {}})", "stream_options"},
      {R"({"stream": true, "stream_options": {"include_usage": 1}})", "stream_options"},
      {R"({"logprobs": 3})", "logprobs"},
      {R"({"top_logprobs": 3})", "top_logprobs"},
      {R"({"logprobs": true, "top_logprobs": 21})", "top_logprobs"},
      {R"({"prompt_logprobs": -1})", "prompt_logprobs"},
      {R"({"stream": true, "prompt_logprobs": 1})", "prompt_logprobs"},
      {R"({"priority": 1e10})", "priority"},
      {R"({"timeout": -1})", "timeout"},
      {R"({"chat_template_kwargs": 1})", "chat_template_kwargs"},
      {R"({"documents": 1})", "documents"},
      {R"({"model": 5})", "model"},
      {R"({"tools": [{"type": "function"}]})", "tools"},
      {R"({"response_format": {"type": "json_object"}})", "response_format"},
  };
  for (const auto& [extra, field] : cases) {
    EXPECT_EQ(Refused(Chat(extra), OpenAiRoute::kChat), field) << extra;
  }
}

TEST(OpenAiParseTest, TenThousandStopStringsAreRefused) {
  Json body = Chat("{}");
  for (int i = 0; i < 10'000; ++i) body["stop"].push_back("s" + std::to_string(i));
  EXPECT_EQ(Refused(body, OpenAiRoute::kChat), "stop");
  body["stop"] = std::string(100'000, 'x');
  EXPECT_EQ(Refused(body, OpenAiRoute::kChat), "stop");
}

TEST(OpenAiParseTest, ModelIsRequired) {
  EXPECT_EQ(Refused(Json::parse(R"({"prompt": "x"})"), OpenAiRoute::kCompletion), "model");
  EXPECT_FALSE(ParseModelName(Json::parse("[1]")).ok());
  EXPECT_FALSE(ParseModelName(Json::parse("3")).ok());
}

TEST(OpenAiParseTest, CompletionPromptsComeInFourForms) {
  const auto num_prompts = [](std::string_view prompt) {
    return ParsedCompletion("{\"prompt\": " + std::string(prompt) + "}").prompts.size();
  };
  EXPECT_EQ(num_prompts(R"("text")"), 1u);
  EXPECT_EQ(num_prompts(R"(["a", "b"])"), 2u);
  EXPECT_EQ(num_prompts("[1, 2, 3]"), 1u);
  EXPECT_EQ(num_prompts("[[1, 2], [3]]"), 2u);
  for (const char* prompt : {"{}", "[]", "5", "[1, \"a\"]", "[\"a\", 1]", "[[1], \"a\"]", "[[-1]]",
                             "[[1.5]]", "[null]", "[1e300]"}) {
    EXPECT_EQ(
        Refused(Completion("{\"prompt\": " + std::string(prompt) + "}"), OpenAiRoute::kCompletion),
        "prompt")
        << prompt;
  }
}

TEST(OpenAiParseTest, ChoicesOverAllPromptsAreBounded) {
  Json body = Completion(R"({"n": 100})");
  body["prompt"] = Json::array({"a", "b"});
  EXPECT_EQ(Refused(body, OpenAiRoute::kCompletion), "prompt");
}

TEST(OpenAiParseTest, EchoedPromptsHaveTheLogprobsOfGeneratedTokens) {
  const OpenAiRequest parsed = ParsedCompletion(R"({"echo": true, "logprobs": 2})");
  EXPECT_TRUE(parsed.base.echo);
  EXPECT_EQ(parsed.base.sampling.num_logprobs, 2);
  EXPECT_EQ(parsed.base.sampling.num_prompt_logprobs, 2);
  EXPECT_FALSE(parsed.wants_prompt_logprobs);
}

TEST(OpenAiParseTest, TemplateArgumentsOfTheCallerWin) {
  const OpenAiRequest parsed = ParsedChat(
      R"({"reasoning_effort": "low", "chat_template_kwargs": {"reasoning_effort": "high", "x": 1}})");
  const auto& kwargs = std::get<ChatPrompt>(parsed.prompts[0]).template_kwargs;
  EXPECT_EQ(kwargs["reasoning_effort"], "high");
  EXPECT_EQ(kwargs["x"], 1);
}

}  // namespace
}  // namespace runahead

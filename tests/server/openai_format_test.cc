#include "server/openai_format.h"

#include <limits>

#include "gtest/gtest.h"

#include "tests/server/tiny_model.h"

namespace runahead {
namespace {

AnswerHead Head(OpenAiRoute route) {
  return {.route = route,
          .id = "id-1",
          .created_unix_seconds = 7,
          .model = "m",
          .system_fingerprint = "fp"};
}

TokenDetail Token(char c, float logprob) {
  TokenDetail token;
  token.id = c;
  token.bytes = std::string(1, c);
  token.logprobs = PositionLogprobs{.chosen = {c, logprob, 1}, .top = {{'z', -0.25f, 1}}};
  return token;
}

class OpenAiFormatTest : public ::testing::Test {
 protected:
  std::unique_ptr<Tokenizer> tokenizer_ = MakeByteTokenizer();
};

TEST_F(OpenAiFormatTest, ChatAnswer) {
  ChoiceAnswer answer;
  answer.text = "hi";
  EXPECT_EQ(
      Dump(FormatAnswer(Head(OpenAiRoute::kChat), {answer}, {3, 2, 1}, *tokenizer_)),
      R"({"id":"id-1","object":"chat.completion","created":7,"model":"m","system_fingerprint":"fp",)"
      R"("choices":[{"index":0,"message":{"role":"assistant","content":"hi","refusal":null},)"
      R"("logprobs":null,"finish_reason":"stop","stop_reason":null}],"usage":{"prompt_tokens":3,)"
      R"("completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":1,)"
      R"("audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,)"
      R"("accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}})");
}

TEST_F(OpenAiFormatTest, CompletionAnswerWithLogprobs) {
  AnswerHead head = Head(OpenAiRoute::kCompletion);
  head.wants_logprobs = true;
  ChoiceAnswer answer;
  answer.text = "ab";
  answer.tokens = {Token('a', -0.5), Token('b', -0.75)};
  answer.tokens[0].logprobs.reset();
  answer.tokens[1].text_offset = 1;
  answer.finish = FinishReason::kLength;
  const Json json = FormatAnswer(head, {answer}, {}, *tokenizer_);
  EXPECT_EQ(json["object"], "text_completion");
  EXPECT_EQ(Dump(json["choices"]),
            R"([{"index":0,"text":"ab","logprobs":{"tokens":["a","b"],"token_logprobs":)"
            R"([null,-0.75],"top_logprobs":[null,{"z":-0.25,"b":-0.75}],"text_offset":[0,1]},)"
            R"("finish_reason":"length","stop_reason":null}])");
}

TEST_F(OpenAiFormatTest, ChatLogprobs) {
  AnswerHead head = Head(OpenAiRoute::kChat);
  head.wants_logprobs = true;
  ChoiceAnswer answer;
  answer.tokens = {Token('a', -0.5)};
  answer.tokens[0].logprobs->top[0].logprob = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(Dump(FormatAnswer(head, {answer}, {}, *tokenizer_)["choices"][0]["logprobs"]),
            R"({"content":[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":)"
            R"([{"token":"z","logprob":-9999.0,"bytes":[122]}]}],"refusal":null})");
}

TEST_F(OpenAiFormatTest, HalfACharacterIsValidJson) {
  AnswerHead head = Head(OpenAiRoute::kChat);
  head.wants_logprobs = true;
  ChoiceAnswer answer;
  answer.tokens = {Token('\xe2', -0.5)};
  answer.tokens[0].id = 0xe2;
  answer.tokens[0].logprobs->chosen.token = 0xe2;
  const Json json = Json::parse(Dump(FormatAnswer(head, {answer}, {}, *tokenizer_)));
  const Json& entry = json["choices"][0]["logprobs"]["content"][0];
  EXPECT_EQ(entry["token"], "\xef\xbf\xbd");
  EXPECT_EQ(entry["bytes"], Json::array({0xe2}));
}

TEST_F(OpenAiFormatTest, ChunksOfAChat) {
  AnswerHead head = Head(OpenAiRoute::kChat);
  const std::string prefix =
      R"({"id":"id-1","object":"chat.completion.chunk","created":7,"model":"m",)"
      R"("system_fingerprint":"fp","choices":)";
  EXPECT_EQ(Dump(FormatRoleChunk(head, 1)),
            prefix + R"([{"index":1,"delta":{"role":"assistant","content":"","refusal":null},)"
                     R"("logprobs":null,"finish_reason":null}]})");
  Delta delta;
  delta.choice = 1;
  delta.text = "x\n";
  delta.finish = FinishReason::kStop;
  delta.stop_reason = "END";
  const std::vector<Json> chunks = FormatDelta(head, delta, {}, tokenizer_.get());
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(Dump(chunks[0]), prefix + R"([{"index":1,"delta":{"content":"x\n"},"logprobs":null,)"
                                      R"("finish_reason":null}]})");
  EXPECT_EQ(Dump(chunks[1]), prefix +
                                 R"([{"index":1,"delta":{},"logprobs":null,"finish_reason":"stop",)"
                                 R"("stop_reason":"END"}]})");
}

TEST_F(OpenAiFormatTest, UsageIsNullUntilTheLastChunk) {
  AnswerHead head = Head(OpenAiRoute::kCompletion);
  head.include_usage = true;
  Delta delta;
  delta.text = "x";
  const std::vector<Json> chunks = FormatDelta(head, delta, {1, 1, 0}, tokenizer_.get());
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_TRUE(chunks[0]["usage"].is_null());
  EXPECT_EQ(chunks[0]["choices"][0]["text"], "x");
  const Json last = FormatUsageChunk(head, {1, 2, 0});
  EXPECT_TRUE(last["choices"].empty());
  EXPECT_EQ(last["usage"]["total_tokens"], 3);
}

TEST_F(OpenAiFormatTest, UsageShowsPredictionsAlwaysAndDraftsWhereAsked) {
  Usage usage = {3, 9, 0};
  usage.drafts.target_steps = 5;
  usage.drafts.by_drafter[static_cast<size_t>(DrafterKind::kModel)] = {4, 2};
  usage.drafts.by_drafter[static_cast<size_t>(DrafterKind::kPrediction)] = {6, 5};
  Json json = FormatUsage(usage);
  EXPECT_EQ(json["completion_tokens"], 9);
  EXPECT_EQ(json["completion_tokens_details"]["accepted_prediction_tokens"], 5);
  EXPECT_EQ(json["completion_tokens_details"]["rejected_prediction_tokens"], 1);
  EXPECT_FALSE(json.contains("speculation"));
  usage.includes_drafts = true;
  EXPECT_EQ(Dump(FormatUsage(usage)["speculation"]),
            R"({"target_steps":5,"drafted_tokens":10,"accepted_tokens":7,"drafters":{"model":)"
            R"({"drafted_tokens":4,"accepted_tokens":2},"prediction":{"drafted_tokens":6,)"
            R"("accepted_tokens":5}}})");
}

// A prompt's echoed token was generated by nobody.
TEST_F(OpenAiFormatTest, DraftersOfTokensStandBesideThem) {
  ChoiceAnswer answer;
  answer.text = "xab";
  answer.tokens = {Token('x', -1), Token('a', -1), Token('b', -1)};
  const AnswerHead head = Head(OpenAiRoute::kChat);
  EXPECT_FALSE(FormatAnswer(head, {answer}, {}, *tokenizer_)["choices"][0].contains("drafted_by"));
  answer.tokens[1].drafted_by = DrafterKind::kNone;
  answer.tokens[2].drafted_by = DrafterKind::kNgram;
  EXPECT_EQ(Dump(FormatAnswer(head, {answer}, {}, *tokenizer_)["choices"][0]["drafted_by"]),
            R"([null,"ngram"])");
  Delta delta;
  delta.tokens = {answer.tokens[2]};
  const std::vector<Json> chunks = FormatDelta(head, delta, {}, nullptr);
  ASSERT_EQ(chunks.size(), 1u) << "a token without text is a token";
  EXPECT_EQ(Dump(chunks[0]["choices"][0]["drafted_by"]), R"(["ngram"])");
}

TEST_F(OpenAiFormatTest, PromptLogprobsAreKeyedById) {
  const Json json = FormatPromptLogprobs({*Token('a', -0.5).logprobs}, *tokenizer_);
  EXPECT_EQ(Dump(json), R"([null,{"97":{"logprob":-0.5,"rank":1,"decoded_token":"a"},)"
                        R"("122":{"logprob":-0.25,"rank":1,"decoded_token":"z"}}])");
}

}  // namespace
}  // namespace runahead

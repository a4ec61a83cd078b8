#include "server/openai_reply.h"

#include <string>

#include "gtest/gtest.h"

#include "tests/server/tiny_model.h"

namespace runahead {
namespace {

// A generation whose deltas the test hands over.
class ScriptedGeneration final : public Generation {
 public:
  std::vector<Delta> waiting;
  bool done = false;
  std::function<void()> ready;
  Usage used = {2, 3, 1};

  std::vector<Delta> Take() override { return std::exchange(waiting, {}); }
  void Arm(std::function<void()> callback) override { ready = std::move(callback); }
  bool finished() const override { return done && waiting.empty(); }
  Usage usage() const override { return used; }
  const std::vector<int32_t>& prompt_ids() const override { return ids_; }
  const std::vector<PositionLogprobs>& prompt_logprobs() const override { return logprobs_; }

 private:
  std::vector<int32_t> ids_;
  std::vector<PositionLogprobs> logprobs_;
};

Delta Say(int choice, std::string text, FinishReason finish = FinishReason::kNone) {
  Delta delta;
  delta.choice = choice;
  delta.text = std::move(text);
  delta.finish = finish;
  return delta;
}

class OpenAiReplyTest : public ::testing::Test {
 protected:
  OpenAiReplyTest() { model_.tokenizer = MakeByteTokenizer(); }

  void Make(OpenAiReply::Options options, int num_prompts = 1) {
    for (int i = 0; i < num_prompts; ++i) {
      scripted_.push_back(std::make_shared<ScriptedGeneration>());
    }
    options.head.id = "x";
    reply_ = std::make_unique<OpenAiReply>(
        model_, options,
        std::vector<std::shared_ptr<Generation>>(scripted_.begin(), scripted_.end()));
  }
  static size_t Count(const std::string& text, const std::string& what) {
    size_t count = 0;
    for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
      ++count;
    return count;
  }

  ServedModel model_;
  std::vector<std::shared_ptr<ScriptedGeneration>> scripted_;
  std::unique_ptr<OpenAiReply> reply_;
};

TEST_F(OpenAiReplyTest, AWholeAnswerComesAtTheEnd) {
  Make({});
  scripted_[0]->waiting = {Say(0, "a")};
  ReplyStep step = reply_->Poll();
  EXPECT_FALSE(step.head || step.finished);
  scripted_[0]->waiting = {Say(0, "b", FinishReason::kLength)};
  scripted_[0]->done = true;
  step = reply_->Poll();
  ASSERT_TRUE(step.head && step.finished);
  EXPECT_FALSE(step.is_stream);
  const Json body = Json::parse(step.head->body);
  EXPECT_EQ(body["choices"][0]["message"]["content"], "ab");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(body["usage"]["prompt_tokens_details"]["cached_tokens"], 1);
}

TEST_F(OpenAiReplyTest, ChoicesOfSeveralPromptsAreNumberedThrough) {
  OpenAiReply::Options options;
  options.head.route = OpenAiRoute::kCompletion;
  options.num_choices = 2;
  Make(options, 2);
  for (int prompt = 0; prompt < 2; ++prompt) {
    scripted_[prompt]->waiting = {Say(0, std::to_string(prompt) + "a", FinishReason::kStop),
                                  Say(1, std::to_string(prompt) + "b", FinishReason::kStop)};
    scripted_[prompt]->done = true;
  }
  const Json body = Json::parse(reply_->Poll().head->body);
  ASSERT_EQ(body["choices"].size(), 4u);
  EXPECT_EQ(body["choices"][2]["index"], 2);
  EXPECT_EQ(body["choices"][2]["text"], "1a");
  EXPECT_EQ(body["usage"]["prompt_tokens"], 4);
}

TEST_F(OpenAiReplyTest, AStreamStartsWithTheRoleAndEndsWithUsageAndDone) {
  OpenAiReply::Options options;
  options.stream = true;
  options.head.include_usage = true;
  Make(options);
  EXPECT_FALSE(reply_->Poll().head) << "no status before there is something to say";
  scripted_[0]->waiting = {Say(0, "hi")};
  ReplyStep step = reply_->Poll();
  ASSERT_TRUE(step.head && step.is_stream);
  EXPECT_EQ(step.head->content_type, "text/event-stream; charset=utf-8");
  EXPECT_EQ(Count(step.bytes, "data: {"), 2u);
  EXPECT_LT(step.bytes.find("\"role\":\"assistant\""), step.bytes.find("\"content\":\"hi\""));
  scripted_[0]->waiting = {Say(0, "", FinishReason::kStop)};
  scripted_[0]->done = true;
  step = reply_->Poll();
  EXPECT_TRUE(step.finished && !step.is_cut && !step.head);
  EXPECT_EQ(Count(step.bytes, "\n\n"), 3u);
  EXPECT_LT(step.bytes.find("\"finish_reason\":\"stop\""), step.bytes.find("\"choices\":[]"));
  EXPECT_TRUE(step.bytes.ends_with("data: [DONE]\n\n"));
}

TEST_F(OpenAiReplyTest, AnErrorBeforeTheFirstTextHasAStatusOfItsOwn) {
  OpenAiReply::Options options;
  options.stream = true;
  Make(options);
  scripted_[0]->waiting = {Say(0, "", FinishReason::kExpired)};
  scripted_[0]->done = true;
  const ReplyStep step = reply_->Poll();
  ASSERT_TRUE(step.head && step.finished);
  EXPECT_EQ(step.head->status, 504);
  EXPECT_EQ(Json::parse(step.head->body)["error"]["code"], "deadline_exceeded");
}

TEST_F(OpenAiReplyTest, AnErrorInAStreamIsAnEventAndTheEnd) {
  OpenAiReply::Options options;
  options.stream = true;
  Make(options);
  scripted_[0]->waiting = {Say(0, "a")};
  reply_->Poll();
  Delta failed = Say(0, "b", FinishReason::kFailed);
  failed.error = Status(StatusCode::kUnavailable, "gone");
  scripted_[0]->waiting = {failed};
  scripted_[0]->done = true;
  const ReplyStep step = reply_->Poll();
  EXPECT_TRUE(step.finished && step.is_cut);
  EXPECT_NE(step.bytes.find("\"content\":\"b\""), std::string::npos) << "what came before is kept";
  EXPECT_NE(step.bytes.find("data: {\"error\":{\"message\":\"gone\""), std::string::npos);
  EXPECT_EQ(step.bytes.find("[DONE]"), std::string::npos);
}

TEST_F(OpenAiReplyTest, ASignOfLifeIsACommentBehindTheHead) {
  OpenAiReply::Options options;
  options.stream = true;
  Make(options);
  ReplyStep step = reply_->KeepAlive();
  ASSERT_TRUE(step.head && step.is_stream && !step.finished);
  EXPECT_EQ(Count(step.bytes, "\"role\":\"assistant\""), 1u);
  EXPECT_TRUE(step.bytes.ends_with("\n\n: keep-alive\n\n")) << step.bytes;
  EXPECT_EQ(reply_->KeepAlive().bytes, ": keep-alive\n\n");
  scripted_[0]->waiting = {Say(0, "", FinishReason::kExpired)};
  scripted_[0]->done = true;
  step = reply_->Poll();
  EXPECT_FALSE(step.head) << "it went out long ago";
  EXPECT_EQ(Count(step.bytes, "deadline_exceeded"), 1u);
  EXPECT_TRUE(reply_->KeepAlive().bytes.empty()) << "nothing follows the end";
}

TEST_F(OpenAiReplyTest, AWholeAnswerHasNoSignOfLife) {
  Make({});
  const ReplyStep step = reply_->KeepAlive();
  EXPECT_TRUE(!step.head && step.bytes.empty());
}

TEST_F(OpenAiReplyTest, EveryUnfinishedGenerationWakes) {
  Make({}, 2);
  scripted_[0]->done = true;
  int num_calls = 0;
  reply_->Arm([&num_calls] { ++num_calls; });
  EXPECT_FALSE(scripted_[0]->ready);
  scripted_[1]->ready();
  EXPECT_EQ(num_calls, 1);
}

}  // namespace
}  // namespace runahead

#include "server/choice_text.h"

#include <string>

#include "gtest/gtest.h"

#include "tests/server/tiny_model.h"

namespace runahead {
namespace {

// Feeds a text byte by byte, each byte a token, as the engine's events would.
class ChoiceTextTest : public ::testing::Test {
 protected:
  void Make(std::vector<std::string> stop, bool include_stop = false, int min_tokens = 0) {
    options_ = {
        .stop = stop, .stop_ids = {'!'}, .min_tokens = min_tokens, .include_stop = include_stop};
    strings_ = std::make_unique<StopStrings>(options_.stop);
    choice_ = std::make_unique<ChoiceText>(*tokenizer_, *strings_, options_);
  }

  Delta Push(int32_t token, FinishReason finish = FinishReason::kNone) {
    TokenEvent event;
    event.token = token;
    event.finish = finish;
    if (finish == FinishReason::kStop) event.stop_token = token;
    event.logprobs = PositionLogprobs{.chosen = {token, -1, 1}, .top = {}};
    return choice_->OnEvent(event);
  }

  // Everything until the choice finished or the text ran out.
  Delta PushAll(std::string_view text) {
    Delta all;
    for (const char c : text) {
      if (choice_->finished()) break;
      const Delta delta = Push(static_cast<unsigned char>(c));
      all.text += delta.text;
      all.finish = delta.finish;
      all.stop_reason = delta.stop_reason;
      for (const TokenDetail& token : delta.tokens) all.tokens.push_back(token);
    }
    return all;
  }

  std::unique_ptr<Tokenizer> tokenizer_ = MakeByteTokenizer();
  ChoiceText::Options options_;
  std::unique_ptr<StopStrings> strings_;
  std::unique_ptr<ChoiceText> choice_;
};

TEST_F(ChoiceTextTest, TextOfATokenComesWithTheToken) {
  Make({});
  const Delta delta = Push('a');
  EXPECT_EQ(delta.text, "a");
  ASSERT_EQ(delta.tokens.size(), 1u);
  EXPECT_EQ(delta.tokens[0].bytes, "a");
  EXPECT_TRUE(delta.tokens[0].logprobs.has_value());
}

// tokens   a b | S T O | p   with stop "STO": "S", "ST" are held, and the match ends at token 5.
TEST_F(ChoiceTextTest, AStopStringEndsTheChoiceAtTheMatchingToken) {
  Make({"STO"});
  const Delta all = PushAll("abSTOp");
  EXPECT_EQ(all.text, "ab");
  EXPECT_EQ(all.finish, FinishReason::kStop);
  EXPECT_EQ(std::get<std::string>(*all.stop_reason), "STO");
  EXPECT_EQ(choice_->num_tokens(), 5);
  EXPECT_EQ(all.tokens.size(), 5u) << "the details end at the matching token";
  EXPECT_TRUE(choice_->matched_stop_string());
}

TEST_F(ChoiceTextTest, DetailsNeverRunAheadOfHeldText) {
  Make({"STO"});
  PushAll("ab");
  const Delta held = PushAll("ST");
  EXPECT_EQ(held.text, "");
  EXPECT_TRUE(held.tokens.empty());
  const Delta freed = PushAll("x");
  EXPECT_EQ(freed.text, "STx");
  EXPECT_EQ(freed.tokens.size(), 3u);
  EXPECT_EQ(freed.tokens[0].text_offset, 2);
  EXPECT_EQ(freed.tokens[2].text_offset, 4);
}

TEST_F(ChoiceTextTest, IncludedStopStringsStayInTheText) {
  Make({"b"}, true);
  EXPECT_EQ(PushAll("abc").text, "ab");
}

TEST_F(ChoiceTextTest, StopStringsAreNotLookedForInTheFirstTokens) {
  Make({"a"}, false, 2);
  EXPECT_EQ(PushAll("aaba").text, "aab");
  EXPECT_TRUE(choice_->finished());
}

TEST_F(ChoiceTextTest, AStopTokenIsNoTextButADetail) {
  Make({});
  PushAll("hi");
  const Delta last = Push(kTinyEos, FinishReason::kStop);
  EXPECT_EQ(last.text, "");
  EXPECT_EQ(last.finish, FinishReason::kStop);
  EXPECT_FALSE(last.stop_reason.has_value()) << "the end of text is nothing the client asked for";
  EXPECT_EQ(last.tokens.size(), 1u);
  EXPECT_FALSE(choice_->matched_stop_string());
}

TEST_F(ChoiceTextTest, AStopIdOfTheRequestIsItsReason) {
  Make({});
  EXPECT_EQ(std::get<int32_t>(*Push('!', FinishReason::kStop).stop_reason), '!');
}

// The euro sign is three bytes, so three tokens: no half character, and offsets count characters.
TEST_F(ChoiceTextTest, HalfCharactersAreHeldAndOffsetsCountCharacters) {
  Make({});
  EXPECT_EQ(Push(0xe2).text, "");
  EXPECT_EQ(Push(0x82).text, "");
  EXPECT_EQ(Push(0xac).text, "\xe2\x82\xac");
  EXPECT_EQ(Push('x').tokens[0].text_offset, 1);
}

TEST_F(ChoiceTextTest, HeldTextComesOutAtTheEnd) {
  Make({"STO"});
  PushAll("aST");
  const Delta last = Push('!', FinishReason::kLength);
  EXPECT_EQ(last.text, "ST!");
  EXPECT_EQ(last.finish, FinishReason::kLength);
}

TEST_F(ChoiceTextTest, AMatchOnTheLastTokenIsAStopAndNotALength) {
  Make({"STO"});
  PushAll("aST");
  const Delta last = Push('O', FinishReason::kLength);
  EXPECT_EQ(last.text, "");
  EXPECT_EQ(last.finish, FinishReason::kStop);
  EXPECT_TRUE(choice_->matched_stop_string()) << "the engine counted a length and must hear of it";
}

TEST_F(ChoiceTextTest, EchoHasTheLogprobsOfAllButTheFirstToken) {
  const std::vector<PositionLogprobs> logprobs(2);
  const Delta echo = EchoOf(*tokenizer_, TextPrompt{"abc"}, {'a', 'b', 'c'}, logprobs, true);
  EXPECT_EQ(echo.text, "abc");
  ASSERT_EQ(echo.tokens.size(), 3u);
  EXPECT_FALSE(echo.tokens[0].logprobs.has_value());
  EXPECT_TRUE(echo.tokens[2].logprobs.has_value());
  EXPECT_EQ(echo.tokens[2].text_offset, 2);
}

}  // namespace
}  // namespace runahead

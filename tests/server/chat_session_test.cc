#include <algorithm>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "core/log.h"
#include "server/chat_command.h"
#include "server/inspect_command.h"
#include "server/model_host.h"
#include "server/plan_command.h"
#include "tests/source_dir.h"

namespace runahead {
namespace {

using testing::HasSubstr;

const std::string kDraft = SourceDir() + "/models/demo/draft";

ModelSettings Demo() {
  ModelSettings settings;
  settings.directory = SourceDir() + "/models/demo/target";
  settings.kv_cache_bytes = 32 << 20;
  return settings;
}

class ChatSessionTest : public testing::Test {
 protected:
  ChatSessionTest() : host_(ModelHost::Load(Demo(), clock_, logger_, nullptr).value()) {}

  std::string Chat(const std::string& typed) {
    std::istringstream in(typed);
    std::ostringstream out;
    const Status status =
        RunChat(host_->served(),
                {.temperature = 0, .max_tokens = 12, .shows_counts = shows_counts_}, in, out);
    EXPECT_TRUE(status.ok()) << status.message();
    return out.str();
  }

  bool shows_counts_ = false;
  SteadyClock clock_;
  NullLogger logger_;
  std::unique_ptr<ModelHost> host_;
};

TEST_F(ChatSessionTest, AnswersEachLineAndEndsWithTheInput) {
  const std::string output = Chat("What is the opposite of hot?\n\nAnd of big?\n");
  EXPECT_EQ(std::count(output.begin(), output.end(), '>'), 4);  // three prompts and the last
  EXPECT_GT(output.size(), 12u);
}

TEST_F(ChatSessionTest, ResetForgets) {
  const std::string fresh = Chat("Hello!\n");
  const std::string after_reset = Chat("Name three colours.\n/reset\nHello!\n");
  // The answer to "Hello!" is the same whether or not something forgotten came before.
  const std::string answer = fresh.substr(0, fresh.rfind("\n> "));
  EXPECT_THAT(after_reset, HasSubstr(answer.substr(2)));
}

TEST_F(ChatSessionTest, CountsAreShownWhereAsked) {
  const std::string plain = Chat("Hello!\n");
  EXPECT_THAT(plain, testing::Not(HasSubstr(" steps")));
  shows_counts_ = true;
  EXPECT_THAT(Chat("Hello!\n"), testing::ContainsRegex("\\[[0-9]+ tokens in [0-9]+ steps"));
}

TEST(PlanCommandTest, PrintsTheArithmetic) {
  std::ostringstream out;
  const Status status = RunPlanCommand(Demo(), out);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_THAT(out.str(), HasSubstr("LlamaForCausalLM"));
  EXPECT_THAT(out.str(), HasSubstr("It fits"));
}

TEST(PlanCommandTest, PrintsThePair) {
  ModelSettings settings = Demo();
  settings.speculation.draft_directory = kDraft;
  std::ostringstream out;
  const Status status = RunPlanCommand(settings, out);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_THAT(out.str(), HasSubstr("with the draft model "));
  EXPECT_THAT(out.str(), HasSubstr("draft KV cache"));
  EXPECT_THAT(out.str(), HasSubstr("The draft's checkpoint is complete"));
}

TEST(PlanCommandTest, RefusesWhatCannotFit) {
  ModelSettings settings = Demo();
  settings.kv_cache_bytes = int64_t{1} << 50;
  std::ostringstream out;
  const Status status = RunPlanCommand(settings, out);
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("are available"));
}

TEST(InspectCommandTest, ListsEveryTensor) {
  std::ostringstream out;
  const Status status = RunInspectCommand(Demo().directory, "", out);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_THAT(out.str(), HasSubstr("model.embed_tokens.weight  BF16 ["));
  EXPECT_THAT(out.str(), HasSubstr("chat template: yes"));
}

TEST(InspectCommandTest, SaysWhatIsMissing) {
  std::ostringstream out;
  EXPECT_FALSE(RunInspectCommand("/nonexistent", "", out).ok());
  EXPECT_FALSE(RunInspectCommand(Demo().directory, "/nonexistent", out).ok());
}

TEST(InspectCommandTest, ShowsAPair) {
  std::ostringstream out;
  const Status status = RunInspectCommand(Demo().directory, kDraft, out);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_THAT(out.str(), HasSubstr("the pair has one vocabulary"));
}

}  // namespace
}  // namespace runahead

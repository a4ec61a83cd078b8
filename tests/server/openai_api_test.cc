#include "server/openai_api.h"

#include <atomic>
#include <future>
#include <string>

#include "gtest/gtest.h"

#include "server/task_thread.h"
#include "tests/server/tiny_model.h"

namespace runahead {
namespace {

class OpenAiApiTest : public ::testing::Test {
 protected:
  OpenAiApiTest() { tiny_.Start(); }

  static HttpRequest Post(std::string body) {
    HttpRequest request;
    request.method = "POST";
    request.id = "req-1";
    request.body = std::move(body);
    return request;
  }

  // Polls a reply to its end; the head's body, or all of a stream.
  static HttpResponse Finish(HttpReply reply) {
    if (auto* response = std::get_if<HttpResponse>(&reply)) return std::move(*response);
    PendingReply& pending = *std::get<std::unique_ptr<PendingReply>>(reply);
    HttpResponse whole;
    for (;;) {
      std::promise<void> ready;
      std::atomic_flag once;
      ReplyStep step = pending.Poll();
      if (step.head) whole = std::move(*step.head);
      whole.body += step.bytes;
      if (step.finished) return whole;
      if (step.head || !step.bytes.empty()) continue;
      pending.Arm([&] {
        if (!once.test_and_set()) ready.set_value();
      });
      ready.get_future().wait();
    }
  }

  HttpResponse Chat(std::string body) {
    return Finish(api_.ChatCompletions(Post(std::move(body))));
  }
  HttpResponse Complete(std::string body) {
    return Finish(api_.Completions(Post(std::move(body))));
  }

  static Json ErrorOf(const HttpResponse& response) { return Json::parse(response.body)["error"]; }

  TinyModel tiny_;
  TaskThread pool_;
  OpenAiApi api_{tiny_.models, [this](std::function<void()> task) { pool_.Post(std::move(task)); }};
};

TEST_F(OpenAiApiTest, AnswersAChat) {
  const HttpResponse response =
      Chat(R"({"model": "tiny", "messages": [{"role": "user", "content": "hi"}]})");
  EXPECT_EQ(response.status, 200);
  const Json body = Json::parse(response.body);
  EXPECT_EQ(body["id"], "chatcmpl-req-1");
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["system_fingerprint"], "fp_tiny");
  EXPECT_EQ(body["choices"][0]["message"]["content"], "hello");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(body["usage"]["prompt_tokens"], 18);
}

TEST_F(OpenAiApiTest, StreamsAChat) {
  const HttpResponse response =
      Chat(R"({"model": "tiny", "stream": true, "messages": [{"role": "user", "content": "hi"}]})");
  EXPECT_EQ(response.content_type, "text/event-stream; charset=utf-8");
  EXPECT_TRUE(response.body.ends_with("data: [DONE]\n\n"));
  EXPECT_EQ(response.body.find("\"usage\""), std::string::npos) << "nobody asked for usage";
}

TEST_F(OpenAiApiTest, CompletesSeveralPromptsWithEcho) {
  const HttpResponse response = Complete(
      R"({"model": "tiny", "prompt": [[97, 98], [99]], "n": 2, "echo": true, "logprobs": 1,
          "max_tokens": 2})");
  ASSERT_EQ(response.status, 200) << response.body;
  const Json body = Json::parse(response.body);
  ASSERT_EQ(body["choices"].size(), 4u);
  EXPECT_EQ(body["choices"][0]["text"], "abhe");
  EXPECT_EQ(body["choices"][2]["text"], "che");
  const Json& logprobs = body["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"], Json::parse(R"(["a", "b", "h", "e"])"));
  EXPECT_EQ(logprobs["token_logprobs"], Json::parse("[null, -1.0, -0.5, -0.5]"));
  EXPECT_EQ(logprobs["text_offset"], Json::parse("[0, 1, 2, 3]"));
}

TEST_F(OpenAiApiTest, ErrorsNameWhatIsWrong) {
  const struct {
    const char* body;
    int status;
    const char* param;
    const char* code;
  } cases[] = {
      {"{", 400, nullptr, "invalid_json"},
      {"[]", 400, nullptr, nullptr},
      {R"({"messages": []})", 400, "model", nullptr},
      {R"({"model": "gpt-9", "messages": []})", 404, "model", "model_not_found"},
      {R"({"model": "tiny", "messages": []})", 400, "messages", nullptr},
      {R"({"model": "tiny", "messages": [{"role": "user", "content": "x"}], "tools": [1]})", 400,
       "tools", "unsupported_parameter"},
      {R"({"model": "tiny", "messages": [{"role": "user", "content": "x"}],
           "logit_bias": {"9999": 1}})",
       400, "logit_bias", nullptr},
  };
  for (const auto& test : cases) {
    const HttpResponse response = Chat(test.body);
    EXPECT_EQ(response.status, test.status) << test.body;
    const Json error = ErrorOf(response);
    EXPECT_EQ(error["param"], test.param != nullptr ? Json(test.param) : Json()) << test.body;
    EXPECT_EQ(error["code"], test.code != nullptr ? Json(test.code) : Json()) << test.body;
  }
  const MetricsSnapshot counts = tiny_.metrics.Snapshot();
  EXPECT_EQ(counts.received, std::size(cases)) << "every request is counted once";
}

TEST_F(OpenAiApiTest, TooLongAPromptIsContextLengthExceeded) {
  const HttpResponse response =
      Complete(R"({"model": "tiny", "prompt": ")" + std::string(1000, 'x') + "\"}");
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(ErrorOf(response)["code"], "context_length_exceeded");
}

TEST_F(OpenAiApiTest, APassedDeadlineIs504) {
  const HttpResponse response = Complete(R"({"model": "tiny", "prompt": "x", "timeout": 0})");
  EXPECT_EQ(response.status, 504);
  EXPECT_EQ(ErrorOf(response)["type"], "timeout_error");
}

TEST_F(OpenAiApiTest, ADrainingEngineIs503WithRetryAfter) {
  tiny_.engine->Drain(kNoDeadline);
  const HttpResponse response = Complete(R"({"model": "tiny", "prompt": "x"})");
  EXPECT_EQ(response.status, 503);
  EXPECT_TRUE(response.headers.Has("Retry-After"));
}

TEST_F(OpenAiApiTest, ListsModels) {
  const Json list = Json::parse(Finish(api_.ListModels({})).body);
  EXPECT_EQ(list["object"], "list");
  EXPECT_EQ(list["data"][0]["id"], "tiny");
  EXPECT_EQ(list["data"][0]["max_model_len"], 256);
  HttpRequest one;
  one.path = "/v1/models/tiny";
  EXPECT_EQ(Json::parse(Finish(api_.GetModel(one)).body), list["data"][0]);
  one.path = "/v1/models/other";
  EXPECT_EQ(Finish(api_.GetModel(one)).status, 404);
}

TEST_F(OpenAiApiTest, TokenizesTextAndChats) {
  const Json text = Json::parse(
      Finish(api_.Tokenize(Post(R"({"prompt": "ab c", "return_token_strs": true})"))).body);
  EXPECT_EQ(text["tokens"], Json::parse("[97, 98, 32, 99]"));
  EXPECT_EQ(text["count"], 4);
  EXPECT_EQ(text["max_model_len"], 256);
  EXPECT_EQ(text["token_strs"], Json::parse("[\"a\", \"b\", \"\u0120\", \"c\"]"));
  const Json chat =
      Json::parse(Finish(api_.Tokenize(Post(R"({"messages": [{"role": "user", "content": "a"}],
                                    "add_generation_prompt": false})")))
                      .body);
  EXPECT_EQ(chat["count"], 7);
  EXPECT_EQ(ErrorOf(Finish(api_.Tokenize(Post("{}"))))["param"], "prompt");
  EXPECT_EQ(Finish(api_.Tokenize(Post(R"({"model": "x", "prompt": "a"})"))).status, 404);
}

TEST_F(OpenAiApiTest, Detokenizes) {
  EXPECT_EQ(Finish(api_.Detokenize(Post(R"({"tokens": [104, 105]})"))).body, R"({"prompt":"hi"})");
  EXPECT_EQ(ErrorOf(Finish(api_.Detokenize(Post(R"({"tokens": [9999]})"))))["param"], "tokens");
  EXPECT_EQ(ErrorOf(Finish(api_.Detokenize(Post("{}"))))["param"], "tokens");
}

}  // namespace
}  // namespace runahead

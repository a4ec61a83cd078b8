// OpenAiReply: the answer of a chat or completion request in the making, whole or as server-sent
// events. One thread at a time.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "server/generation.h"
#include "server/http_message.h"
#include "server/openai_chunk.h"
#include "server/openai_format.h"
#include "server/served_model.h"

namespace runahead {

// One generation a prompt; choice c of prompt p is choice p * n + c of the answer. The 200 of a
// stream is sent with its first text, so what fails earlier (a deadline in the queue, say) still
// gets a status of its own.
class OpenAiReply final : public PendingReply {
 public:
  struct Options {
    AnswerHead head;
    bool stream = false;
    bool wants_prompt_logprobs = false;
    int num_choices = 1;          // of each prompt
    bool shows_drafters = false;  // tokens carry drafted_by
  };

  // `model` outlives the reply.
  OpenAiReply(const ServedModel& model, Options options,
              std::vector<std::shared_ptr<Generation>> generations);

  ReplyStep Poll() override;
  void Arm(std::function<void()> ready) override;
  ReplyStep KeepAlive() override;

 private:
  void TakeDeltas(std::vector<Delta>& deltas);
  ReplyStep PollWhole();
  ReplyStep PollStream();
  bool AllFinished() const;
  Usage TotalUsage() const;
  HttpResponse WholeAnswer();
  void StartStream(ReplyStep& step) const;
  void AppendDelta(const Delta& delta, const Usage& usage, std::string& out) const;

  const ServedModel& model_;
  const Options options_;
  const ChunkWriter chunks_;
  const std::vector<std::shared_ptr<Generation>> generations_;
  std::vector<ChoiceAnswer> answers_;  // whole answers only
  bool started_ = false;               // the stream's head is out
  bool over_ = false;
};

}  // namespace runahead

#include "server/openai_reply.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "server/http_error.h"

namespace runahead {
namespace {

bool IsError(FinishReason finish) {
  return finish == FinishReason::kFailed || finish == FinishReason::kExpired ||
         finish == FinishReason::kCancelled;
}

Status ErrorOf(const Delta& delta) {
  if (!delta.error.ok()) return delta.error;
  if (delta.finish == FinishReason::kExpired) {
    return {StatusCode::kDeadlineExceeded, "The request's deadline passed."};
  }
  if (delta.finish == FinishReason::kCancelled) {
    return {StatusCode::kUnavailable, "The request was cancelled by the server."};
  }
  return {StatusCode::kInternal, "The engine failed."};
}

const Delta* FindError(const std::vector<Delta>& deltas) {
  const auto it = std::find_if(deltas.begin(), deltas.end(),
                               [](const Delta& delta) { return IsError(delta.finish); });
  return it == deltas.end() ? nullptr : &*it;
}

ReplyStep WholeStep(HttpResponse response) {
  ReplyStep step;
  step.head = std::move(response);
  step.finished = true;
  return step;
}

}  // namespace

OpenAiReply::OpenAiReply(const ServedModel& model, Options options,
                         std::vector<std::shared_ptr<Generation>> generations)
    : model_(model),
      options_(std::move(options)),
      chunks_(options_.head),
      generations_(std::move(generations)) {
  const size_t total = generations_.size() * static_cast<size_t>(options_.num_choices);
  answers_.resize(options_.stream ? 0 : total);
  for (size_t i = 0; i < answers_.size(); ++i) answers_[i].index = static_cast<int>(i);
}

ReplyStep OpenAiReply::Poll() {
  ReplyStep step;
  step.finished = true;
  if (over_) return step;
  step = options_.stream ? PollStream() : PollWhole();
  over_ = step.finished;
  return step;
}

void OpenAiReply::Arm(std::function<void()> ready) {
  for (const auto& generation : generations_) {
    if (!generation->finished()) generation->Arm(ready);
  }
}

// A comment, which readers of event streams skip. With it the head is out, so a deadline that
// passes later is an event like any amid a stream.
ReplyStep OpenAiReply::KeepAlive() {
  ReplyStep step;
  if (!options_.stream || over_) return step;
  if (!std::exchange(started_, true)) StartStream(step);
  step.bytes += ": keep-alive\n\n";
  return step;
}

void OpenAiReply::TakeDeltas(std::vector<Delta>& deltas) {
  for (size_t i = 0; i < generations_.size(); ++i) {
    std::vector<Delta> taken = generations_[i]->Take();
    for (Delta& delta : taken) {
      delta.choice += static_cast<int>(i) * options_.num_choices;
      deltas.push_back(std::move(delta));
    }
  }
}

bool OpenAiReply::AllFinished() const {
  return std::all_of(generations_.begin(), generations_.end(),
                     [](const auto& generation) { return generation->finished(); });
}

Usage OpenAiReply::TotalUsage() const {
  Usage total;
  for (const auto& generation : generations_) {
    const Usage usage = generation->usage();
    total.prompt_tokens += usage.prompt_tokens;
    total.completion_tokens += usage.completion_tokens;
    total.cached_tokens += usage.cached_tokens;
    total.drafts.Add(usage.drafts);
    total.includes_drafts |= usage.includes_drafts;
  }
  return total;
}

ReplyStep OpenAiReply::PollWhole() {
  std::vector<Delta> deltas;
  TakeDeltas(deltas);
  if (const Delta* error = FindError(deltas)) return WholeStep(ErrorResponse(ErrorOf(*error)));
  for (Delta& delta : deltas) {
    ChoiceAnswer& answer = answers_[static_cast<size_t>(delta.choice)];
    answer.text += delta.text;
    std::move(delta.tokens.begin(), delta.tokens.end(), std::back_inserter(answer.tokens));
    if (delta.finish == FinishReason::kNone) continue;
    answer.finish = delta.finish;
    answer.stop_reason = std::move(delta.stop_reason);
  }
  return AllFinished() ? WholeStep(WholeAnswer()) : ReplyStep{};
}

HttpResponse OpenAiReply::WholeAnswer() {
  if (options_.wants_prompt_logprobs) {
    for (size_t i = 0; i < answers_.size(); ++i) {
      const auto& generation = generations_[i / static_cast<size_t>(options_.num_choices)];
      answers_[i].prompt_logprobs =
          FormatPromptLogprobs(generation->prompt_logprobs(), *model_.tokenizer);
    }
  }
  HttpResponse response;
  response.body = Dump(FormatAnswer(options_.head, answers_, TotalUsage(), *model_.tokenizer));
  return response;
}

void OpenAiReply::StartStream(ReplyStep& step) const {
  HttpResponse head;
  head.content_type = "text/event-stream; charset=utf-8";
  head.headers.Add("Cache-Control", "no-cache");
  head.headers.Add("X-Accel-Buffering",
                   "no");  // a proxy that collects events would undo the streaming
  step.head = std::move(head);
  step.is_stream = true;
  if (options_.head.route != OpenAiRoute::kChat) return;
  const int total = static_cast<int>(generations_.size()) * options_.num_choices;
  for (int i = 0; i < total; ++i) step.bytes += SseEvent(Dump(FormatRoleChunk(options_.head, i)));
}

void OpenAiReply::AppendDelta(const Delta& delta, const Usage& usage, std::string& out) const {
  const AnswerHead& head = options_.head;
  const bool is_plain_text = delta.finish == FinishReason::kNone && !head.wants_logprobs &&
                             !head.continuous_usage_stats && !delta.text.empty() &&
                             !options_.shows_drafters;
  if (is_plain_text) return chunks_.AppendText(delta.choice, delta.text, out);
  for (const Json& chunk : FormatDelta(head, delta, usage, model_.tokenizer.get())) {
    out += SseEvent(Dump(chunk));
  }
}

ReplyStep OpenAiReply::PollStream() {
  std::vector<Delta> deltas;
  TakeDeltas(deltas);
  ReplyStep step;
  if (deltas.empty() && !AllFinished()) return step;
  if (!started_) {
    if (const Delta* error = FindError(deltas)) return WholeStep(ErrorResponse(ErrorOf(*error)));
    StartStream(step);
    started_ = true;
  }
  const Usage usage = TotalUsage();
  for (Delta& delta : deltas) {
    const bool is_error = IsError(delta.finish);
    const Status error = is_error ? ErrorOf(delta) : Status();
    if (is_error) delta.finish = FinishReason::kNone;  // its text is still the client's
    AppendDelta(delta, usage, step.bytes);
    if (!is_error) continue;
    step.bytes += SseEvent(ErrorJson(error));
    step.finished = true;
    step.is_cut = true;
    return step;
  }
  if (!AllFinished()) return step;
  if (options_.head.include_usage) {
    step.bytes += SseEvent(Dump(FormatUsageChunk(options_.head, usage)));
  }
  step.bytes += SseEvent("[DONE]");
  step.finished = true;
  return step;
}

}  // namespace runahead

#include "server/generation.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>

#include "server/choice_text.h"
#include "server/rejection.h"
#include "server/request_limits.h"
#include "server/request_record.h"
#include "server/served_model.h"

namespace runahead {
namespace {

// OpenAI's words, which clients match on.
Status ContextLengthExceeded(int max_context, size_t num_prompt, const char* field) {
  return InvalidArgument("This model's maximum context length is " + std::to_string(max_context) +
                             " tokens. However, your prompt has " + std::to_string(num_prompt) +
                             " tokens. Please reduce the length of the " + field + ".",
                         field, "context_length_exceeded");
}

const char* PromptField(const Prompt& prompt) {
  return std::holds_alternative<ChatPrompt>(prompt) ? "messages" : "prompt";
}

Result<std::string> RenderChat(const ServedModel& model, const ChatPrompt& prompt) {
  if (model.chat_template == nullptr) {
    return InvalidArgument(
        "The model '" + model.name + "' has no chat template: use /v1/completions.", "messages",
        "no_chat_template");
  }
  ChatTemplate::Options options;
  options.add_generation_prompt = prompt.add_generation_prompt;
  options.extra = prompt.template_kwargs;
  options.now_unix_seconds = std::chrono::duration_cast<std::chrono::seconds>(
                                 std::chrono::system_clock::now().time_since_epoch())
                                 .count();
  Result<std::string> text = model.chat_template->Render(prompt.messages, options);
  if (text.ok()) return text;
  return Status(text.status().code(), text.status().message(), "messages", text.status().reason());
}

TimePoint DeadlineOf(const GenerationRequest& from, const ServedModel& model) {
  if (from.deadline != kNoDeadline || model.default_timeout == Duration()) return from.deadline;
  return model.clock->Now() + model.default_timeout;
}

SpeculationParams SpeculationOf(const SpeculationRequest& from, const ServedModel& model) {
  SpeculationParams params = model.speculation;
  if (from.mode) params.mode = *from.mode;
  if (from.max_tokens) params.max_tokens = std::min(params.max_tokens, *from.max_tokens);
  return params;
}

// A prompt's place in its request's record, where there is one.
class Noted {
 public:
  explicit Noted(std::shared_ptr<RequestRecord> record) : record_(std::move(record)) {
    if (record_ != nullptr) prompt_ = record_->OnPromptBegun();
  }
  void OnRendered() const {
    if (record_ != nullptr) record_->OnRendered(prompt_);
  }
  std::shared_ptr<TimelineSlot> OnSubmit(size_t num_tokens) const {
    if (record_ == nullptr) return nullptr;
    return record_->OnSubmit(prompt_, static_cast<int>(num_tokens));
  }
  bool is_wanted() const { return record_ != nullptr; }
  void OnPumped(RequestRecord::Pumped pumped) const {
    record_->OnPumped(prompt_, std::move(pumped));
  }

 private:
  std::shared_ptr<RequestRecord> record_;
  int prompt_ = 0;
};

std::unique_ptr<Request> MakeRequest(const ServedModel& model, const GenerationRequest& from,
                                     std::vector<int32_t> prompt, int max_tokens) {
  auto request = std::make_unique<Request>();
  request->id = from.id;
  request->prompt = std::move(prompt);
  request->sampling = from.sampling;
  request->seed = from.seed;
  request->num_choices = from.num_choices;
  request->max_tokens = max_tokens;
  request->min_tokens = from.min_tokens;
  request->stop_token_ids = from.stop_token_ids;
  request->ignore_eos = from.ignore_eos;
  request->priority = from.priority;
  request->deadline = DeadlineOf(from, model);
  request->cache_salt = from.cache_salt;
  request->may_finish_early = !from.stop.empty();
  request->speculation = SpeculationOf(from.speculation, model);
  request->prediction = from.prediction;
  // A request that generates nothing is judged on its prompt, which is what makes the engine run
  // it.
  if (max_tokens == 0) {
    request->sampling.num_prompt_logprobs = std::max(request->sampling.num_prompt_logprobs, 0);
  }
  return request;
}

// `on_rendered`: the text is there, its tokens not yet.
Result<std::vector<int32_t>> Encode(const ServedModel& model, const Prompt& prompt,
                                    const std::function<void()>& on_rendered) {
  if (!std::holds_alternative<ChatPrompt>(prompt)) on_rendered();
  if (const auto* tokens = std::get_if<TokenPrompt>(&prompt)) {
    const int vocab_size = model.engine->config().vocab_size;
    const auto bad = std::find_if(tokens->ids.begin(), tokens->ids.end(),
                                  [&](int32_t id) { return id < 0 || id >= vocab_size; });
    if (bad == tokens->ids.end()) return tokens->ids;
    return InvalidArgument("The prompt holds " + std::to_string(*bad) +
                               ", which is no token id: the vocabulary has " +
                               std::to_string(vocab_size) + ".",
                           "prompt");
  }
  if (const auto* text = std::get_if<TextPrompt>(&prompt)) {
    return model.tokenizer->Encode(text->text, {.add_special_tokens = text->add_special_tokens});
  }
  RA_ASSIGN_OR_RETURN(const std::string text, RenderChat(model, std::get<ChatPrompt>(prompt)));
  on_rendered();
  // The template writes the special tokens itself.
  return model.tokenizer->Encode(text, {.add_special_tokens = false});
}

class RunningGeneration final : public Generation,
                                public std::enable_shared_from_this<RunningGeneration> {
 public:
  RunningGeneration(const ServedModel& model, const GenerationRequest& request,
                    std::vector<int32_t> prompt_ids, std::unique_ptr<ResponseStream> stream,
                    Post post, Noted noted)
      : noted_(std::move(noted)),
        clock_(*model.clock),
        post_(std::move(post)),
        prompt_ids_(std::move(prompt_ids)),
        echo_(request.echo),
        tokenizer_(*model.tokenizer),
        prompt_(request.prompt),
        text_options_(ChoiceText::Options::From(request)),
        stop_strings_(request.stop),
        stream_(std::move(stream)) {
    if (!echo_) prompt_ = TokenPrompt{};
    for (int i = 0; i < request.num_choices; ++i) {
      choices_.emplace_back(tokenizer_, stop_strings_, text_options_);
    }
    tallies_.resize(choices_.size());
    finishes_.resize(choices_.size());
    usage_.prompt_tokens = static_cast<int>(prompt_ids_.size());
    usage_.includes_drafts = request.speculation.include_usage;
  }

  // Waits for the engine's next events. The waker runs on the engine's thread and only posts.
  void ArmPump() {
    stream_->Arm([weak = weak_from_this(), post = post_] {
      post([weak] {
        if (const auto self = weak.lock()) self->Pump();
      });
    });
  }

  std::vector<Delta> Take() override {
    const std::lock_guard lock(mutex_);
    return std::exchange(waiting_, {});
  }

  void Arm(std::function<void()> ready) override {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty() && !done_) {
      ready_ = std::move(ready);
    } else {
      post_(std::move(ready));
    }
  }

  bool finished() const override {
    const std::lock_guard lock(mutex_);
    return done_ && waiting_.empty();
  }

  Usage usage() const override {
    const std::lock_guard lock(mutex_);
    return usage_;
  }

  const std::vector<int32_t>& prompt_ids() const override { return prompt_ids_; }
  const std::vector<PositionLogprobs>& prompt_logprobs() const override {
    const std::lock_guard lock(mutex_);
    return prompt_logprobs_;  // set once, before the first delta is taken
  }

 private:
  void Pump() {
    std::function<void()> ready;
    {
      const std::lock_guard lock(mutex_);
      if (done_) return;
      const TimePoint taken = noted_.is_wanted() ? clock_.Now() : TimePoint();
      for (TokenEvent& event : stream_->Take()) OnEvent(event);
      done_ = stream_->finished();
      if (noted_.is_wanted()) NotePump(taken);
      if (done_) {
        stream_.reset();  // which lets the engine count the outcome
      } else {
        ArmPump();
      }
      if (done_ || !waiting_.empty()) ready = std::exchange(ready_, nullptr);
    }
    if (ready) ready();
  }

  // Before anybody can see the end: who finds it sent finds it noted.
  void NotePump(TimePoint taken) const {
    RequestRecord::Pumped pumped = {.taken = taken,
                                    .last_event = last_event_,
                                    .cached_tokens = usage_.cached_tokens,
                                    .completion_tokens = usage_.completion_tokens,
                                    .has_finished = done_};
    if (done_) pumped.finishes = finishes_;
    noted_.OnPumped(std::move(pumped));
  }

  void OnEvent(TokenEvent& event) {
    if (!saw_event_) OnFirstEvent(event);
    ChoiceText& choice = choices_[static_cast<size_t>(event.choice)];
    if (choice.finished()) return;
    last_event_ = event.time;
    Delta delta = choice.OnEvent(event);
    delta.choice = event.choice;
    finishes_[static_cast<size_t>(event.choice)] = delta.finish;
    if (choice.matched_stop_string()) stream_->Finish(event.choice, choice.num_tokens());
    if (event.token >= 0) {
      ++usage_.completion_tokens;
      tallies_[static_cast<size_t>(event.choice)].Count(event, usage_.drafts);
    }
    Append(std::move(delta));
  }

  void OnFirstEvent(TokenEvent& event) {
    saw_event_ = true;
    usage_.cached_tokens = event.num_cached_tokens;
    prompt_logprobs_ = std::move(event.prompt_logprobs);
    if (!echo_) return;
    const Delta echo =
        EchoOf(tokenizer_, prompt_, prompt_ids_, prompt_logprobs_, text_options_.skip_special);
    for (size_t i = 0; i < choices_.size(); ++i) {
      choices_[i].StartAt(echo.text);
      waiting_.push_back(echo);
      waiting_.back().choice = static_cast<int>(i);
    }
  }

  // Adjacent deltas of one choice become one: a slow reader gets few large pieces.
  void Append(Delta delta) {
    const bool says_nothing =
        delta.text.empty() && delta.tokens.empty() && delta.finish == FinishReason::kNone;
    if (says_nothing) return;
    const auto last = std::find_if(waiting_.rbegin(), waiting_.rend(),
                                   [&](const Delta& d) { return d.choice == delta.choice; });
    if (last == waiting_.rend() || last->finish != FinishReason::kNone) {
      waiting_.push_back(std::move(delta));
      return;
    }
    last->text += delta.text;
    std::move(delta.tokens.begin(), delta.tokens.end(), std::back_inserter(last->tokens));
    last->finish = delta.finish;
    last->stop_reason = std::move(delta.stop_reason);
    last->error = std::move(delta.error);
  }

  const Noted noted_;
  const Clock& clock_;
  const Post post_;
  const std::vector<int32_t> prompt_ids_;
  const bool echo_;
  const Tokenizer& tokenizer_;  // of the ServedModel, which outlives every generation
  Prompt prompt_;               // with echo_
  const ChoiceText::Options text_options_;
  const StopStrings stop_strings_;

  // Orders the pump (I/O pool) and the front end; held while events become text, never while
  // `ready` runs (docs/contract.md).
  mutable std::mutex mutex_;
  std::unique_ptr<ResponseStream> stream_;
  std::vector<ChoiceText> choices_;
  std::vector<DraftTally> tallies_;  // by choice
  std::vector<FinishReason> finishes_;
  TimePoint last_event_;  // the end of the step that the text's last token came of
  std::vector<Delta> waiting_;
  std::function<void()> ready_;
  Usage usage_;
  std::vector<PositionLogprobs> prompt_logprobs_;
  bool saw_event_ = false;
  bool done_ = false;
};

Result<std::shared_ptr<Generation>> TryStart(ServedModel& model, const GenerationRequest& request,
                                             Generation::Post post, bool& reached_engine) {
  RA_RETURN_IF_ERROR(CheckRanges(request, model));
  Noted noted(request.record);
  RA_ASSIGN_OR_RETURN(std::vector<int32_t> ids,
                      Encode(model, request.prompt, [&noted] { noted.OnRendered(); }));
  const char* field = PromptField(request.prompt);
  if (ids.empty()) return InvalidArgument("The prompt has no tokens.", field);
  const int room = model.max_context - static_cast<int>(ids.size());
  const int max_tokens = request.max_tokens ? std::min(*request.max_tokens, room) : room;
  if (max_tokens < (request.max_tokens == 0 ? 0 : 1)) {
    return ContextLengthExceeded(model.max_context, ids.size(), field);
  }
  reached_engine = true;
  std::unique_ptr<Request> to_submit = MakeRequest(model, request, ids, max_tokens);
  to_submit->timeline_slot = noted.OnSubmit(ids.size());
  RA_ASSIGN_OR_RETURN(std::unique_ptr<ResponseStream> stream,
                      model.engine->Submit(std::move(to_submit)));
  auto generation = std::make_shared<RunningGeneration>(
      model, request, std::move(ids), std::move(stream), std::move(post), std::move(noted));
  generation->ArmPump();
  return std::shared_ptr<Generation>(std::move(generation));
}

}  // namespace

Result<std::vector<int32_t>> EncodePrompt(const ServedModel& model, const Prompt& prompt) {
  return Encode(model, prompt, [] {});
}

std::vector<int32_t> EncodePrediction(const ServedModel& model, const std::string& text) {
  std::vector<int32_t> ids = model.tokenizer->Encode(text, {.add_special_tokens = false});
  ids.resize(std::min(ids.size(), static_cast<size_t>(model.max_context)));
  return ids;
}

Result<std::shared_ptr<Generation>> Generation::Start(ServedModel& model,
                                                      const GenerationRequest& request, Post post) {
  bool reached_engine = false;
  Result<std::shared_ptr<Generation>> started =
      TryStart(model, request, std::move(post), reached_engine);
  // The engine counts what it refuses itself.
  if (!started.ok() && !reached_engine) {
    CountRejection(*model.metrics, started.status());
  }
  return started;
}

}  // namespace runahead

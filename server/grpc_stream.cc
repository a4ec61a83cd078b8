#include "server/grpc_stream.h"

#include <utility>

#include "server/grpc_convert.h"
#include "server/http_error.h"

namespace runahead {
namespace {

// Keeps a request alive until the engine itself lets go of it, so that one whose deadline passed
// counts as expired, not as cancelled, whoever noticed first.
void KeepUntilFinished(const std::shared_ptr<Generation>& generation) {
  generation->Arm([generation] {
    generation->Take();
    if (!generation->finished()) KeepUntilFinished(generation);
  });
}

}  // namespace

GenerateReactor* GenerateReactor::Fail(const Status& status,
                                       std::shared_ptr<RequestRecord> record) {
  const std::shared_ptr<GenerateReactor> reactor(new GenerateReactor());
  reactor->self_ = reactor;
  reactor->record_ = std::move(record);
  if (reactor->record_ != nullptr) reactor->record_->OnAnswered(HttpStatusOf(status.code()));
  const std::lock_guard lock(reactor->mutex_);
  reactor->End(ToGrpc(status));
  return reactor.get();
}

GenerateReactor* GenerateReactor::Start(const ServedModel& model, const GenerationRequest& request,
                                        std::shared_ptr<Generation> generation) {
  const std::shared_ptr<GenerateReactor> reactor(new GenerateReactor());
  reactor->self_ = reactor;
  reactor->model_ = &model;
  reactor->request_id_ = request.id;
  reactor->deadline_ = request.deadline;
  reactor->record_ = request.record;
  const std::lock_guard lock(reactor->mutex_);
  reactor->generation_ = std::move(generation);
  reactor->Pump();
  return reactor.get();
}

void GenerateReactor::OnWriteDone(bool ok) {
  const auto self = shared_from_this();  // Finish may bring OnDone before the lock is given up
  std::shared_ptr<Generation> dropped;   // destroyed after the lock
  const std::lock_guard lock(mutex_);
  if (record_ != nullptr) record_->OnFlowing();
  writing_ = false;
  // A cancel that came while this write was on its way left the end to us, whether the write made
  // it or not: a call that never ends would keep the server from ending.
  const bool was_cancelled = generation_ == nullptr;
  if (ok && !was_cancelled) {
    Pump();
    return;
  }
  dropped = std::move(generation_);
  End(grpc::Status::CANCELLED);
}

void GenerateReactor::OnCancel() {
  const auto self = shared_from_this();
  std::shared_ptr<Generation> dropped;  // destroyed after the lock
  const std::lock_guard lock(mutex_);
  dropped = std::move(generation_);
  generation_ = nullptr;
  if (dropped != nullptr && deadline_ != kNoDeadline && model_->clock->Now() >= deadline_) {
    KeepUntilFinished(dropped);
    if (record_ != nullptr) record_->OnAnswered(HttpStatusOf(StatusCode::kDeadlineExceeded));
  }
  if (!writing_) End(grpc::Status::CANCELLED);  // else OnWriteDone ends it
}

void GenerateReactor::OnDone() {
  const auto self = std::move(self_);  // the last reference, but for an I/O task that is looking
  if (record_ != nullptr) record_->OnEnd(was_delivered_);
}

void GenerateReactor::Pump() {
  if (writing_ || ended_ || generation_ == nullptr) return;
  if (next_ == waiting_.size()) TakeDeltas();
  if (next_ < waiting_.size()) {
    Write();
  } else if (!failure_.ok()) {
    if (record_ != nullptr) record_->OnAnswered(HttpStatusOf(failure_.code()));
    End(ToGrpc(failure_));
  } else if (!generation_->finished()) {
    generation_->Arm([weak = weak_from_this()] {
      if (const auto self = weak.lock()) {
        const std::lock_guard lock(self->mutex_);
        self->Pump();
      }
    });
  } else if (!usage_sent_) {
    WriteUsage();
  } else {
    End(grpc::Status::OK);
  }
}

void GenerateReactor::TakeDeltas() {
  waiting_.clear();
  next_ = 0;
  for (const Delta& delta : generation_->Take()) {
    if (!delta.error.ok() && failure_.ok()) failure_ = delta.error;
    const bool says_something =
        !delta.text.empty() || !delta.tokens.empty() || delta.finish != FinishReason::kNone;
    if (delta.error.ok() && says_something) waiting_.push_back(ToProto(delta, *model_->tokenizer));
  }
}

void GenerateReactor::Write() {
  current_ = std::move(waiting_[next_++]);
  if (std::exchange(first_, false)) {
    AddPromptLogprobs(current_);
    if (record_ != nullptr) record_->OnAnswered(200);
  }
  current_.set_request_id(request_id_);
  current_.set_model(model_->name);
  StartNoted();
}

// A write that is out waits for the transport, and so for the client where that one reads slowly.
void GenerateReactor::StartNoted() {
  writing_ = true;
  if (record_ != nullptr) record_->OnStalled();
  StartWrite(&current_);
}

void GenerateReactor::WriteUsage() {
  usage_sent_ = true;
  current_.Clear();
  current_.set_request_id(request_id_);
  current_.set_model(model_->name);
  *current_.mutable_usage() = ToProto(generation_->usage());
  StartNoted();
}

void GenerateReactor::End(const grpc::Status& status) {
  if (std::exchange(ended_, true)) return;
  was_delivered_ = status.error_code() != grpc::StatusCode::CANCELLED;
  Finish(status);
}

void GenerateReactor::AddPromptLogprobs(v1::GenerateResponse& first) const {
  const auto& ids = generation_->prompt_ids();
  const auto& logprobs = generation_->prompt_logprobs();
  if (logprobs.empty()) return;
  for (size_t i = 0; i < ids.size(); ++i) {
    TokenDetail detail{.id = ids[i], .bytes = std::string(model_->tokenizer->TokenBytes(ids[i]))};
    // The first token has no past to be judged by.
    if (i > 0 && i - 1 < logprobs.size()) detail.logprobs = logprobs[i - 1];
    *first.add_prompt_tokens() = ToProto(detail, *model_->tokenizer);
  }
}

}  // namespace runahead

#include "engine/response_stream.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "engine/token_queue.h"

namespace runahead {

ResponseStream::ResponseStream(std::shared_ptr<TokenQueue> queue, int num_choices, Control control)
    : queue_(std::move(queue)),
      done_(static_cast<size_t>(num_choices), false),
      control_(std::move(control)) {}

ResponseStream::~ResponseStream() {
  queue_->Abandon();
  if (!finished()) {
    control_.cancel();
  } else if (control_.settle) {
    control_.settle();
  }
}

std::vector<TokenEvent> ResponseStream::Take() { return StillWanted(queue_->Take()); }

std::vector<TokenEvent> ResponseStream::Wait() {
  std::vector<TokenEvent> events;
  while (events.empty() && !finished()) events = StillWanted(queue_->Wait());
  return events;
}

void ResponseStream::Arm(std::function<void()> waker) { queue_->Arm(std::move(waker)); }

void ResponseStream::Finish(int choice, int num_tokens) {
  RA_CHECK(choice >= 0 && static_cast<size_t>(choice) < done_.size());
  RA_CHECK_GE(num_tokens, 0);
  done_[static_cast<size_t>(choice)] = true;
  control_.finish(choice, num_tokens);
}

bool ResponseStream::finished() const {
  return std::all_of(done_.begin(), done_.end(), [](bool done) { return done; });
}

std::vector<TokenEvent> ResponseStream::StillWanted(std::vector<TokenEvent> events) {
  std::erase_if(events, [this](const TokenEvent& event) {
    const auto choice = static_cast<size_t>(event.choice);
    if (done_[choice]) return true;
    done_[choice] = event.finish != FinishReason::kNone;
    return false;
  });
  return events;
}

}  // namespace runahead

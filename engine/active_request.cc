#include "engine/active_request.h"

#include <algorithm>
#include <utility>

namespace runahead {

TokenEvent& ActiveRequest::AddEvent(int choice, TimePoint now) {
  TokenEvent& event = events.emplace_back();
  event.choice = choice;
  event.time = now;
  if (choice == 0 && !sent_first_event) {
    sent_first_event = true;
    event.num_cached_tokens = num_cached_tokens;
    event.prompt_logprobs = std::move(prompt_logprobs);
  }
  return event;
}

void ActiveRequest::AddFinish(int choice, FinishReason finish, Status error, TimePoint now) {
  TokenEvent& event = AddEvent(choice, now);
  event.finish = finish;
  event.error = std::move(error);
  choices[static_cast<size_t>(choice)].finish = finish;
}

FinishReason ActiveRequest::Outcome() const {
  FinishReason worst = FinishReason::kNone;  // the enum is in that order
  for (const ActiveChoice& choice : choices) worst = std::max(worst, choice.finish);
  return worst;
}

bool ActiveRequest::AllCut() const {
  return std::all_of(choices.begin(), choices.end(),
                     [](const ActiveChoice& choice) { return choice.was_cut; });
}

int ActiveRequest::NumTokens() const {
  int total = 0;
  for (const ActiveChoice& choice : choices) total += choice.num_tokens;
  return total;
}

int ActiveRequest::NumTokensOfLongest() const {
  int longest = 0;
  for (const ActiveChoice& choice : choices) longest = std::max(longest, choice.num_tokens);
  return longest;
}

TimePoint ActiveRequest::LastToken() const {
  TimePoint last;
  for (const ActiveChoice& choice : choices) last = std::max(last, choice.last_token);
  return last;
}

}  // namespace runahead

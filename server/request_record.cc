#include "server/request_record.h"

#include <algorithm>
#include <utility>

#include "engine/timeline_slot.h"
#include "server/request_log.h"

namespace runahead {
namespace {

constexpr size_t kMaxTextBytes = 160;

}  // namespace

std::string Clip(std::string text) {
  if (text.size() > kMaxTextBytes) {
    text.resize(kMaxTextBytes);
    text.shrink_to_fit();
  }
  return text;
}

RequestRecord::RequestRecord(RequestOrigin origin, const Clock& clock, RequestLog* log)
    : clock_(clock), log_(log) {
  facts_.origin = std::move(origin);
  for (std::string* text :
       {&facts_.origin.method, &facts_.origin.path, &facts_.origin.id, &facts_.origin.client}) {
    *text = Clip(std::move(*text));
  }
  const TimePoint now = clock_.Now();
  if (facts_.origin.first_byte == TimePoint()) facts_.origin.first_byte = now;
  facts_.began = std::chrono::system_clock::now() -
                 std::chrono::duration_cast<std::chrono::system_clock::duration>(
                     now - facts_.origin.first_byte);
}

RequestRecord::~RequestRecord() = default;

void RequestRecord::SetKey(int key) {
  const std::lock_guard lock(mutex_);
  facts_.origin.key = key;
}

void RequestRecord::OnReceived() {
  const std::lock_guard lock(mutex_);
  facts_.received = clock_.Now();
}

void RequestRecord::OnHandled() {
  const std::lock_guard lock(mutex_);
  facts_.handled = clock_.Now();
}

void RequestRecord::OnAnswered(int status) {
  const std::lock_guard lock(mutex_);
  facts_.answered = clock_.Now();
  facts_.status = status;
}

void RequestRecord::OnStalled() {
  const std::lock_guard lock(mutex_);
  stalled_since_ = clock_.Now();
}

void RequestRecord::OnFlowing() {
  const std::lock_guard lock(mutex_);
  if (!stalled_since_) return;
  AddUp(facts_);
  stalled_since_.reset();
}

// Books the stall that goes on, if one does.
void RequestRecord::AddUp(RequestFacts& facts) const {
  if (!stalled_since_ || facts.ended != TimePoint()) return;
  const TimePoint now = clock_.Now();
  facts.stalled += now - *stalled_since_;
  TimePoint text_made;  // by the last prompt
  for (const Prompt& prompt : prompts_) {
    if (prompt.known.finished == TimePoint()) return;
    text_made = std::max(text_made, prompt.known.finished);
  }
  facts.stalled_after_text += now - std::max(*stalled_since_, text_made);
}

void RequestRecord::OnEnd(bool was_delivered) {
  {
    const std::lock_guard lock(mutex_);
    if (facts_.ended != TimePoint()) return;
    AddUp(facts_);
    stalled_since_.reset();
    facts_.ended = clock_.Now();
    facts_.was_delivered = was_delivered;
    KeepLastPrompt();
  }
  if (log_ != nullptr) log_->OnEnd(*this);
}

void RequestRecord::OnGeneration(const std::string& id, const std::string& response_id,
                                 const std::string& model) {
  {
    const std::lock_guard lock(mutex_);
    facts_.is_generation = true;
    facts_.origin.id = Clip(id);
    facts_.response_id = Clip(response_id);
    facts_.model = Clip(model);
  }
  if (log_ != nullptr) log_->AddIds(*this, {Clip(id), Clip(response_id)});
}

int RequestRecord::OnPromptBegun() {
  const std::lock_guard lock(mutex_);
  Prompt& prompt = prompts_.emplace_back();
  prompt.known.begun = clock_.Now();
  return facts_.num_prompts++;
}

void RequestRecord::OnRendered(int prompt) {
  const std::lock_guard lock(mutex_);
  if (facts_.ended != TimePoint()) return;
  prompts_[static_cast<size_t>(prompt)].known.rendered = clock_.Now();
}

std::shared_ptr<TimelineSlot> RequestRecord::OnSubmit(int prompt, int num_tokens) {
  auto slot = std::make_shared<TimelineSlot>();
  const std::lock_guard lock(mutex_);
  if (facts_.ended != TimePoint()) return nullptr;
  Prompt& submitted = prompts_[static_cast<size_t>(prompt)];
  submitted.known.submitted = clock_.Now();
  submitted.known.prompt_tokens = num_tokens;
  facts_.prompt_tokens += num_tokens;
  submitted.slot = slot;
  return slot;
}

void RequestRecord::OnPumped(int prompt, Pumped pumped) {
  const std::lock_guard lock(mutex_);
  if (facts_.ended != TimePoint()) return;  // what came later is nobody's
  PromptRecord& known = prompts_[static_cast<size_t>(prompt)].known;
  const TimePoint now = clock_.Now();
  known.in_text += now - pumped.taken;
  facts_.cached_tokens += pumped.cached_tokens - known.cached_tokens;
  facts_.completion_tokens += pumped.completion_tokens - known.completion_tokens;
  known.cached_tokens = pumped.cached_tokens;
  known.completion_tokens = pumped.completion_tokens;
  if (!pumped.has_finished) return;
  known.last_event = pumped.last_event;
  known.taken = pumped.taken;
  known.finished = now;
  known.finishes = std::move(pumped.finishes);
}

void RequestRecord::TakeTimelines() const {
  for (Prompt& prompt : prompts_) {
    if (prompt.slot == nullptr) continue;
    if (auto taken = prompt.slot->Take()) prompt.known.timeline = std::move(taken);
  }
}

// A record that stays must not be larger for a request of many prompts.
void RequestRecord::KeepLastPrompt() {
  if (prompts_.size() < 2) return;
  const auto end_of = [](const Prompt& prompt) {
    return prompt.known.finished == TimePoint() ? TimePoint::max() : prompt.known.finished;
  };
  const auto last = std::ranges::max_element(prompts_, {}, end_of);
  // The earlier ones became tokens before it did.
  last->known.begun = last->known.rendered = prompts_.front().known.begun;
  if (last != prompts_.begin()) std::swap(prompts_.front(), *last);
  prompts_.resize(1);
}

std::string RequestRecord::id() const {
  const std::lock_guard lock(mutex_);
  return facts_.origin.id;
}

int RequestRecord::key() const {
  const std::lock_guard lock(mutex_);
  return facts_.origin.key;
}

RequestFacts RequestRecord::Read() const {
  const std::lock_guard lock(mutex_);
  TakeTimelines();
  RequestFacts facts = facts_;
  AddUp(facts);
  for (const Prompt& prompt : prompts_) facts.prompts.push_back(prompt.known);
  return facts;
}

}  // namespace runahead

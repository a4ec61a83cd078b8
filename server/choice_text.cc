#include "server/choice_text.h"

#include <algorithm>
#include <optional>

namespace runahead {
namespace {

// Of valid UTF-8: every byte but the continuation bytes starts one.
int64_t CountCodePoints(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; });
}

bool IsOneOf(const std::vector<int32_t>& ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

ChoiceText::Options ChoiceText::Options::From(const GenerationRequest& request) {
  Options options;
  options.stop = request.stop;
  options.stop_ids = request.stop_token_ids;
  options.min_tokens = request.min_tokens;
  options.include_stop = request.include_stop_in_output;
  options.skip_special = request.skip_special_tokens;
  options.continues_text = !std::holds_alternative<ChatPrompt>(request.prompt);
  options.include_drafter = request.speculation.include_drafter;
  return options;
}

ChoiceText::ChoiceText(const Tokenizer& tokenizer, const StopStrings& strings,
                       const Options& options)
    : tokenizer_(tokenizer),
      options_(options),
      detokenizer_(tokenizer, options.skip_special, options.continues_text),
      matcher_(strings) {}

void ChoiceText::StartAt(std::string_view echo) { num_chars_ = CountCodePoints(echo); }

Delta ChoiceText::OnEvent(TokenEvent& event) {
  Delta delta;
  if (event.token >= 0) PushToken(event, delta);
  if (event.finish != FinishReason::kNone && !finished_) {
    Feed(detokenizer_.Finish(), delta);
    if (!finished_) {
      delta.text += matcher_.Finish();
      delta.finish = event.finish;
      if (event.stop_token && IsOneOf(options_.stop_ids, *event.stop_token)) {
        delta.stop_reason = *event.stop_token;
      }
      delta.error = std::move(event.error);
      finished_ = true;
    }
  }
  ReleaseTokens(delta);
  return delta;
}

void ChoiceText::PushToken(TokenEvent& event, Delta& delta) {
  ++num_tokens_;
  TokenDetail detail;
  detail.id = event.token;
  detail.bytes = tokenizer_.TokenBytes(event.token);
  detail.logprobs = std::move(event.logprobs);
  detail.text_offset = num_chars_;
  if (options_.include_drafter) detail.drafted_by = event.drafted_by;
  const bool is_text = !event.stop_token || options_.include_stop;
  const std::string text = is_text ? detokenizer_.Push(event.token) : std::string();
  produced_bytes_ += static_cast<int64_t>(text.size());
  num_chars_ += CountCodePoints(text);
  held_.push_back({std::move(detail), produced_bytes_});
  Feed(text, delta);
}

void ChoiceText::Feed(std::string_view text, Delta& delta) {
  if (text.empty()) return;
  if (options_.stop.empty() || num_tokens_ <= options_.min_tokens) {
    delta.text += text;
    released_bytes_ += static_cast<int64_t>(text.size());
    return;
  }
  StopMatcher::Output out = matcher_.Push(text, options_.include_stop);
  delta.text += out.text;
  released_bytes_ += static_cast<int64_t>(out.text.size());
  if (!out.stop_index) return;
  delta.finish = FinishReason::kStop;
  delta.stop_reason = options_.stop[static_cast<size_t>(*out.stop_index)];
  finished_ = true;
  matched_ = true;
}

void ChoiceText::ReleaseTokens(Delta& delta) {
  while (!held_.empty() && (finished_ || held_.front().end <= released_bytes_)) {
    delta.tokens.push_back(std::move(held_.front().detail));
    held_.pop_front();
  }
}

Delta EchoOf(const Tokenizer& tokenizer, const Prompt& prompt, const std::vector<int32_t>& ids,
             const std::vector<PositionLogprobs>& logprobs, bool skip_special) {
  Delta delta;
  const auto* text = std::get_if<TextPrompt>(&prompt);
  delta.text = text != nullptr ? text->text : tokenizer.Decode(ids, skip_special);
  Detokenizer detokenizer(tokenizer, skip_special, false);
  int64_t num_chars = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    TokenDetail detail;
    detail.id = ids[i];
    detail.bytes = tokenizer.TokenBytes(ids[i]);
    detail.text_offset = num_chars;
    if (i > 0 && i <= logprobs.size()) detail.logprobs = logprobs[i - 1];
    num_chars += CountCodePoints(detokenizer.Push(ids[i]));
    delta.tokens.push_back(std::move(detail));
  }
  return delta;
}

}  // namespace runahead

// ChoiceText: the tokens of one choice to text, stop strings and token details as they arrive. One
// thread at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/request.h"
#include "server/generation.h"
#include "text/detokenizer.h"
#include "text/stop_matcher.h"
#include "text/tokenizer.h"

namespace runahead {

// A token's detail is handed out with the delta that completes its text, so logprobs never run
// ahead of text that a stop string may still take back. The details end at the matching token.
class ChoiceText {
 public:
  struct Options {
    std::vector<std::string> stop;  // those of `strings`, by index
    std::vector<int32_t> stop_ids;  // the request's own: the model's end of text is no stop reason
    int min_tokens = 0;             // stop strings are not looked for in the first so many tokens
    bool include_stop = false;
    bool skip_special = true;
    bool continues_text = true;  // not a chat: the first token's leading space stays
    bool include_drafter = false;

    static Options From(const GenerationRequest& request);
  };

  // All are borrowed and outlive the object.
  ChoiceText(const Tokenizer& tokenizer, const StopStrings& strings, const Options& options);

  // What became certain; `choice` is left 0. Call no more once finished().
  Delta OnEvent(TokenEvent& event);

  // The choice's text begins with `echo` already: token offsets count from its start.
  void StartAt(std::string_view echo);

  bool finished() const { return finished_; }
  // The choice ended by a stop string: the engine has to be told, even where it ended the choice
  // itself.
  bool matched_stop_string() const { return matched_; }
  int num_tokens() const { return num_tokens_; }

 private:
  struct Held {
    TokenDetail detail;
    int64_t end = 0;  // bytes of this choice's text up to and with the token
  };

  void PushToken(TokenEvent& event, Delta& delta);
  void Feed(std::string_view text, Delta& delta);
  void ReleaseTokens(Delta& delta);

  const Tokenizer& tokenizer_;
  const Options& options_;
  Detokenizer detokenizer_;
  StopMatcher matcher_;
  std::deque<Held> held_;
  int64_t num_chars_ = 0;       // code points detokenized, echo included
  int64_t produced_bytes_ = 0;  // detokenized
  int64_t released_bytes_ = 0;  // handed out
  int num_tokens_ = 0;
  bool finished_ = false;
  bool matched_ = false;
};

// The prompt as the first delta of a choice that echoes it; logprobs are those of prompt
// tokens 1.., or empty.
Delta EchoOf(const Tokenizer& tokenizer, const Prompt& prompt, const std::vector<int32_t>& ids,
             const std::vector<PositionLogprobs>& logprobs, bool skip_special);

}  // namespace runahead

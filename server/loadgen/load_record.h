// LoadRecord: what one request of a load came to, as its client saw it. Plain data.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace runahead {

// From the answer's usage; how many tokens came never follows from the chunks: with speculation one
// chunk has several.
struct AnswerUsage {
  int prompt_tokens = 0;
  int completion_tokens = 0;
  int cached_tokens = 0;                 // of the prompt, from the server's prefix cache
  std::optional<int> target_steps = {};  // speculation, where the server reports it:
  int drafted_tokens = 0;
  int accepted_tokens = 0;
};

// Times in seconds since the run began.
struct LoadRecord {
  double due_s = 0;    // when an open loop meant to send it
  double sent_s = 0;   // when it was sent, before a connection was made for it, if one was needed
  double last_s = 0;   // arrival of the last chunk that belongs to a choice
  double ended_s = 0;  // when nothing more was awaited, also of a failure
  std::vector<double> text_s = {};  // arrival of each chunk that has text
  std::optional<AnswerUsage> usage = {};
  std::string finish_reason = {};
  std::string error_kind = {};  // empty: answered in full. Else connect, closed, timeout,
                                // http_<status>, error_event, bad_answer or interrupted
  std::string error = {};       // in words

  bool ok() const { return error_kind.empty(); }
  double E2e() const { return last_s - sent_s; }
  // Not of an answer without text, nor of one that came whole.
  std::optional<double> Ttft() const {
    if (text_s.empty()) return std::nullopt;
    return text_s.front() - sent_s;
  }
  // (E2E - TTFT) / (tokens - 1): not of an answer of one token, nor of one without usage.
  std::optional<double> Tpot() const {
    if (text_s.empty() || !usage || usage->completion_tokens < 2) return std::nullopt;
    return (E2e() - *Ttft()) / (usage->completion_tokens - 1);
  }
};

}  // namespace runahead

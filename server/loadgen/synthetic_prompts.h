// SyntheticPrompts: made-up text of given lengths. One thread at a time.
#pragma once

#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "core/status.h"

namespace runahead {

struct SyntheticSpec {
  int min_tokens = 128;  // of a prompt, all that the server counts; uniform between the two
  int max_tokens = 128;
  int shared_prefix = 0;  // leading tokens that the prompts of one group have in common
  int num_groups = 1;     // prompts take turns
  uint64_t seed = 1;
};

struct SyntheticPrompt {
  std::string text = {};
  int wanted_tokens = 0;
  int num_tokens = 0;  // as counted; 0: nobody could tell, so words were taken for tokens
  int group = 0;
};

// How many tokens the server makes of a prompt of this text, its chat template's own included.
using TokenCounter = std::function<Result<int>(const std::string& text)>;

// Words of every day in random order: no two prompts begin alike beyond their group's prefix, and
// nothing is to be learned from them about how well drafts are guessed. Without a counter a token
// counts as three quarters of a word, as in English text.
class SyntheticPrompts {
 public:
  SyntheticPrompts(const SyntheticSpec& spec, TokenCounter counter)
      : spec_(spec), counter_(std::move(counter)), bits_(spec.seed) {}

  // The next prompt. Fails where the counter does, and where the template alone is longer.
  Result<SyntheticPrompt> Next();

 private:
  Result<std::string> Fit(const std::string& prefix, int num_tokens, int& counted);
  std::string Words(int count);

  SyntheticSpec spec_;
  TokenCounter counter_;  // null: none
  std::mt19937_64 bits_;
  std::vector<std::string> prefixes_;
  int num_made_ = 0;
  double words_per_token_ = 0.75;
};

}  // namespace runahead

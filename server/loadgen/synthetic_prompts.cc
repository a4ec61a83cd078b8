#include "server/loadgen/synthetic_prompts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace runahead {
namespace {

constexpr std::array<std::string_view, 128> kWords = {
    "about",  "after",    "again",  "air",    "all",    "along",     "also",      "always",
    "animal", "answer",   "around", "ask",    "away",   "back",      "because",   "before",
    "began",  "below",    "better", "big",    "book",   "both",      "boy",       "bring",
    "call",   "came",     "car",    "change", "child",  "city",      "close",     "come",
    "could",  "country",  "cut",    "day",    "did",    "different", "does",      "down",
    "each",   "earth",    "eat",    "end",    "enough", "even",      "every",     "example",
    "eye",    "face",     "family", "far",    "father", "feet",      "few",       "find",
    "first",  "follow",   "food",   "found",  "four",   "friend",    "garden",    "girl",
    "give",   "good",     "great",  "group",  "grow",   "hand",      "hard",      "head",
    "hear",   "help",     "high",   "home",   "house",  "idea",      "important", "keep",
    "kind",   "know",     "land",   "large",  "last",   "learn",     "leave",     "left",
    "letter", "life",     "light",  "line",   "little", "live",      "long",      "look",
    "made",   "make",     "many",   "money",  "mother", "mountain",  "move",      "music",
    "name",   "near",     "night",  "number", "often",  "open",      "page",      "paper",
    "people", "place",    "plant",  "point",  "river",  "room",      "school",    "sea",
    "second", "sentence", "small",  "sound",  "story",  "study",     "table",     "water"};

// Words by which a text is brought up to its length: a token each with almost any vocabulary.
constexpr std::string_view kFiller = " a";

std::string FirstWords(const std::vector<std::string_view>& words, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) {
    if (i > 0) out += ' ';
    out += words[static_cast<size_t>(i)];
  }
  return out;
}

std::string Joined(const std::string& prefix, const std::string& rest) {
  return prefix.empty() || rest.empty() ? prefix + rest : prefix + " " + rest;
}

}  // namespace

std::string SyntheticPrompts::Words(int count) {
  std::string out;
  for (int i = 0; i < count; ++i) {
    if (i > 0) out += ' ';
    out += kWords[bits_() % kWords.size()];
  }
  return out;
}

// `prefix` and as many words as make the text num_tokens long, or as near as it gets. Tokens grow
// with words, so a few guesses at the ratio bracket the length.
Result<std::string> SyntheticPrompts::Fit(const std::string& prefix, int num_tokens, int& counted) {
  std::vector<std::string_view> words;
  int low = 0;  // words that are not too many
  int low_tokens = 0;
  int high = num_tokens + 1;  // no word is less than a token
  for (int i = 0; i < high; ++i) words.push_back(kWords[bits_() % kWords.size()]);
  RA_ASSIGN_OR_RETURN(low_tokens, counter_(prefix));
  if (low_tokens > num_tokens) {
    return InvalidArgument(
        "a prompt of " + std::to_string(num_tokens) +
        " tokens is too short: the server's template and the shared prefix take " +
        std::to_string(low_tokens));
  }
  const int empty_tokens = low_tokens;
  while (low_tokens < num_tokens && high - low > 1) {
    const double step = (num_tokens - low_tokens) * words_per_token_;
    const int guess = std::clamp(low + static_cast<int>(std::lround(step)), low + 1, high - 1);
    RA_ASSIGN_OR_RETURN(const int tokens, counter_(Joined(prefix, FirstWords(words, guess))));
    if (tokens > empty_tokens)
      words_per_token_ = guess / static_cast<double>(tokens - empty_tokens);
    if (tokens > num_tokens) {
      high = guess;
    } else {
      low = guess;
      low_tokens = tokens;
    }
  }
  std::string text = Joined(prefix, FirstWords(words, low));
  counted = low_tokens;
  if (counted == num_tokens) return text;
  std::string filled = text;
  for (int i = counted; i < num_tokens; ++i) filled += kFiller;
  RA_ASSIGN_OR_RETURN(const int tokens, counter_(filled));
  if (std::abs(tokens - num_tokens) >= num_tokens - counted) return text;
  counted = tokens;
  return filled;
}

Result<SyntheticPrompt> SyntheticPrompts::Next() {
  SyntheticPrompt prompt;
  const auto span = static_cast<uint64_t>(spec_.max_tokens - spec_.min_tokens + 1);
  prompt.wanted_tokens = spec_.min_tokens + static_cast<int>(bits_() % span);
  prompt.group = num_made_++ % spec_.num_groups;
  const auto by_words = [](int tokens) { return std::max(1, tokens * 3 / 4); };
  if (spec_.shared_prefix > 0 && std::ssize(prefixes_) <= prompt.group) {
    int counted = 0;
    if (counter_ != nullptr) {
      RA_ASSIGN_OR_RETURN(std::string prefix, Fit("", spec_.shared_prefix, counted));
      prefixes_.push_back(std::move(prefix));
    } else {
      prefixes_.push_back(Words(by_words(spec_.shared_prefix)));
    }
  }
  const std::string prefix =
      spec_.shared_prefix > 0 ? prefixes_[static_cast<size_t>(prompt.group)] : std::string();
  if (counter_ != nullptr) {
    RA_ASSIGN_OR_RETURN(prompt.text, Fit(prefix, prompt.wanted_tokens, prompt.num_tokens));
  } else {
    const int own = prompt.wanted_tokens - spec_.shared_prefix;
    prompt.text = Joined(prefix, own > 0 ? Words(by_words(own)) : "");
  }
  return prompt;
}

}  // namespace runahead

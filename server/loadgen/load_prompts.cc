#include "server/loadgen/load_prompts.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <random>
#include <utility>

namespace runahead {
namespace {

using Json = nlohmann::ordered_json;

// Streams of random numbers that have nothing to do with each other.
constexpr uint64_t kWarmUpSeed = 0x9E3779B97F4A7C15ull;
constexpr uint64_t kOutputSeed = 0xBF58476D1CE4E5B9ull;
constexpr uint64_t kShuffleSeed = 0x94D049BB133111EBull;

bool ParseCount(std::string_view text, int& count) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  return error == std::errc() && end == text.data() + text.size() && count >= 1;
}

// The same with every standard library, unlike std::shuffle.
void Shuffle(std::vector<Json>& bodies, uint64_t seed) {
  std::mt19937_64 random(seed ^ kShuffleSeed);
  for (size_t i = bodies.size(); i > 1; --i) std::swap(bodies[i - 1], bodies[random() % i]);
}

Result<Prompts> FromFile(const PromptSpec& spec) {
  RA_ASSIGN_OR_RETURN(PromptFile file, ReadPromptFile(spec.file, spec.endpoint));
  if (spec.shuffles) Shuffle(file.bodies, spec.seed);
  const size_t num_prompts = file.bodies.size();
  Prompts out;
  for (int i = 0; i < spec.num_requests; ++i) {
    out.bodies.push_back(file.bodies[static_cast<size_t>(i) % num_prompts]);
  }
  out.description = std::to_string(num_prompts) + " of " + spec.file;
  if (spec.shuffles) out.description += ", shuffled";
  if (file.num_skipped > 0) {
    out.description += ", " + std::to_string(file.num_skipped) + " without a human turn skipped";
  }
  if (num_prompts < out.bodies.size()) {
    out.description += ", repeated: a prefix cache knows them from their second time on";
  }
  return out;
}

std::string RangeText(const TokenRange& range) {
  const std::string min = std::to_string(range.min);
  return range.min == range.max ? min : min + " to " + std::to_string(range.max);
}

Result<Prompts> Synthetic(const PromptSpec& spec, TokenCounter counter) {
  const bool has_counter = counter != nullptr;
  SyntheticPrompts source({.min_tokens = spec.input.min,
                           .max_tokens = spec.input.max,
                           .shared_prefix = spec.shared_prefix,
                           .num_groups = spec.num_groups,
                           .seed = spec.seed},
                          std::move(counter));
  Prompts out;
  int worst = 0;
  for (int i = 0; i < spec.num_requests; ++i) {
    RA_ASSIGN_OR_RETURN(const SyntheticPrompt prompt, source.Next());
    worst = std::max(worst, std::abs(prompt.num_tokens - prompt.wanted_tokens));
    out.bodies.push_back(BodyOf(prompt.text, spec.endpoint));
  }
  out.description = "synthetic, " + RangeText(spec.input) + " tokens";
  if (!has_counter) {
    out.description += " by words (no /tokenize): usage tells how many they were";
  } else if (worst == 0) {
    out.description += ", exactly, by the server's /tokenize";
  } else {
    out.description += " give or take " + std::to_string(worst) + ", by the server's /tokenize";
  }
  if (spec.shared_prefix > 0) {
    out.description += "; the first " + std::to_string(spec.shared_prefix) + " shared in " +
                       std::to_string(spec.num_groups) +
                       (spec.num_groups == 1 ? " group" : " groups");
  }
  return out;
}

}  // namespace

Result<TokenRange> ParseTokenRange(const std::string& flag, const std::string& text) {
  TokenRange range;
  const size_t dash = text.find('-');
  const std::string_view whole = text;
  bool is_range = ParseCount(whole.substr(0, dash), range.min);
  range.max = range.min;
  if (dash != text.npos) is_range = is_range && ParseCount(whole.substr(dash + 1), range.max);
  if (is_range && range.min <= range.max) return range;
  return InvalidArgument(flag + ": \"" + text +
                         "\" is neither a number of tokens nor a range such as 64-256");
}

Result<Prompts> MakePrompts(const PromptSpec& spec, TokenCounter counter) {
  return spec.file.empty() ? Synthetic(spec, std::move(counter)) : FromFile(spec);
}

std::vector<Json> WarmUpPrompts(const PromptSpec& spec, const std::vector<Json>& bodies,
                                int count) {
  std::vector<Json> out;
  for (int i = 0; i < count; ++i) {
    // About four bytes to a token; without a counter nothing can fail.
    const size_t bytes = bodies[static_cast<size_t>(i) % bodies.size()].dump().size();
    const int tokens = std::max(8, static_cast<int>(bytes / 5));
    SyntheticPrompts source({.min_tokens = tokens,
                             .max_tokens = tokens,
                             .seed = spec.seed + kWarmUpSeed + static_cast<uint64_t>(i)},
                            nullptr);
    out.push_back(BodyOf(source.Next()->text, spec.endpoint));
  }
  return out;
}

std::vector<std::string> FinishBodies(const BodySpec& spec, const std::vector<Json>& prompts) {
  std::mt19937_64 random(spec.seed ^ kOutputSeed);
  const auto span = static_cast<uint64_t>(spec.output.max - spec.output.min + 1);
  std::vector<std::string> out;
  for (size_t i = 0; i < prompts.size(); ++i) {
    Json body = {{"model", spec.model}};
    body["max_tokens"] = spec.output.min + static_cast<int>(random() % span);
    body["temperature"] = spec.temperature;
    if (spec.temperature > 0) body["seed"] = spec.seed + i;
    if (spec.ignores_eos) body["ignore_eos"] = true;
    if (spec.asks_for_drafts) body["speculation"] = {{"include_usage", true}};
    body.update(prompts[i], true);
    body.update(spec.extra, true);
    body["model"] = spec.model;
    body["stream"] = spec.streams;
    body.erase("stream_options");
    if (spec.streams) body["stream_options"] = {{"include_usage", true}};
    out.push_back(body.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  return out;
}

}  // namespace runahead

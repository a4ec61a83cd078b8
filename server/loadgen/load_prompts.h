// The requests of a load, as JSON bodies. One thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"

#include "core/status.h"
#include "server/loadgen/prompt_file.h"
#include "server/loadgen/synthetic_prompts.h"

namespace runahead {

// "128", or "64-256": uniform between the two.
struct TokenRange {
  int min = 128;
  int max = 128;
};

Result<TokenRange> ParseTokenRange(const std::string& flag, const std::string& text);

struct PromptSpec {
  Endpoint endpoint = Endpoint::kChat;
  int num_requests = 100;
  std::string file = {};  // of prompts; empty: synthetic ones
  bool shuffles = false;
  TokenRange input = {};
  int shared_prefix = 0;
  int num_groups = 1;
  uint64_t seed = 1;
};

struct Prompts {
  std::vector<nlohmann::ordered_json> bodies = {};  // num_requests of them
  std::string description = {};
};

// From the file, in its order and again from its start where it has too few, or made up. `counter`
// may be null.
Result<Prompts> MakePrompts(const PromptSpec& spec, TokenCounter counter);

// As many prompts of other words and about the same lengths, for a warm-up that leaves nothing in a
// prefix cache.
std::vector<nlohmann::ordered_json> WarmUpPrompts(const PromptSpec& spec,
                                                  const std::vector<nlohmann::ordered_json>& bodies,
                                                  int count);

struct BodySpec {
  std::string model = {};
  TokenRange output = {};
  double temperature = 0;
  bool ignores_eos = false;
  bool streams = true;
  bool asks_for_drafts = false;  // usage.speculation, which only Runahead knows
  uint64_t seed = 1;
  nlohmann::ordered_json extra = nlohmann::ordered_json::object();
};

// Prompts with everything else a request says. What a line of a file says itself counts more than
// the spec, and `extra` more than both; model and streaming are the spec's always.
std::vector<std::string> FinishBodies(const BodySpec& spec,
                                      const std::vector<nlohmann::ordered_json>& prompts);

}  // namespace runahead

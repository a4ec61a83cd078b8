// The ranges of a request's fields, checked in one place for every door. Pure functions.
#pragma once

#include <cstddef>

#include "nlohmann/json.hpp"

#include "core/status.h"
#include "server/generation.h"
#include "server/served_model.h"

namespace runahead {

inline constexpr int kMaxChoices = 128;
inline constexpr int kMaxTopLogprobs = 20;
inline constexpr size_t kMaxStopStrings = 1024;
inline constexpr size_t kMaxStopBytes = 64 << 10;  // of all stop strings together
inline constexpr size_t kMaxLogitBias = 4096;
inline constexpr size_t kMaxMessages = 4096;

// The model's own defaults, before the request's fields are read over them.
void ApplyDefaults(const SamplingDefaults& defaults, SamplingParams& sampling);

// kInvalidArgument naming the first field (by its OpenAI or vLLM name) that is out of range, not
// finite, or names a token id the model does not have.
Status CheckRanges(const GenerationRequest& request, const ServedModel& model);

// At least one message, each an object with a known role, and content where its role needs one.
// `param` names the message: "messages[2].role".
Status CheckMessages(const nlohmann::ordered_json& messages);

}  // namespace runahead

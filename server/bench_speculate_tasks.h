// What `runahead bench speculate` serves: requests of a task, the same for every row. Pure
// functions but for reading the prompts.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/status.h"
#include "engine/request.h"
#include "server/served_model.h"

namespace runahead {

// One prompt a line; "\n" within one is written as a backslash and an n. By the model's chat
// template where it has one. kNotFound, or kInvalidArgument for a file without prompts.
Result<std::vector<std::vector<int32_t>>> LoadPrompts(const std::string& file,
                                                      const ServedModel& model);

// `tokens` with a few changes: every 40 tokens or so one to three are replaced, dropped or put in.
std::vector<int32_t> WithEdits(std::vector<int32_t> tokens, uint64_t seed);

// Prompts of 128 tokens cut from the given ones, the first 64 of which are all the same.
std::vector<std::vector<int32_t>> TrafficPrompts(const std::vector<std::vector<int32_t>>& prompts,
                                                 size_t count);

// Splits the chat prompts' answers after one another into texts of about num_tokens tokens.
std::vector<int32_t> JoinTokens(const std::vector<std::vector<int32_t>>& pieces, size_t num_tokens);

}  // namespace runahead

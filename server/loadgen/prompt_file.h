// Prompts of a file, as the bodies of requests. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nlohmann/json.hpp"

#include "core/status.h"

namespace runahead {

enum class Endpoint { kChat, kCompletions };

struct PromptFile {
  std::vector<nlohmann::ordered_json> bodies =
      {};               // with messages or prompt, and what else a line asks
  int num_skipped = 0;  // conversations without a human turn
};

// Each line is a JSON object of one of these forms (docs/benchmarking.md):
//   {"prompt": "text", ...}, {"messages": [...], ...}       members of the request itself
//   {"custom_id", "method", "url", "body": {...}}           OpenAI's batches
//   {"conversations": [{"from": "human", "value"}, ...]}    ShareGPT: the first human turn
// ShareGPT's files, one array, are read as well. Text becomes what the endpoint takes; messages fit
// chat alone. An error names the line.
Result<PromptFile> ParseJsonPrompts(const std::string& text, Endpoint endpoint);

// One prompt a line, in which \n stands for a line break.
PromptFile ParseTextPrompts(const std::string& text, Endpoint endpoint);

// By the file's name: .txt is text, all else JSON. Fails where it has no prompt.
Result<PromptFile> ReadPromptFile(const std::string& path, Endpoint endpoint);

// The body that asks `text` of the endpoint.
nlohmann::ordered_json BodyOf(std::string_view text, Endpoint endpoint);

}  // namespace runahead

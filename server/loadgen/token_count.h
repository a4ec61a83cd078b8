// Asks a server how many tokens it makes of a text. One thread at a time.
#pragma once

#include <string>

#include "server/loadgen/load_client.h"
#include "server/loadgen/prompt_file.h"
#include "server/loadgen/synthetic_prompts.h"

namespace runahead {

// By POST /tokenize, as vLLM and we have it, or llama.cpp, whose says nothing of chat templates.
// Null where the server has none. The client is borrowed.
TokenCounter MakeTokenCounter(LoadClient& client, const std::string& model, Endpoint endpoint);

}  // namespace runahead

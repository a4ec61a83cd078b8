#include "server/loadgen/token_count.h"

#include <utility>

#include "nlohmann/json.hpp"

namespace runahead {
namespace {

using Json = nlohmann::ordered_json;

Result<int> Count(LoadClient& client, const Json& question) {
  RA_ASSIGN_OR_RETURN(const std::string text, client.Call("POST", "/tokenize", question.dump()));
  const Json answer = Json::parse(text, nullptr, false);
  if (answer.is_object()) {
    const Json count = answer.value("count", Json());
    if (count.is_number_integer()) return count.get<int>();
    const Json tokens = answer.value("tokens", Json());
    if (tokens.is_array()) return static_cast<int>(tokens.size());
  }
  return Status(StatusCode::kInternal, "/tokenize counts nothing: " + text.substr(0, 200));
}

Json AsMessages(const std::string& model, const std::string& text) {
  Json question = BodyOf(text, Endpoint::kChat);
  question["model"] = model;
  return question;
}

// `prompt` is vLLM's name for it and ours, `content` llama.cpp's.
Json AsText(const std::string& model, const std::string& text) {
  return {{"model", model},
          {"prompt", text},
          {"content", text},
          {"add_special_tokens", true},
          {"add_special", true}};
}

}  // namespace

TokenCounter MakeTokenCounter(LoadClient& client, const std::string& model, Endpoint endpoint) {
  using Ask = Json (*)(const std::string& model, const std::string& text);
  for (const Ask ask : {Ask(AsMessages), Ask(AsText)}) {
    if (ask == Ask(AsMessages) && endpoint != Endpoint::kChat) continue;
    // llama.cpp takes messages for no text at all: 0 tokens.
    const Result<int> probe = Count(client, ask(model, "one two three"));
    if (!probe.ok() || *probe < 1) continue;
    return
        [&client, model, ask](const std::string& text) { return Count(client, ask(model, text)); };
  }
  return nullptr;
}

}  // namespace runahead

#include "server/loadgen/prompt_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <utility>

namespace runahead {
namespace {

using Json = nlohmann::ordered_json;

bool IsText(const Json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_string();
}

// Of a ShareGPT conversation; nothing where no human says anything.
std::optional<std::string> FirstHumanTurn(const Json& conversation) {
  for (const Json& turn : conversation) {
    if (!turn.is_object() || !IsText(turn, "from") || !IsText(turn, "value")) continue;
    if (turn["from"] != "human" && turn["from"] != "user") continue;
    if (!turn["value"].get_ref<const std::string&>().empty()) return turn["value"];
  }
  return std::nullopt;
}

// The members of a request with its prompt in the form that the endpoint takes.
Result<Json> FitEndpoint(Json body, Endpoint endpoint) {
  const bool has_messages = body.contains("messages") && body["messages"].is_array();
  if (has_messages) {
    if (endpoint == Endpoint::kChat) return body;
    return InvalidArgument("has messages, which only --endpoint chat takes");
  }
  if (!body.contains("prompt")) {
    return InvalidArgument("has none of prompt, messages, body and conversations");
  }
  if (endpoint == Endpoint::kCompletions) return body;
  if (!body["prompt"].is_string()) {
    return InvalidArgument("has a prompt that is no text, which only --endpoint completions takes");
  }
  Json messages = BodyOf(body["prompt"].get_ref<const std::string&>(), endpoint)["messages"];
  body.erase("prompt");
  body["messages"] = std::move(messages);
  return body;
}

Status AddRecord(const Json& record, Endpoint endpoint, PromptFile& file) {
  if (!record.is_object()) return InvalidArgument("is not a JSON object");
  if (record.contains("conversations")) {
    const std::optional<std::string> text = FirstHumanTurn(record["conversations"]);
    if (text) {
      file.bodies.push_back(BodyOf(*text, endpoint));
    } else {
      ++file.num_skipped;
    }
    return {};
  }
  const bool is_batch = record.contains("body") && record["body"].is_object();
  RA_ASSIGN_OR_RETURN(Json body, FitEndpoint(is_batch ? record["body"] : record, endpoint));
  file.bodies.push_back(std::move(body));
  return {};
}

Status Located(const char* what, size_t number, const std::string& message) {
  return InvalidArgument(std::string(what) + " " + std::to_string(number) + " " + message);
}

Result<PromptFile> ParseArray(const std::string& text, Endpoint endpoint) {
  const Json records = Json::parse(text, nullptr, false);
  if (!records.is_array()) return InvalidArgument("begins as a JSON array, but is none");
  PromptFile file;
  for (size_t i = 0; i < records.size(); ++i) {
    const Status status = AddRecord(records[i], endpoint, file);
    if (!status.ok()) return Located("entry", i + 1, status.message());
  }
  return file;
}

std::string Unescape(std::string_view line) {
  std::string out;
  for (size_t i = 0; i < line.size(); ++i) {
    const bool is_break = line.substr(i, 2) == "\\n";
    out += is_break ? '\n' : line[i];
    if (is_break) ++i;
  }
  return out;
}

bool IsBlank(const std::string& line) { return line.find_first_not_of(" \t\r") == line.npos; }

}  // namespace

nlohmann::ordered_json BodyOf(std::string_view text, Endpoint endpoint) {
  if (endpoint == Endpoint::kCompletions) return {{"prompt", text}};
  return {{"messages", Json::array({{{"role", "user"}, {"content", text}}})}};
}

Result<PromptFile> ParseJsonPrompts(const std::string& text, Endpoint endpoint) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first != text.npos && text[first] == '[') return ParseArray(text, endpoint);
  PromptFile file;
  std::istringstream lines(text);
  size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (IsBlank(line)) continue;
    const Json record = Json::parse(line, nullptr, false);
    if (record.is_discarded()) return Located("line", number, "is not JSON");
    const Status status = AddRecord(record, endpoint, file);
    if (!status.ok()) return Located("line", number, status.message());
  }
  return file;
}

PromptFile ParseTextPrompts(const std::string& text, Endpoint endpoint) {
  PromptFile file;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!IsBlank(line)) file.bodies.push_back(BodyOf(Unescape(line), endpoint));
  }
  return file;
}

Result<PromptFile> ReadPromptFile(const std::string& path, Endpoint endpoint) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in) {
    const std::string cause = errno != 0 ? std::string(": ") + std::strerror(errno) : "";
    return InvalidArgument("cannot read " + path + cause);
  }
  if (path.ends_with(".txt")) {
    PromptFile file = ParseTextPrompts(text, endpoint);
    if (file.bodies.empty()) return InvalidArgument(path + " has no prompts");
    return file;
  }
  Result<PromptFile> file = ParseJsonPrompts(text, endpoint);
  if (!file.ok()) return InvalidArgument(path + ": " + file.status().message());
  if (file->bodies.empty()) return InvalidArgument(path + " has no prompts");
  return file;
}

}  // namespace runahead

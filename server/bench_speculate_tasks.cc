#include "server/bench_speculate_tasks.h"

#include <algorithm>
#include <fstream>
#include <random>

namespace runahead {
namespace {

std::string Unescaped(const std::string& line) {
  std::string out;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\' && i + 1 < line.size() && line[i + 1] == 'n') {
      out += '\n';
      ++i;
    } else {
      out += line[i];
    }
  }
  return out;
}

Result<std::vector<int32_t>> Encode(const std::string& prompt, const ServedModel& model) {
  if (model.chat_template == nullptr) return model.tokenizer->Encode(prompt, {});
  const nlohmann::ordered_json messages = {{{"role", "user"}, {"content", prompt}}};
  RA_ASSIGN_OR_RETURN(const std::string text, model.chat_template->Render(messages, {}));
  return model.tokenizer->Encode(text, {.add_special_tokens = false});
}

constexpr size_t kTrafficPrompt = 128;
constexpr size_t kTrafficShared = 64;
constexpr int kTokensPerEdit = 40;

}  // namespace

Result<std::vector<std::vector<int32_t>>> LoadPrompts(const std::string& file,
                                                      const ServedModel& model) {
  std::ifstream in(file);
  if (!in) return Status(StatusCode::kNotFound, "cannot read the prompts in " + file);
  std::vector<std::vector<int32_t>> prompts;
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    RA_ASSIGN_OR_RETURN(auto tokens, Encode(Unescaped(line), model));
    prompts.push_back(std::move(tokens));
  }
  if (prompts.empty()) return InvalidArgument("no prompts in " + file);
  return prompts;
}

std::vector<int32_t> WithEdits(std::vector<int32_t> tokens, uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto below = [&random](int limit) {
    return static_cast<int>(random() % static_cast<uint64_t>(limit));
  };
  std::vector<int32_t> out;
  int next_edit = kTokensPerEdit / 2 + below(kTokensPerEdit);
  for (size_t i = 0; i < tokens.size();) {
    if (static_cast<int>(i) < next_edit) {
      out.push_back(tokens[i++]);
      continue;
    }
    next_edit += kTokensPerEdit / 2 + below(kTokensPerEdit);
    const int size = 1 + below(3);
    const int what = below(3);  // put in, drop, replace
    if (what != 1) {
      for (int j = 0; j < size; ++j) {
        out.push_back(tokens[static_cast<size_t>(below(static_cast<int>(tokens.size())))]);
      }
    }
    if (what != 0) i += static_cast<size_t>(size);
  }
  return out;
}

std::vector<std::vector<int32_t>> TrafficPrompts(const std::vector<std::vector<int32_t>>& prompts,
                                                 size_t count) {
  const std::vector<int32_t> shared = JoinTokens(prompts, kTrafficShared);
  std::vector<std::vector<int32_t>> out;
  for (size_t i = 0; i < count; ++i) {
    std::vector<int32_t> prompt = shared;
    for (size_t p = i + 1; prompt.size() < kTrafficPrompt; ++p) {
      const std::vector<int32_t>& piece = prompts[p % prompts.size()];
      const size_t room = kTrafficPrompt - prompt.size();
      const auto size = static_cast<std::ptrdiff_t>(std::min(room, piece.size()));
      prompt.insert(prompt.end(), piece.end() - size, piece.end());
    }
    out.push_back(std::move(prompt));
  }
  return out;
}

std::vector<int32_t> JoinTokens(const std::vector<std::vector<int32_t>>& pieces,
                                size_t num_tokens) {
  std::vector<int32_t> out;
  for (size_t p = 0; out.size() < num_tokens; ++p) {
    const std::vector<int32_t>& piece = pieces[p % pieces.size()];
    out.insert(out.end(), piece.begin(), piece.end());
  }
  out.resize(num_tokens);
  return out;
}

}  // namespace runahead

#include "server/openai_format.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace runahead {
namespace {

// JSON has no infinities; OpenAI's stand-in for "very unlikely".
double Finite(float logprob) { return std::isfinite(logprob) ? logprob : -9999.0; }

Json BytesArray(std::string_view bytes) {
  Json array = Json::array();
  for (const char c : bytes) array.push_back(static_cast<unsigned char>(c));
  return array;
}

Json ChatToken(int32_t id, float logprob, const Tokenizer& tokenizer) {
  const std::string bytes(tokenizer.TokenBytes(id));
  Json out;
  out["token"] = bytes;
  out["logprob"] = Finite(logprob);
  out["bytes"] = BytesArray(bytes);
  return out;
}

Json ChatLogprobs(const std::vector<TokenDetail>& tokens, const Tokenizer& tokenizer) {
  Json content = Json::array();
  for (const TokenDetail& token : tokens) {
    if (!token.logprobs) continue;
    Json entry = ChatToken(token.id, token.logprobs->chosen.logprob, tokenizer);
    entry["top_logprobs"] = Json::array();
    for (const TokenLogprob& top : token.logprobs->top) {
      entry["top_logprobs"].push_back(ChatToken(top.token, top.logprob, tokenizer));
    }
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

// {"token": logprob}: the top ones, and the chosen one where they lack it.
Json TopOf(const PositionLogprobs& logprobs, const Tokenizer& tokenizer) {
  Json top = Json::object();
  for (const TokenLogprob& entry : logprobs.top) {
    top[std::string(tokenizer.TokenBytes(entry.token))] = Finite(entry.logprob);
  }
  const std::string chosen(tokenizer.TokenBytes(logprobs.chosen.token));
  if (!top.contains(chosen)) top[chosen] = Finite(logprobs.chosen.logprob);
  return top;
}

Json CompletionLogprobs(const std::vector<TokenDetail>& tokens, const Tokenizer& tokenizer) {
  Json out = {{"tokens", Json::array()},
              {"token_logprobs", Json::array()},
              {"top_logprobs", Json::array()},
              {"text_offset", Json::array()}};
  for (const TokenDetail& token : tokens) {
    out["tokens"].push_back(token.bytes);
    out["text_offset"].push_back(token.text_offset);
    if (token.logprobs) {
      out["token_logprobs"].push_back(Finite(token.logprobs->chosen.logprob));
      out["top_logprobs"].push_back(TopOf(*token.logprobs, tokenizer));
    } else {  // the first token of an echoed prompt has nothing before it
      out["token_logprobs"].push_back(nullptr);
      out["top_logprobs"].push_back(nullptr);
    }
  }
  return out;
}

Json Logprobs(const AnswerHead& head, const std::vector<TokenDetail>& tokens,
              const Tokenizer& tokenizer) {
  if (!head.wants_logprobs) return nullptr;
  return head.route == OpenAiRoute::kChat ? ChatLogprobs(tokens, tokenizer)
                                          : CompletionLogprobs(tokens, tokenizer);
}

Json StopReason(const std::optional<std::variant<std::string, int32_t>>& reason) {
  if (!reason) return nullptr;
  return std::visit([](const auto& value) { return Json(value); }, *reason);
}

// Who proposed each generated token, null for the model itself; null where it was not asked for.
Json DraftedBy(const std::vector<TokenDetail>& tokens) {
  Json names;
  for (const TokenDetail& token : tokens) {
    if (!token.drafted_by) continue;
    const bool is_drafted = *token.drafted_by != DrafterKind::kNone;
    names.push_back(is_drafted ? Json(DrafterName(*token.drafted_by)) : Json(nullptr));
  }
  return names;
}

Json DraftCounts(const DraftUsage::Counts& counts) {
  return {{"drafted_tokens", counts.drafted_tokens}, {"accepted_tokens", counts.accepted_tokens}};
}

Json SpeculationUsage(const DraftUsage& drafts) {
  Json out = {{"target_steps", drafts.target_steps}};
  out.update(DraftCounts(drafts.total()));
  out["drafters"] = Json::object();
  for (int i = 0; i < kNumDrafterKinds; ++i) {
    const auto kind = static_cast<DrafterKind>(i);
    if (drafts.of(kind).drafted_tokens == 0) continue;
    out["drafters"][DrafterName(kind)] = DraftCounts(drafts.of(kind));
  }
  return out;
}

const char* ObjectName(const AnswerHead& head, bool is_chunk) {
  if (head.route == OpenAiRoute::kCompletion) return "text_completion";
  return is_chunk ? "chat.completion.chunk" : "chat.completion";
}

Json Object(const AnswerHead& head, bool is_chunk, Json choices) {
  Json out;
  out["id"] = head.id;
  out["object"] = ObjectName(head, is_chunk);
  out["created"] = head.created_unix_seconds;
  out["model"] = head.model;
  out["system_fingerprint"] = head.system_fingerprint;
  out["choices"] = std::move(choices);
  return out;
}

// A chunk of one choice; `delta` is the chat's delta object, or the completion's text.
Json Chunk(const AnswerHead& head, int index, Json delta, Json logprobs) {
  Json choice;
  choice["index"] = index;
  choice[head.route == OpenAiRoute::kChat ? "delta" : "text"] = std::move(delta);
  choice["logprobs"] = std::move(logprobs);
  choice["finish_reason"] = nullptr;
  Json out = Object(head, true, Json::array({std::move(choice)}));
  if (head.include_usage) out["usage"] = nullptr;
  return out;
}

}  // namespace

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

const char* FinishReasonName(FinishReason finish) {
  return finish == FinishReason::kLength ? "length" : "stop";
}

Json FormatUsage(const Usage& usage) {
  const DraftUsage::Counts& predicted = usage.drafts.of(DrafterKind::kPrediction);
  Json out = {
      {"prompt_tokens", usage.prompt_tokens},
      {"completion_tokens", usage.completion_tokens},
      {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
      {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}, {"audio_tokens", 0}}},
      {"completion_tokens_details",
       {{"reasoning_tokens", 0},
        {"audio_tokens", 0},
        {"accepted_prediction_tokens", predicted.accepted_tokens},
        {"rejected_prediction_tokens", predicted.drafted_tokens - predicted.accepted_tokens}}}};
  if (usage.includes_drafts) out["speculation"] = SpeculationUsage(usage.drafts);
  return out;
}

Json FormatAnswer(const AnswerHead& head, const std::vector<ChoiceAnswer>& choices,
                  const Usage& usage, const Tokenizer& tokenizer) {
  Json list = Json::array();
  for (const ChoiceAnswer& answer : choices) {
    Json choice;
    choice["index"] = answer.index;
    if (head.route == OpenAiRoute::kChat) {
      choice["message"] = {{"role", "assistant"}, {"content", answer.text}, {"refusal", nullptr}};
    } else {
      choice["text"] = answer.text;
    }
    choice["logprobs"] = Logprobs(head, answer.tokens, tokenizer);
    choice["finish_reason"] = FinishReasonName(answer.finish);
    choice["stop_reason"] = StopReason(answer.stop_reason);
    if (Json names = DraftedBy(answer.tokens); !names.is_null()) {
      choice["drafted_by"] = std::move(names);
    }
    if (!answer.prompt_logprobs.is_null()) choice["prompt_logprobs"] = answer.prompt_logprobs;
    list.push_back(std::move(choice));
  }
  Json out = Object(head, false, std::move(list));
  out["usage"] = FormatUsage(usage);
  return out;
}

Json FormatRoleChunk(const AnswerHead& head, int choice) {
  return Chunk(head, choice, {{"role", "assistant"}, {"content", ""}, {"refusal", nullptr}},
               nullptr);
}

std::vector<Json> FormatDelta(const AnswerHead& head, const Delta& delta, const Usage& usage,
                              const Tokenizer* tokenizer) {
  const bool is_chat = head.route == OpenAiRoute::kChat;
  const bool has_tokens = head.wants_logprobs && !delta.tokens.empty();
  Json drafted_by = DraftedBy(delta.tokens);
  std::vector<Json> chunks;
  if (!delta.text.empty() || has_tokens || !drafted_by.is_null()) {
    Json piece = is_chat ? Json({{"content", delta.text}}) : Json(delta.text);
    chunks.push_back(Chunk(head, delta.choice, std::move(piece),
                           has_tokens ? Logprobs(head, delta.tokens, *tokenizer) : Json(nullptr)));
    if (!drafted_by.is_null()) chunks[0]["choices"][0]["drafted_by"] = std::move(drafted_by);
  }
  if (delta.finish != FinishReason::kNone) {
    Json piece = is_chat ? Json::object() : Json("");
    Json chunk = Chunk(head, delta.choice, std::move(piece), nullptr);
    chunk["choices"][0]["finish_reason"] = FinishReasonName(delta.finish);
    chunk["choices"][0]["stop_reason"] = StopReason(delta.stop_reason);
    chunks.push_back(std::move(chunk));
  }
  if (head.continuous_usage_stats) {
    for (Json& chunk : chunks) chunk["usage"] = FormatUsage(usage);
  }
  return chunks;
}

Json FormatUsageChunk(const AnswerHead& head, const Usage& usage) {
  Json out = Object(head, true, Json::array());
  out["usage"] = FormatUsage(usage);
  return out;
}

Json FormatPromptLogprobs(const std::vector<PositionLogprobs>& logprobs,
                          const Tokenizer& tokenizer) {
  const auto entry = [&](const TokenLogprob& token) {
    return Json({{"logprob", Finite(token.logprob)},
                 {"rank", token.rank},
                 {"decoded_token", std::string(tokenizer.TokenBytes(token.token))}});
  };
  Json out = Json::array({nullptr});
  for (const PositionLogprobs& position : logprobs) {
    Json tokens = Json::object();
    tokens[std::to_string(position.chosen.token)] = entry(position.chosen);
    for (const TokenLogprob& top : position.top) tokens[std::to_string(top.token)] = entry(top);
    out.push_back(std::move(tokens));
  }
  return out;
}

}  // namespace runahead

// TinyModel: a real engine over a runner that recites, with a tokenizer of one id a byte. For
// front-end tests.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

#include "core/clock.h"
#include "core/log.h"
#include "engine/engine.h"
#include "model/model_runner.h"
#include "server/generation.h"
#include "server/served_model.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace runahead {

inline constexpr int32_t kTinyEos = 256;
inline constexpr int kTinyVocab = 257;

// GPT-2's spelling of a byte, as tokenizer.json writes it.
inline std::string SpellByte(int byte) {
  int code = byte;
  const auto is_visible = [](int b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
  };
  if (!is_visible(byte)) {
    code = 256;
    for (int b = 0; b < byte; ++b) code += is_visible(b) ? 0 : 1;
  }
  if (code < 0x80)
    return code == '"' || code == '\\' ? std::string("\\") + static_cast<char>(code)
                                       : std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xc0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3f))};
}

// Id b is byte b; id 256 is the end of text.
inline std::unique_ptr<Tokenizer> MakeByteTokenizer() {
  std::string vocab;
  for (int b = 0; b < 256; ++b) {
    vocab += "\"" + SpellByte(b) + "\":" + std::to_string(b) + ",";
  }
  const std::string json =
      R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":256,)"
      R"("content":"<eos>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,)"
      R"("special":true}],"normalizer":null,"pre_tokenizer":{"type":"ByteLevel",)"
      R"("add_prefix_space":false,"trim_offsets":true,"use_regex":true},"post_processor":null,)"
      R"("decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,)"
      R"("use_regex":true},"model":{"type":"BPE","dropout":null,"unk_token":null,)"
      R"("continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,)"
      R"("byte_fallback":false,"ignore_merges":false,"vocab":{)" +
      vocab + R"("<eos>":256},"merges":[]}})";
  Result<std::unique_ptr<Tokenizer>> tokenizer = ParseTokenizerJson(json);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return std::move(*tokenizer);
}

// Answers every request with the bytes of its choice's text, then the end of text. The token at
// hand has logprob -0.5 and rank 1; prompt tokens have -1.
class Reciter final : public StepRunner {
 public:
  std::vector<std::string> texts = {"hello"};  // choice c says texts[c % size]
  bool is_endless = false;                     // start over instead of ending
  std::function<void()> before_run;            // engine thread

  const ModelOutput& Run(std::span<const SequenceRun> runs) override {
    if (before_run) before_run();
    output_ = ModelOutput();
    output_.offsets.push_back(0);
    output_.prompt_logprobs.resize(runs.size());
    for (size_t s = 0; s < runs.size(); ++s) {
      const SequenceRun& run = runs[s];
      if (run.wants_prompt_logprobs) JudgePrompt(run, output_.prompt_logprobs[s]);
      if (run.wants_token) {
        output_.token_ids.push_back(TokenOf(run));
        output_.logprobs.push_back(Judge(output_.token_ids.back(), -0.5f));
      }
      output_.offsets.push_back(static_cast<int32_t>(output_.token_ids.size()));
    }
    return output_;
  }
  void CopyBlocks(std::span<const int32_t>, std::span<const int32_t>) override {}

 private:
  static PositionLogprobs Judge(int32_t token, float logprob) {
    const TokenLogprob chosen = {token, logprob, 1};
    return {.chosen = chosen, .top = {chosen, {'z', -2.5f, 2}}};
  }
  static void JudgePrompt(const SequenceRun& run, std::vector<PositionLogprobs>& out) {
    for (size_t i = 0; i < run.tokens.size(); ++i) {
      const int32_t next = i + 1 < run.tokens.size() ? run.tokens[i + 1] : run.next_prompt_token;
      if (next >= 0) out.push_back(Judge(next, -1));
    }
  }
  int32_t TokenOf(const SequenceRun& run) const {
    const std::string& text = texts[run.choice % texts.size()];
    const size_t at = run.output.size();
    if (at >= text.size() && !is_endless) return kTinyEos;
    return static_cast<unsigned char>(text[at % text.size()]);
  }

  ModelOutput output_;
};

struct TinyModel {
  explicit TinyModel(std::vector<std::string> texts = {"hello"}, int max_context = 256) {
    reciter.texts = std::move(texts);
    served.name = "tiny";
    served.created_unix_seconds = 1700000000;
    served.fingerprint = "fp_tiny";
    served.max_context = max_context;
    served.tokenizer = MakeByteTokenizer();
    Result<ChatTemplate> chat = ChatTemplate::Parse(
        "{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}");
    EXPECT_TRUE(chat.ok());
    served.chat_template = std::make_unique<ChatTemplate>(std::move(*chat));
    served.metrics = &metrics;
    served.clock = &clock;
    models.Add(served);
  }

  // Once the reciter is set up.
  void Start(int max_queue = 64) {
    EngineConfig config;
    config.eos_token_ids = {kTinyEos};
    config.vocab_size = kTinyVocab;
    config.max_context = served.max_context;
    config.num_blocks = 256;
    config.max_queue = max_queue;
    engine = std::make_unique<Engine>(config, reciter, clock, metrics, logger);
    served.engine = engine.get();
  }

  SteadyClock clock;
  NullLogger logger;
  Metrics metrics;
  Reciter reciter;
  ServedModel served;
  ModelRegistry models;
  std::unique_ptr<Engine> engine;
};

}  // namespace runahead

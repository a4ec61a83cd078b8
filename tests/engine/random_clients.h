// RandomClients: submit, read, leave, stop early and come too late by the draw of a coin; what they
// have read is compared with what each request gives alone. One thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "engine/timeline_slot.h"
#include "loop_fixture.h"

namespace runahead {

// All tokens of one choice of a request served alone.
using AloneTokens = std::function<std::vector<int32_t>(const Request&, int choice)>;

struct RandomClientOptions {
  int vocab_size = kFakeVocab;
  int max_open = 12;
  int max_prompt_tokens = 41;
  int max_tokens = 25;
  bool speculates = false;  // requests bring modes, depths, predictions and stop ids
};

class RandomClients {
 public:
  RandomClients(LoopUnderTest& test, AloneTokens alone, uint64_t seed,
                const RandomClientOptions& options = {})
      : test_(test), alone_(std::move(alone)), random_(seed), options_(options) {}

  // One of: a request comes, a client leaves or stops early, time passes, a turn of the loop.
  void Operate() {
    const size_t operation = Draw(10);
    if (operation < 2 && static_cast<int>(open_.size()) < options_.max_open) return Submit();
    if (operation == 2) return Leave();
    if (operation == 3) return FinishEarly();
    if (operation == 4) test_.clock.Advance(std::chrono::milliseconds(Draw(3)));
    if (operation == 5) ReadAll();
    test_.Turn();
  }

  // Everybody reads to the end.
  void End() {
    test_.RunUntilIdle();
    ReadAll();
    EXPECT_TRUE(open_.empty());
    test_.RunUntilIdle();
  }

  int num_compared() const { return num_compared_; }

 private:
  struct Open {
    Request request;
    Client client;
    std::vector<bool> was_cut = {};  // by Finish
  };

  size_t Draw(size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random_); }
  int DrawInt(int bound) { return static_cast<int>(Draw(static_cast<size_t>(bound))); }

  void Submit() {
    Request request =
        MakeRequest(Counting(DrawInt(2) * 100, DrawInt(options_.max_prompt_tokens - 1)),
                    1 + DrawInt(options_.max_tokens));
    request.prompt.push_back(DrawInt(4));
    for (int32_t& token : request.prompt) token %= options_.vocab_size;
    request.sampling.temperature = Draw(2) == 0 ? 0.0f : 1.0f;
    request.seed = request.sampling.seed = Draw(1000);
    request.num_choices = Draw(4) == 0 ? 1 + DrawInt(3) : 1;
    request.priority = DrawInt(2);
    request.may_finish_early = Draw(3) == 0;
    if (Draw(5) == 0) request.deadline = test_.clock.Now() + std::chrono::milliseconds(Draw(20));
    if (Draw(6) == 0) request.sampling.num_prompt_logprobs = 0;
    if (options_.speculates) Speculate(request);
    // Timelines, which the loop's integrity covers, are of every other one: they change no token.
    if (request.prompt.size() % 2 == 0) request.timeline_slot = std::make_shared<TimelineSlot>();
    Open open = {request, test_.Submit(request)};
    open.was_cut.resize(static_cast<size_t>(request.num_choices));
    open_.push_back(std::move(open));
  }

  void Speculate(Request& request) {
    const std::vector<int32_t> output = alone_(request, 0);
    const size_t mode = Draw(5);
    if (mode == 0) request.speculation.mode = SpeculationMode::kOff;
    if (mode > 1) request.speculation.max_tokens = 1 + DrawInt(kMaxDrafts);
    if (mode > 2) request.speculation.mode = SpeculationMode::kFixed;
    if (Draw(3) == 0) {
      request.prediction = output;
      request.prediction[Draw(output.size())] = DrawInt(options_.vocab_size);
    }
    if (Draw(3) == 0) {
      request.stop_token_ids = {output[Draw(output.size())]};
      request.min_tokens = DrawInt(6);
    }
  }

  void Leave() {
    if (open_.empty()) return;
    std::swap(open_[Draw(open_.size())], open_.back());
    Compare(open_.back());
    open_.pop_back();
  }

  void FinishEarly() {
    for (Open& open : open_) {
      const auto choice = Draw(open.was_cut.size());
      const int index = static_cast<int>(choice);
      const ClientChoice& seen = open.client[index];
      if (!open.request.may_finish_early || open.was_cut[choice] || seen.tokens.empty()) continue;
      if (seen.finish == FinishReason::kExpired) continue;
      open.was_cut[choice] = true;
      open.client.stream->Finish(index, 1 + DrawInt(static_cast<int>(seen.tokens.size())));
      return;
    }
  }

  void ReadAll() {
    for (Open& open : open_) open.client.Take();
    std::erase_if(open_, [this](Open& open) {
      if (!open.client.stream->finished()) return false;
      Compare(open);
      return true;
    });
  }

  void Compare(Open& open) {
    for (size_t c = 0; c < open.was_cut.size(); ++c) {
      const ClientChoice& seen = open.client[static_cast<int>(c)];
      const std::vector<int32_t> alone = alone_(open.request, static_cast<int>(c));
      ASSERT_LE(seen.tokens.size(), alone.size());
      EXPECT_TRUE(std::equal(seen.tokens.begin(), seen.tokens.end(), alone.begin()));
      if (seen.finish == FinishReason::kLength || seen.finish == FinishReason::kStop) {
        EXPECT_EQ(seen.tokens.size(), alone.size());
      }
      EXPECT_NE(seen.finish, FinishReason::kFailed) << seen.error.message();
    }
    ++num_compared_;
  }

  LoopUnderTest& test_;
  AloneTokens alone_;
  std::mt19937_64 random_;
  RandomClientOptions options_;
  std::vector<Open> open_;
  int num_compared_ = 0;
};

// Of FakeRunner.
inline std::vector<int32_t> FakeAlone(const Request& request, int choice) {
  return FakeTokens(request.prompt, request.max_tokens, request.sampling, kFakeVocab,
                    static_cast<uint32_t>(choice), request.stop_token_ids, request.min_tokens);
}

}  // namespace runahead

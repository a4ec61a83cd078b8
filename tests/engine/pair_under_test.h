// A real target and a real draft model, both tiny, behind the engine. One thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fake_runner.h"
#include "kernels/registry.h"
#include "loop_fixture.h"
#include "model/model_runner.h"
#include "poison_cache.h"
#include "speculative/model_drafter.h"
#include "tests/model/test_model.h"

namespace runahead {

inline constexpr int kPairContext = 128;
inline constexpr int kPairBlocks = 512;
inline constexpr RunnerLimits kPairLimits = {.max_rows = 512,
                                             .max_sequences = 64,
                                             .max_logit_rows = 320,
                                             .max_context = kPairContext,
                                             .block_size = 8,
                                             .max_joined_passes = kMaxDrafts};

// Two models on one backend, with a cache each and the same block ids. What lies in the caches
// outlives the engines that serve with it: garbage that nobody may read. An empty `draft` is the
// target's own checkpoint in BF16, over the target's cache; another one is kept as the target is.
class ModelPair {
 public:
  ModelPair(const std::string& target, const std::string& draft,
            VerifyMode mode = VerifyMode::kCoupled, DType kv = DType::kF32,
            const WeightFormats& weights = WeightFormat::kF32,
            const std::function<std::unique_ptr<Backend>()>& make_backend = {})
      : target_(GoldenModel(target), {.backend = "cpu",
                                      .make_backend = make_backend,
                                      .weights = weights,
                                      .kv = kv,
                                      .num_blocks = kPairBlocks,
                                      .limits = LimitsOf(mode)}),
        kind_(draft.empty() ? DrafterKind::kSelf : DrafterKind::kModel),
        draft_(Transformer::Load(target_.backend(), GoldenModel(draft.empty() ? target : draft),
                                 {.weight_format = draft.empty() ? WeightFormat::kBF16 : weights})
                   .value()),
        draft_cache_(target_.backend(),
                     {.num_layers = draft_->config().num_layers,
                      .num_kv_heads = draft_->config().num_kv_heads,
                      .head_dim = draft_->config().head_dim,
                      .block_size = kPairLimits.block_size,
                      .dtype = kv},
                     kPairBlocks),
        draft_runner_(target_.backend(), *draft_, draft.empty() ? target_.cache() : draft_cache_,
                      kPairLimits) {
    if (mode == VerifyMode::kRejection) {
      draft_runner_.KeepProposals(target_.runner().draft_logits());
    }
  }

  int vocab_size() const { return target_.config().vocab_size; }
  ModelRunner& target() { return target_.runner(); }
  ModelRunner& draft() { return draft_runner_; }
  Backend& backend() { return target_.backend(); }
  DrafterKind kind() const { return kind_; }  // of a drafter with draft()

  void PoisonCaches() {
    PoisonCache(target_.backend(), target_.cache());
    PoisonCache(target_.backend(), draft_cache_);
  }

  EngineConfig Config() const {
    EngineConfig config;
    config.eos_token_ids = {2};
    config.vocab_size = vocab_size();
    config.max_context = kPairContext;
    config.num_blocks = kPairBlocks;
    config.block_size = kPairLimits.block_size;
    config.max_num_seqs = kPairLimits.max_sequences;
    config.max_num_batched_tokens = kPairLimits.max_rows;
    config.max_logit_rows = kPairLimits.max_logit_rows;
    config.enable_prefix_cache = false;
    return config;
  }

 private:
  static RunnerLimits LimitsOf(VerifyMode mode) {
    RunnerLimits limits = kPairLimits;
    limits.verify_mode = mode;
    return limits;
  }

  TestModel target_;
  DrafterKind kind_;
  std::unique_ptr<Transformer> draft_;
  KvCache draft_cache_;
  ModelRunner draft_runner_;
};

// A runner that takes time, by a clock that only it moves.
class TimedRunner final : public StepRunner, public ChainRunner {
 public:
  TimedRunner(StepRunner& runner, ManualClock& clock, Duration base, Duration per_row)
      : runner_(runner), clock_(clock), base_(base), per_row_(per_row) {}

  const ModelOutput& Run(std::span<const SequenceRun> runs) override {
    Advance(runs);
    return runner_.Run(runs);
  }
  const ModelOutput& RunChain(std::span<const std::span<const SequenceRun>> passes) override {
    for (const auto& runs : passes) Advance(runs);
    ++num_chains_;
    return runner_.chains()->RunChain(passes);
  }
  ChainRunner* chains() override { return runner_.chains() != nullptr ? this : nullptr; }
  bool DoMeanwhile(std::function<void()> work) override {
    return runner_.DoMeanwhile(std::move(work));
  }
  int num_chains() const { return num_chains_; }
  void CopyBlocks(std::span<const int32_t> from, std::span<const int32_t> to) override {
    runner_.CopyBlocks(from, to);
  }

 private:
  void Advance(std::span<const SequenceRun> runs) {
    clock_.Advance(base_);
    for (const SequenceRun& run : runs) {
      clock_.Advance(per_row_ * static_cast<Duration::rep>(run.tokens.size()));
    }
  }

  StepRunner& runner_;
  ManualClock& clock_;
  Duration base_;
  Duration per_row_;
  int num_chains_ = 0;
};

// Proposes what nobody would: ids drawn from the tokens so far, often wrong, now and then right by
// chance. It leaves the K/V alone.
class RandomDrafter final : public Drafter {
 public:
  explicit RandomDrafter(int vocab_size) : vocab_size_(vocab_size) {}

  DrafterKind kind() const override { return DrafterKind::kModel; }
  void Propose(std::span<DraftTask> tasks) override {
    for (DraftTask& task : tasks) {
      uint64_t hash = 0;
      for (const int32_t token : task.tokens) hash = FoldToken(hash, token);
      // Sometimes fewer than it may.
      task.num_drafts = hash % 5 == 0 ? task.max_drafts / 2 : task.max_drafts;
      for (int i = 0; i < task.num_drafts; ++i) {
        hash = FoldToken(hash, i);
        task.drafts[static_cast<size_t>(i)] =
            static_cast<int32_t>(hash % static_cast<uint64_t>(vocab_size_));
      }
      task.num_computed_after = task.num_computed;
    }
  }

 private:
  int vocab_size_;
};

}  // namespace runahead

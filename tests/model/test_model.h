// A model with its cache and runner, for tests: sequences get blocks in an order that is not the
// natural one. One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/registry.h"
#include "model/model_runner.h"
#include "tests/source_dir.h"

namespace runahead {

inline std::string GoldenModel(const std::string& name) {
  return SourceDir() + "/tests/golden/models/" + name;
}

struct TestModelOptions {
  std::string backend = "ref";
  // Where given, makes the backend instead of the name.
  std::function<std::unique_ptr<Backend>()> make_backend = {};
  std::string isa = {};
  int num_threads = 1;
  WeightFormats weights = WeightFormat::kF32;
  DType kv = DType::kF32;
  int num_blocks = 64;
  RunnerLimits limits = {.max_rows = 256,
                         .max_sequences = 32,
                         .max_logit_rows = 128,
                         .max_context = 128,
                         .block_size = 16};
};

using Rows = std::vector<std::vector<float>>;

class TestModel {
 public:
  TestModel(const std::string& directory, const TestModelOptions& options)
      : options_(options),
        backend_(options.make_backend
                     ? options.make_backend()
                     : MakeBackend(options.backend,
                                   {.num_threads = options.num_threads, .isa = options.isa})
                           .value()),
        transformer_(
            Transformer::Load(*backend_, directory, {.weight_format = options.weights}).value()),
        cache_(*backend_,
               {.num_layers = config().num_layers,
                .num_kv_heads = config().num_kv_heads,
                .head_dim = config().head_dim,
                .block_size = options.limits.block_size,
                .dtype = options.kv},
               options.num_blocks),
        runner_(*backend_, *transformer_, cache_, options.limits) {}

  const ModelConfig& config() const { return transformer_->config(); }
  Backend& backend() { return *backend_; }
  const Transformer& transformer() const { return *transformer_; }
  KvCache& cache() { return cache_; }
  ModelRunner& runner() { return runner_; }

  // Blocks for that many tokens: 17, 34, 51, .. modulo the pool, so that neighbours lie apart.
  std::vector<int32_t> NewTable(int num_tokens) {
    const int size = options_.limits.block_size;
    std::vector<int32_t> table;
    for (int i = 0; i < (num_tokens + size - 1) / size; ++i) {
      table.push_back(next_block_);
      next_block_ = (next_block_ + 17) % options_.num_blocks;
    }
    return table;
  }

  // Logits of every row of the last step, row by row.
  Rows LastLogits(int num_rows) {
    Rows rows;
    std::vector<int32_t> wanted;
    for (int begin = 0; begin < num_rows; begin += static_cast<int>(wanted.size())) {
      wanted.resize(
          static_cast<size_t>(std::min(num_rows - begin, options_.limits.max_logit_rows)));
      std::iota(wanted.begin(), wanted.end(), begin);
      const TensorView view = runner_.LogitsOf(wanted);
      for (int64_t row = 0; row < view.dim(0); ++row) {
        std::vector<float>& host = rows.emplace_back(static_cast<size_t>(view.RowElements()));
        backend_->CopyToHost(host.data(), view.Rows(row, 1).data, view.RowElements() * 4);
      }
      backend_->Wait(backend_->Record());
    }
    return rows;
  }

  // Logits after each token of `ids`, run alone in chunks of at most `chunk`.
  Rows Logits(std::span<const int32_t> ids, int chunk) {
    const std::vector<int32_t> table = NewTable(static_cast<int>(ids.size()));
    Rows all;
    for (size_t begin = 0; begin < ids.size();) {
      const size_t count = std::min(static_cast<size_t>(chunk), ids.size() - begin);
      const SequenceRun run = {.tokens = ids.subspan(begin, count),
                               .num_computed = static_cast<int>(begin),
                               .block_table = table};
      runner_.Run(std::span(&run, 1));
      for (auto& row : LastLogits(static_cast<int>(count))) all.push_back(std::move(row));
      begin += count;
    }
    return all;
  }

 private:
  TestModelOptions options_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Transformer> transformer_;
  KvCache cache_;
  ModelRunner runner_;
  int next_block_ = 1;
};

}  // namespace runahead

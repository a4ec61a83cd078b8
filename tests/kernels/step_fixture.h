// StepFixture: a paged cache with a few sequences, and rope + store + attention run over them. Test
// thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/kernels/op_fixture.h"

namespace runahead {

struct StepShape {
  int num_heads = 0;
  int num_kv_heads = 0;
  int head_dim = 0;
  int block_size = 16;
  int window = 0;
  bool qk_norm = false;
  int max_context = 192;
};

// `num_rows` new tokens of sequence `sequence`.
struct Chunk {
  int sequence = 0;
  int num_rows = 0;
};

// Holds two sequences whose block tables interleave:
//
//   sequence 0: blocks 1 3 5 ...      sequence 1: blocks 2 4 6 ...
//
// Token p of a sequence always has the same random q, k and v, however it is cut into runs, so that
// cuts can be compared.
class StepFixture {
 public:
  StepFixture(Backend& backend, const StepShape& shape, DType activation, DType cache);

  // Runs one step: every run's next tokens. Returns [T, Nq D].
  Tensor Run(Backend& backend, const std::vector<Chunk>& runs);
  // The same into rows of the caller's, quantized ones too.
  void RunInto(Backend& backend, const std::vector<Chunk>& runs, const TensorView& out);

  // Compares a step's outputs with softmax over everything before each row, computed here in
  // double.
  void ExpectOutputs(const Tensor& out, const std::vector<Chunk>& runs) const;

  // Stores the next tokens of a sequence without attending.
  void FillCache(Backend& backend, int sequence, int num_tokens);
  // Makes a value of a token NaN or infinite, before it is stored: `head` counts q, k and v heads.
  void SpoilToken(int sequence, int position, int head, float value);
  // Makes every cache element NaN. Before any run.
  void PoisonCache();
  // Gives a sequence other blocks, copies its tokens there and makes the old ones NaN.
  void MoveBlocks(Backend& backend, int sequence);
  // Forgets all but the first tokens of a sequence, as a rejected draft does.
  void Truncate(int sequence, int num_tokens) { lens_[static_cast<size_t>(sequence)] = num_tokens; }

  int context(int sequence) const { return lens_[static_cast<size_t>(sequence)]; }

 private:
  // A sequence's tokens; made when first asked for, as most tests use one sequence.
  const std::vector<std::vector<float>>& Tokens(int sequence) const;
  // What the cache holds of one token's K or V of one head, and how far off an element may be:
  // where INT8 rounding is all but a tie, by a whole unit.
  struct Stored {
    std::vector<double> value;
    std::vector<double> slack;
    double scale = 0;
  };
  Stored StoredHead(std::vector<double> head, double error) const;
  // A head of q or k as it should be after norm and rotation.
  std::vector<double> Rotated(const std::vector<float>& row, int head, const float* gain,
                              int position) const;
  // A key and a value as stored, remembered: every later row asks again.
  const Stored& KeyAt(int sequence, int kv_head, int position) const;
  const Stored& ValueAt(int sequence, int kv_head, int position) const;
  double RotationError() const;
  // Relative to the output's largest unit: what rounding a tile's weights may add to element i.
  double WeightRounding(int sequence, int kv_head, int begin, const std::vector<double>& weights,
                        size_t i) const;
  void AppendHead(int sequence, int position, int head, std::vector<double>& expected,
                  std::vector<double>& bound) const;
  Tensor Rows(const std::vector<Chunk>& runs, std::vector<int32_t>& positions,
              std::vector<int64_t>& slots) const;
  void Store(Backend& backend, const Tensor& qkv, const std::vector<int32_t>& positions,
             const std::vector<int64_t>& slots);

  StepShape shape_;
  DType activation_;
  DType cache_dtype_;
  float scale_;
  // [sequence][position]: (Nq + 2 Nkv) D, rounded
  mutable std::vector<std::vector<std::vector<float>>> tokens_;
  mutable std::vector<Stored> keys_;    // [sequence, Nkv, position]
  mutable std::vector<Stored> values_;  // likewise
  std::vector<int> lens_;
  std::vector<std::vector<int32_t>> tables_;
  Tensor k_;
  Tensor v_;
  Tensor rope_;
  std::vector<float> q_norm_;
  std::vector<float> k_norm_;
  KvLayerView cache_;
  std::unique_ptr<AttentionPlan> plan_;
};

}  // namespace runahead

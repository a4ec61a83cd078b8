// From logits to token ids on the cpu backend. Engine thread only; rows run on the pool.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/isa/kernel_table.h"
#include "kernels/cpu/thread_pool.h"

namespace runahead::cpu {

// Buffers of one thread. They grow to the vocabulary in the first step that needs them and stay.
struct SamplingScratch {
  std::vector<int32_t> ids;
  std::vector<int32_t> ranked;
  std::vector<float> values;
  LogitHistogram histogram;
};

// What the sampling ops work with.
struct SamplingContext {
  const KernelTable& kernels;
  ThreadPool& pool;
  std::vector<SamplingScratch>& scratch;  // [threads]
};

void ProcessLogits(const ProcessLogitsArgs& args, const SamplingContext& context);
void SampleAndVerify(const SampleVerifyArgs& args, const SamplingContext& context);
void TopLogprobs(const TopLogprobsArgs& args, const SamplingContext& context);

// Runs body(thread, row) for every row; one row at a time where the rows are few and short.
template <typename Body>
void ForLogitRows(int64_t num_rows, int64_t vocab, ThreadPool& pool, const Body& body) {
  constexpr int64_t kInlineElements = 32 * 1024;
  if (num_rows * vocab <= kInlineElements) {
    for (int64_t row = 0; row < num_rows; ++row) body(0, row);
    return;
  }
  pool.RunItems(num_rows, body);
}

}  // namespace runahead::cpu

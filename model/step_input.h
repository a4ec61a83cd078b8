// StepInput: the flat arrays of one step, filled from the runs of its sequences. Engine thread
// only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/attention_args.h"
#include "model/model_runner.h"

namespace runahead {

// Reserved once for the limits; addresses never change, and filling allocates nothing.
struct StepInput {
  explicit StepInput(const RunnerLimits& limits);

  // Rows stand in the order of the runs. Checks the limits, and that block tables cover their
  // tokens.
  void Fill(std::span<const SequenceRun> runs);
  // Makes the step one of a bucket of graphs: adds rows that belong to no sequence and store
  // nothing.
  void PadTo(int num_rows);
  BatchShape Shape() const {
    return {.row_offsets = row_offsets,
            .context_lens = context_lens,
            .block_tables = block_tables,
            .table_stride = table_stride,
            .num_padding_rows = num_rows() - row_offsets.back(),
            .is_in_bucket = is_in_bucket};
  }
  int num_rows() const { return static_cast<int>(ids.size()); }

  RunnerLimits limits;
  std::vector<int32_t> ids;           // [T], padding included, as the next two
  std::vector<int32_t> positions;     // [T]
  std::vector<int64_t> slots;         // [T] block * B + offset; -1: padding
  std::vector<int32_t> row_offsets;   // [S + 1]
  std::vector<int32_t> context_lens;  // [S]
  std::vector<int32_t> block_tables;  // [S, table_stride]
  bool is_in_bucket = false;          // PadTo has been called
  int table_stride = 0;               // blocks of the longest context of the step

 private:
  void AddRows(const SequenceRun& run);
};

}  // namespace runahead

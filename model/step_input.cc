#include "model/step_input.h"

#include <algorithm>

#include "core/check.h"

namespace runahead {

StepInput::StepInput(const RunnerLimits& bounds) : limits(bounds) {
  const auto rows = static_cast<size_t>(limits.max_rows);
  const auto sequences = static_cast<size_t>(limits.max_sequences);
  const auto blocks =
      static_cast<size_t>((limits.max_context + limits.block_size - 1) / limits.block_size);
  ids.reserve(rows);
  positions.reserve(rows);
  slots.reserve(rows);
  row_offsets.reserve(sequences + 1);
  context_lens.reserve(sequences);
  block_tables.reserve(sequences * blocks);
}

void StepInput::Fill(std::span<const SequenceRun> runs) {
  RA_CHECK_LE(runs.size(), static_cast<size_t>(limits.max_sequences));
  ids.clear();
  positions.clear();
  slots.clear();
  row_offsets.assign(1, 0);
  context_lens.clear();
  is_in_bucket = false;
  int longest = 0;
  for (const SequenceRun& run : runs) {
    AddRows(run);
    longest = std::max(longest, context_lens.back());
  }
  table_stride = (longest + limits.block_size - 1) / limits.block_size;
  block_tables.assign(runs.size() * static_cast<size_t>(table_stride), 0);
  auto row = block_tables.begin();
  for (const SequenceRun& run : runs) {
    const auto used = std::min(run.block_table.size(), static_cast<size_t>(table_stride));
    std::copy_n(run.block_table.begin(), used, row);
    row += table_stride;
  }
}

void StepInput::PadTo(int num_rows) {
  RA_CHECK(num_rows >= this->num_rows() && num_rows <= limits.max_rows);
  const auto size = static_cast<size_t>(num_rows);
  ids.resize(size, 0);
  positions.resize(size, 0);
  slots.resize(size, -1);
  is_in_bucket = true;
}

void StepInput::AddRows(const SequenceRun& run) {
  const int num_tokens = static_cast<int>(run.tokens.size());
  const int context = run.num_computed + num_tokens;
  RA_CHECK(num_tokens >= 1 && run.num_computed >= 0 && run.num_drafts >= 0);
  RA_CHECK(run.num_drafts < num_tokens, "a draft follows a token");
  RA_CHECK_LE(context, limits.max_context);
  RA_CHECK_LE(num_rows() + num_tokens, limits.max_rows);
  RA_CHECK_GE(static_cast<int64_t>(run.block_table.size()) * limits.block_size, context);
  ids.insert(ids.end(), run.tokens.begin(), run.tokens.end());
  for (int position = run.num_computed; position < context; ++position) {
    const auto block = run.block_table[static_cast<size_t>(position / limits.block_size)];
    positions.push_back(position);
    slots.push_back(int64_t{block} * limits.block_size + position % limits.block_size);
  }
  row_offsets.push_back(num_rows());
  context_lens.push_back(context);
}

}  // namespace runahead

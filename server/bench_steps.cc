#include "server/bench_steps.h"

#include <algorithm>
#include <array>
#include <span>
#include <sstream>
#include <utility>

namespace runahead {
namespace {

constexpr std::array<std::pair<StepSpec::Kind, const char*>, 3> kKinds = {
    {{StepSpec::Kind::kDecode, "decode"},
     {StepSpec::Kind::kVerify, "verify"},
     {StepSpec::Kind::kPrefill, "prefill"}}};

int DivideUp(int a, int b) { return (a + b - 1) / b; }

}  // namespace

std::string StepSpec::Name() const {
  const auto* const entry = std::ranges::find(kKinds, kind, &std::pair<Kind, const char*>::first);
  return std::string(entry->second) + " " + std::to_string(rows) + " " + std::to_string(context) +
         " " + std::to_string(repeats);
}

Result<StepSpec> ParseStepSpec(std::string_view line) {
  std::istringstream words{std::string(line)};
  std::string name;
  std::string more;
  StepSpec spec;
  words >> name >> spec.rows >> spec.context >> spec.repeats;
  const auto* const entry =
      std::ranges::find_if(kKinds, [&](const auto& e) { return name == e.second; });
  if (!words || words >> more || entry == kKinds.end() || spec.rows < 1 || spec.context < 0 ||
      spec.repeats < 1) {
    return InvalidArgument("\"" + std::string(line) +
                           "\" is no measurement: it is decode, verify or prefill, and rows, "
                           "tokens of context and repeats, such as \"decode 8 128 32\"");
  }
  spec.kind = entry->first;
  return spec;
}

StepBench::StepBench(StepRunner& runner, const RunnerLimits& limits, int num_blocks, int vocab_size,
                     const Clock& clock)
    : runner_(runner),
      limits_(limits),
      num_blocks_(num_blocks),
      clock_(clock),
      ids_(static_cast<size_t>(limits.max_rows)) {
  sampling_.temperature = 0;
  constexpr int64_t kStride = 7919;  // a prime: neighbours look up rows far apart, as text does
  for (size_t i = 0; i < ids_.size(); ++i) {
    ids_[i] = static_cast<int32_t>(static_cast<int64_t>(i) * kStride % vocab_size);
  }
}

Result<std::vector<double>> StepBench::Measure(const StepSpec& spec) {
  RA_RETURN_IF_ERROR(Check(spec));
  Write(spec.NumSequences() * BlocksOfEach(spec));
  Run(spec, spec.context);
  std::vector<double> seconds;
  for (int i = 0; i < spec.repeats; ++i) {
    const int grown = spec.kind == StepSpec::Kind::kDecode ? i : 0;
    const TimePoint start = clock_.Now();
    Run(spec, spec.context + grown);
    seconds.push_back(std::chrono::duration<double>(clock_.Now() - start).count());
  }
  return seconds;
}

int StepBench::TokensOfEach(const StepSpec& spec) {
  return spec.context + (spec.kind == StepSpec::Kind::kDecode ? spec.repeats : spec.rows);
}

int StepBench::BlocksOfEach(const StepSpec& spec) const {
  return DivideUp(TokensOfEach(spec), limits_.block_size);
}

Status StepBench::Check(const StepSpec& spec) const {
  if (spec.kind == StepSpec::Kind::kDecode &&
      spec.rows > std::min(limits_.max_sequences, limits_.max_rows)) {
    return InvalidArgument(spec.Name() + ": more sequences than a step holds (--max-num-seqs)");
  }
  const int most_verified = std::min(MaxVerifyRows(limits_), limits_.max_rows);
  if (spec.kind == StepSpec::Kind::kVerify && spec.rows > most_verified) {
    return InvalidArgument(spec.Name() + ": a step judges at most " +
                           std::to_string(most_verified) +
                           " rows of a sequence (--max-logit-rows)");
  }
  if (TokensOfEach(spec) > limits_.max_context) {
    return InvalidArgument(spec.Name() + ": the context holds " +
                           std::to_string(limits_.max_context) + " tokens (--max-model-len)");
  }
  const int64_t blocks = int64_t{spec.NumSequences()} * BlocksOfEach(spec);
  if (blocks > num_blocks_) {
    return InvalidArgument(spec.Name() + ": needs " + std::to_string(blocks) +
                           " blocks, the cache has " + std::to_string(num_blocks_) +
                           " (--num-kv-blocks)");
  }
  return {};
}

// K/V that nobody wrote lie in pages that are not there, and to read those costs nothing.
void StepBench::Write(int num_blocks) {
  if (num_blocks <= num_written_) return;
  if (num_written_ == 0) {
    const int tokens = std::min(limits_.block_size, limits_.max_rows);
    Run({.kind = StepSpec::Kind::kPrefill, .rows = tokens}, 0);
    num_written_ = 1;
  }
  std::vector<int32_t> to;
  for (int block = num_written_; block < num_blocks; ++block) to.push_back(block);
  runner_.CopyBlocks(std::vector<int32_t>(to.size(), 0), to);
  num_written_ = num_blocks;
}

// One repeat; a prompt longer than a step goes in chunks. Sequence s has blocks [s * each, (s + 1)
// * each).
void StepBench::Run(const StepSpec& spec, int computed) {
  const int sequences = spec.NumSequences();
  const int rows = spec.rows / sequences;
  const int each = BlocksOfEach(spec);
  std::vector<int32_t> blocks(static_cast<size_t>(sequences * each));
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<int32_t>(i);
  for (int done = 0; done < rows;) {
    const int chunk = std::min(rows - done, limits_.max_rows);
    std::vector<SequenceRun> runs;
    for (int s = 0; s < sequences; ++s) {
      const std::span<const int32_t> table = blocks;
      runs.push_back(
          {.tokens = std::span(ids_).subspan(static_cast<size_t>(s), static_cast<size_t>(chunk)),
           .num_computed = computed + done,
           .block_table = table.subspan(static_cast<size_t>(s * each), static_cast<size_t>(each)),
           .num_drafts = spec.kind == StepSpec::Kind::kVerify ? chunk - 1 : 0,
           .wants_token = done + chunk == rows,
           .sampling = &sampling_});
    }
    runner_.Run(runs);
    done += chunk;
  }
}

}  // namespace runahead

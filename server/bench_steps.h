// StepBench: times steps of one model outside any engine, cut as llama.cpp's own benches cut them,
// so that both can stand side by side. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/sampling_params.h"
#include "core/status.h"
#include "model/model_runner.h"

namespace runahead {

// What is timed:
//   decode R C N    N steps of R sequences of one row each, behind C tokens and then one more each
//   step verify R C N    a step of R rows of one sequence behind C tokens, logits of all rows, N
//   times over prefill R C N   a prompt of R tokens behind C others, logits of its last row, N
//   times over
struct StepSpec {
  enum class Kind : uint8_t { kDecode, kVerify, kPrefill };
  Kind kind = Kind::kDecode;
  int rows = 1;
  int context = 0;
  int repeats = 1;

  std::string Name() const;
  int NumSequences() const { return kind == Kind::kDecode ? rows : 1; }
};

Result<StepSpec> ParseStepSpec(std::string_view line);

class StepBench {
 public:
  // `runner` is borrowed; its cache has num_blocks blocks, all of them this bench's.
  StepBench(StepRunner& runner, const RunnerLimits& limits, int num_blocks, int vocab_size,
            const Clock& clock);

  // Seconds of each of spec.repeats; an untimed run goes before them. Refuses what the runner's
  // limits or the cache cannot hold.
  Result<std::vector<double>> Measure(const StepSpec& spec);

 private:
  Status Check(const StepSpec& spec) const;
  // Of one sequence in the end.
  static int TokensOfEach(const StepSpec& spec);
  int BlocksOfEach(const StepSpec& spec) const;
  void Write(int num_blocks);
  void Run(const StepSpec& spec, int computed);

  StepRunner& runner_;
  const RunnerLimits limits_;
  const int num_blocks_;
  const Clock& clock_;
  SamplingParams sampling_;
  std::vector<int32_t> ids_;  // [max_rows] of any step
  int num_written_ = 0;       // leading blocks whose K/V somebody wrote
};

}  // namespace runahead

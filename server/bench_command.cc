#include "server/bench_command.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>

#include "kernels/cpu/roofline.h"
#include "server/bench_report.h"
#include "server/model_host.h"

namespace runahead {
namespace {

Status CheckPlan(const LoadPlan& plan, int max_context) {
  if (plan.input_tokens < 1 || plan.output_tokens < 1 || plan.concurrency < 1 ||
      plan.num_requests < 1) {
    return InvalidArgument(
        "input and output lengths, concurrency and the number of requests must be at least 1");
  }
  if (plan.shared_prefix < 0 || plan.shared_prefix > plan.input_tokens) {
    return InvalidArgument("the shared prefix must be between 0 and the input length");
  }
  if (plan.input_tokens + plan.output_tokens > max_context) {
    return InvalidArgument("input and output together are " +
                           std::to_string(plan.input_tokens + plan.output_tokens) +
                           " tokens, more than the context of " + std::to_string(max_context));
  }
  return {};
}

// One sequence at a time over a few requests, with other prompts, so that it warms no prefix.
LoadPlan OneAtATime(const LoadPlan& plan) {
  LoadPlan one = plan;
  one.concurrency = 1;
  one.num_requests = std::min(plan.num_requests, 4);
  one.seed = plan.seed + 0x10000;
  return one;
}

LoadPlan WarmUp(const LoadPlan& plan) {
  LoadPlan warm = plan;
  warm.num_requests = std::min(plan.num_requests, plan.concurrency);
  warm.output_tokens = std::min(plan.output_tokens, 8);
  warm.seed = plan.seed + 0x20000;
  return warm;
}

StepBytes BytesOf(const ModelHost& host) {
  const KvCacheShape& shape = host.cache().shape();
  return {.weights = host.transformer().linear_bytes(),
          .kv_per_token = shape.BlockBytes() / shape.block_size};
}

Status Print(const BenchReport& report, const std::string& json_file) {
  if (json_file == "-") {
    std::cout << ToJson(report).dump(2) << std::endl;
    return {};
  }
  std::cout << ToTable(report) << std::flush;
  if (json_file.empty()) return {};
  errno = 0;
  std::ofstream file(json_file);
  file << ToJson(report).dump(2) << "\n";
  file.close();
  if (file) return {};
  const std::string cause = errno != 0 ? std::string(": ") + std::strerror(errno) : "";
  return {StatusCode::kInternal, "cannot write " + json_file + cause};
}

}  // namespace

Status RunBenchCommand(const ModelSettings& settings, const BenchOptions& options, Logger& logger) {
  const SteadyClock clock;
  RA_ASSIGN_OR_RETURN(auto host, ModelHost::Load(settings, clock, logger, nullptr));
  for (const std::string& line : host->Describe()) std::cerr << line << "\n";
  const LoadPlan& plan = options.load;
  RA_RETURN_IF_ERROR(CheckPlan(plan, host->served().max_context));

  const double roofline = MeasureReadBandwidth(host->backend().info().num_threads) / 1e9;
  RA_RETURN_IF_ERROR(RunLoad(host->engine(), WarmUp(plan), clock).status());
  double one_per_second = 0;
  if (plan.concurrency > 1 && options.compare_to_one) {
    const LoadPlan one = OneAtATime(plan);
    RA_ASSIGN_OR_RETURN(const LoadResult result, RunLoad(host->engine(), one, clock));
    one_per_second = Summarize(one, result, BytesOf(*host)).output_tokens_per_second;
  }
  RA_ASSIGN_OR_RETURN(const LoadResult result, RunLoad(host->engine(), plan, clock));
  BenchReport report = Summarize(plan, result, BytesOf(*host));
  report.roofline_gb_per_second = roofline;
  if (one_per_second > 0) report.ratio_to_one = report.output_tokens_per_second / one_per_second;
  return Print(report, options.json_file);
}

}  // namespace runahead

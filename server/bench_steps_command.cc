#include "server/bench_steps_command.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <new>
#include <numeric>
#include <utility>

#include "nlohmann/json.hpp"

#include "kernels/cpu/roofline.h"
#include "kernels/registry.h"
#include "server/bench_steps.h"
#include "server/memory_check.h"

namespace runahead {
namespace {

using Json = nlohmann::ordered_json;

// Enough for 32 sequences of 160 tokens, or one of 5000.
constexpr int kCacheTokens = 5120;

// A model and its runner, with no engine above.
struct BareModel {
  ModelPlan plan;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Transformer> transformer;
  std::unique_ptr<KvCache> cache;
  std::unique_ptr<ModelRunner> runner;
};

Result<BareModel> LoadBareModel(ModelSettings settings) {
  BareModel model;
  RA_ASSIGN_OR_RETURN(model.backend, MakeBackend(settings.backend, settings.backend_options));
  RA_ASSIGN_OR_RETURN(model.plan, PlanModel(*model.backend, settings));
  if (settings.max_model_len == 0 && model.plan.max_context > kCacheTokens) {
    settings.max_model_len = kCacheTokens;
    RA_ASSIGN_OR_RETURN(model.plan, PlanModel(*model.backend, settings));
  }
  RA_RETURN_IF_ERROR(CheckFits(model.plan, AvailableMemory(model.backend->info())));
  RA_ASSIGN_OR_RETURN(model.transformer,
                      Transformer::Load(*model.backend, settings.directory,
                                        {.format = settings.load_format,
                                         .weight_format = model.plan.weight_format,
                                         .max_context = model.plan.max_context}));
  try {
    model.cache = std::make_unique<KvCache>(*model.backend, model.plan.memory.kv_shape,
                                            static_cast<int>(model.plan.num_blocks));
    model.runner = std::make_unique<ModelRunner>(*model.backend, *model.transformer, *model.cache,
                                                 model.plan.limits);
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kResourceExhausted, "no memory for:\n" + model.plan.Table());
  }
  return model;
}

Json Describe(const BareModel& model) {
  const ModelConfig& config = model.transformer->config();
  const int64_t table = int64_t{config.vocab_size} * config.hidden_size;
  // A tied head is read in every step, a table of embeddings is not.
  const int64_t read = config.NumWeights() - (config.tie_embeddings ? 0 : table);
  const int64_t bytes = model.transformer->linear_bytes();
  return {{"measured", "model"},
          {"architecture", config.architecture},
          {"device", model.backend->info().detail},
          {"threads", model.backend->info().num_threads},
          {"step_bytes", bytes},
          {"step_weights", read},
          {"bits_per_weight", 8.0 * static_cast<double>(bytes) / static_cast<double>(read)},
          {"kv_bytes_per_token",
           model.plan.memory.kv_shape.BlockBytes() / model.plan.memory.kv_shape.block_size}};
}

double MedianOf(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

Result<Json> Answer(const std::string& line, StepBench& bench, const Backend& backend) {
  const int threads = backend.info().num_threads;
  if (line == "bandwidth") {
    return Json{{"measured", line}, {"gb_per_second", MeasureReadBandwidth(threads) * 1e-9}};
  }
  if (line == "peak") {
    return Json{{"measured", line},
                {"int8_gops", MeasureInt8Peak() * threads * 1e-9},
                {"bf16_gflops", MeasureBf16Peak() * threads * 1e-9}};
  }
  RA_ASSIGN_OR_RETURN(const StepSpec spec, ParseStepSpec(line));
  RA_ASSIGN_OR_RETURN(const std::vector<double> seconds, bench.Measure(spec));
  const double total = std::accumulate(seconds.begin(), seconds.end(), 0.0);
  return Json{{"measured", spec.Name()},
              {"tokens_per_second", spec.rows * spec.repeats / total},
              {"median_ms", MedianOf(seconds) * 1e3}};
}

void Print(const Json& line) { std::cout << line.dump() << std::endl; }

}  // namespace

Status RunBenchSteps(ModelSettings settings, const BenchStepsOptions& options) {
  if (settings.num_kv_blocks == 0 && settings.kv_cache_bytes == 0) {
    settings.num_kv_blocks = kCacheTokens / settings.block_size;
  }
  RA_ASSIGN_OR_RETURN(const BareModel model, LoadBareModel(std::move(settings)));
  const SteadyClock clock;
  StepBench bench(*model.runner, model.plan.limits, model.cache->num_blocks(),
                  model.transformer->config().vocab_limit, clock);
  Print(Describe(model));
  const auto answer = [&](const std::string& line) -> Status {
    RA_ASSIGN_OR_RETURN(const Json json, Answer(line, bench, *model.backend));
    Print(json);
    return {};
  };
  for (const std::string& measurement : options.measurements) {
    if (measurement != "-") {
      RA_RETURN_IF_ERROR(answer(measurement));
      continue;
    }
    for (std::string line; std::getline(std::cin, line);) {
      if (const Status status = answer(line); !status.ok()) Print({{"error", status.message()}});
    }
  }
  return {};
}

}  // namespace runahead

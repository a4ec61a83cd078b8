// MetricsExporter: the engine's counts as Prometheus text, through one prometheus-cpp registry.
// Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "engine/engine_health.h"
#include "engine/metrics.h"

namespace runahead {

// What runahead_build_info says.
struct BuildInfo {
  std::string version = {};
  std::string backend = {};
  std::string quantization = {};
};

// What is known of a model besides its counts.
struct ModelFacts {
  int max_context = 0;  // tokens
  int max_queue = 0;    // requests
  int block_size = 0;   // tokens
  std::string cache_dtype = {};
  bool has_prefix_cache = false;
  std::function<EngineHealth()> health = {};  // lock-free; without one no state is exported
};

// Whose names the series carry: ours, or ours and vLLM's beside them.
enum class MetricsDialect : uint8_t { kNative, kVllm };

class MetricsExporter {
 public:
  explicit MetricsExporter(BuildInfo build, MetricsDialect dialect = MetricsDialect::kNative);
  ~MetricsExporter();

  // `metrics` is borrowed and outlives the exporter; its series carry model="name". Before serving
  // starts.
  void AddModel(std::string name, const Metrics& metrics, ModelFacts facts = {});

  // The text exposition (version 0.0.4) of one consistent snapshot per model, in both dialects.
  // Never waits for an engine.
  std::string Scrape() const;

  static constexpr const char* kContentType = "text/plain; version=0.0.4; charset=utf-8";

 private:
  struct Registry;
  std::unique_ptr<Registry> registry_;
};

}  // namespace runahead

// MetricsExporter: the engine's counts as Prometheus text, through one prometheus-cpp registry.
// Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "engine/metrics.h"

namespace runahead {

// What runahead_build_info says.
struct BuildInfo {
  std::string version;
  std::string backend;
  std::string quantization;
};

class MetricsExporter {
 public:
  explicit MetricsExporter(BuildInfo build);
  ~MetricsExporter();

  // `metrics` is borrowed and outlives the exporter; its series carry model="name". Before serving
  // starts.
  void AddModel(std::string name, const Metrics& metrics);

  // The text exposition (version 0.0.4) of one consistent snapshot per model. Never waits for an
  // engine.
  std::string Scrape() const;

  static constexpr const char* kContentType = "text/plain; version=0.0.4; charset=utf-8";

 private:
  struct Registry;
  std::unique_ptr<Registry> registry_;
};

}  // namespace runahead

// What this machine can reach at best: the ceilings that benchmarks print beside their results. Any
// thread; each call starts its own threads and takes a fraction of a second of them.
#pragma once

#include <memory>
#include <string>

namespace runahead {

// Measures what `num_threads` threads read together from memory, each its own 256 MiB in huge
// pages, pass by pass, so that benchmarks can do it between their own.
class ReadBandwidthMeter {
 public:
  explicit ReadBandwidthMeter(int num_threads);
  ~ReadBandwidthMeter();

  double MeasurePass();  // bytes per second

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Bytes per second that `num_threads` threads read so: the median of `passes` passes.
double MeasureReadBandwidth(int num_threads, int passes = 5);

// Operations per second (a multiply-add is two) of one thread under an instruction set (empty: the
// best), registers alone.
double MeasureBf16Peak(const std::string& isa = {});
double MeasureF32Peak(const std::string& isa = {});
double MeasureInt8Peak(const std::string& isa = {});

}  // namespace runahead

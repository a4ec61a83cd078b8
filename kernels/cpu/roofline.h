// What this machine can reach at best: the ceilings that benchmarks print beside their results. Any
// thread; each call starts its own threads and takes a fraction of a second of them.
#pragma once

#include <string>

namespace runahead {

// Bytes per second that `num_threads` threads read together from memory, each its own 256 MiB in
// huge pages: the median of `passes` passes.
double MeasureReadBandwidth(int num_threads, int passes = 5);

// Operations per second (a multiply-add is two) of one thread under an instruction set (empty: the
// best), registers alone.
double MeasureBf16Peak(const std::string& isa = {});
double MeasureF32Peak(const std::string& isa = {});
double MeasureInt8Peak(const std::string& isa = {});

}  // namespace runahead

// Times linear layers of whole models' shapes against the ceilings of the same minute. One thread.
#pragma once

#include "bench/kernels_bench_flags.h"

namespace runahead {

// Prints a line for every format, layer and number of rows that `flags` name.
void BenchLinears(const KernelsBenchFlags& flags);

}  // namespace runahead

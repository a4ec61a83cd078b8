// Prints the machine's ceilings: read bandwidth over threads, and INT8, BF16 and F32 peaks of each
// instruction set. usage: roofline [max_threads]
#include "kernels/cpu/roofline.h"

#include <cstdio>
#include <cstdlib>

#include "kernels/cpu/thread_pool.h"
#include "kernels/registry.h"

int main(int argc, char** argv) {
  const int max_threads = argc > 1 ? std::atoi(argv[1]) : runahead::cpu::DefaultNumThreads();
  std::printf("threads  read GB/s\n");
  for (int threads = 1; threads <= max_threads; ++threads) {
    std::printf("%7d  %9.1f\n", threads, runahead::MeasureReadBandwidth(threads) * 1e-9);
  }
  std::printf("\none thread   int8 GOP/s  bf16 GFLOP/s  f32 GFLOP/s\n");
  for (const std::string& isa : runahead::CpuIsaNames()) {
    std::printf("%-11s  %10.0f  %12.0f  %11.0f\n", isa.c_str(),
                runahead::MeasureInt8Peak(isa) * 1e-9, runahead::MeasureBf16Peak(isa) * 1e-9,
                runahead::MeasureF32Peak(isa) * 1e-9);
  }
}

// Every primitive as a kernel, compiled by nvcc and for the emulator. Thread t reads its words of
// `in` and writes its words of `out`.
#include "kernels/cuda/primitives/async_copy.h"
#include "kernels/cuda/primitives/bits.h"
#include "kernels/cuda/primitives/count_bits.h"
#include "kernels/cuda/primitives/half.h"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/primitives/math.h"
#include "kernels/cuda/primitives/matrix.h"
#include "kernels/cuda/primitives/mbarrier.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda/primitives/thread.h"
#include "kernels/cuda/primitives/warp.h"
#include "kernels/cuda/primitives/wgmma.h"
#include "tests/kernels/cuda/primitives_check.h"

namespace runahead::RA_CUDA {
namespace {

struct Params {
  const uint32_t* in = nullptr;
  uint32_t* out = nullptr;
};

__global__ void Bits(const __grid_constant__ Params params) {
  const uint32_t* in = params.in + 3 * ThreadX();
  uint32_t* out = params.out + 4 * ThreadX();
  out[0] = Lop3<(kLopA & kLopB) | kLopC>(in[0], in[1], in[2]);
  out[1] = Lop3<kLopA ^ kLopB ^ kLopC>(in[0], in[1], in[2]);
  out[2] = PermuteBytes(in[0], in[1], in[2] & 0xffffu);
  out[3] = static_cast<uint32_t>(CountBits(in[0]));
}

__global__ void ToFloats(const __grid_constant__ Params params) {
  const uint32_t in = params.in[ThreadX()];
  uint32_t* out = params.out + 4 * ThreadX();
  out[0] = FloatToBits(ToF32(Float16{static_cast<uint16_t>(in)}));
  out[1] = FloatToBits(ToF32(BFloat16{static_cast<uint16_t>(in)}));
  out[2] = FloatToBits(LowBF16(in));
  out[3] = FloatToBits(HighBF16(in));
}

__global__ void FromFloats(const __grid_constant__ Params params) {
  const float low = BitsToFloat(params.in[2 * ThreadX()]);
  const float high = BitsToFloat(params.in[2 * ThreadX() + 1]);
  uint32_t* out = params.out + 4 * ThreadX();
  out[0] = RoundTo<Float16>(low).bits;
  out[1] = RoundTo<BFloat16>(low).bits;
  out[2] = PackBF16(low, high);
  out[3] = PackF16(low, high);
}

__global__ void Halves(const __grid_constant__ Params params) {
  const uint32_t* in = params.in + 3 * ThreadX();
  uint32_t* out = params.out + 5 * ThreadX();
  out[0] = FmaF16x2(in[0], in[1], in[2]);
  out[1] = MulF16x2(in[0], in[1]);
  out[2] = AddF16x2(in[0], in[1]);
  out[3] = SubF16x2(in[0], in[1]);
  out[4] = FmaBF16x2(in[0], in[1], in[2]);
}

__global__ void Fused(const __grid_constant__ Params params) {
  const uint32_t* in = params.in + 3 * ThreadX();
  params.out[ThreadX()] =
      FloatToBits(Fma(BitsToFloat(in[0]), BitsToFloat(in[1]), BitsToFloat(in[2])));
}

__global__ void Exponentials(const __grid_constant__ Params params) {
  params.out[ThreadX()] = FloatToBits(Exp2Approx(BitsToFloat(params.in[ThreadX()])));
}

__global__ void Exchange(const __grid_constant__ Params params) {
  const uint32_t in = params.in[ThreadX()];
  const uint64_t wide = uint64_t{in} << 32 | ~in;
  uint32_t* out = params.out + 11 * ThreadX();
  out[0] = ShuffleFrom(in, Lane() * 7 % 32);
  out[1] = ShuffleXor(in, 13);
  out[2] = ShuffleUp(in, 3);
  out[3] = static_cast<uint32_t>(ShuffleXor(wide, 5) >> 16);
  out[4] = Ballot((in & 1u) != 0);
  out[5] = static_cast<uint32_t>(ReduceAdd(static_cast<int>(in >> 8)));
  out[6] = static_cast<uint32_t>(ReduceMax(static_cast<int>(in)));
  out[7] = static_cast<uint32_t>(ReduceMin(static_cast<int>(in)));
  out[8] = AnyLane((in & 63u) == 0) ? 1 : 0;
  out[9] = AllLanes((in & 63u) != 0) ? 1 : 0;
  out[10] = 0;
  if (Lane() >= 16) out[10] = ShuffleXor(in, 2, 0xffff0000u);
}

// Shared memory of each thread's 4 words, by asynchronous copies.
__global__ void AsyncCopies(const __grid_constant__ Params params) {
  auto* shared = DynamicShared<uint32_t>();  // [3][threads][4]
  const int t = ThreadX();
  uint32_t* rows[3] = {shared + 4 * t, shared + 4 * (BlockSizeX() + t),
                       shared + 4 * (2 * BlockSizeX() + t)};
  CopyAsync16(rows[0], params.in + 4 * t);
  CommitAsync();
  CopyAsync16OrZero(rows[1], params.in + 4 * t, t % 3 != 0);
  CommitAsync();
  for (int i = 0; i < 4; ++i) CopyAsync4(rows[2] + i, params.in + 4 * t + 3 - i);
  CommitAsync();
  WaitAsync<2>();
  uint32_t* out = params.out + 12 * t;
  for (int i = 0; i < 4; ++i) out[i] = rows[0][i];
  WaitAsync<0>();
  for (int i = 0; i < 4; ++i) out[4 + i] = rows[1][i];
  for (int i = 0; i < 4; ++i) out[8 + i] = rows[2][i];
}

__global__ void Matrices(const __grid_constant__ Params params) {
  auto* shared = DynamicShared<uint32_t>();  // [32 rows][4]
  for (int i = 0; i < 4; ++i) shared[4 * Lane() + i] = params.in[4 * Lane() + i];
  SyncWarp();
  uint32_t* out = params.out + 13 * Lane();
  const uint32_t* row = shared + 4 * Lane();
  uint32_t four[4];
  uint32_t two[2];
  LoadMatrix4(four, row);
  for (int i = 0; i < 4; ++i) out[i] = four[i];
  LoadMatrix4Transposed(four, row);
  for (int i = 0; i < 4; ++i) out[4 + i] = four[i];
  LoadMatrix2(two, row);
  for (int i = 0; i < 2; ++i) out[8 + i] = two[i];
  LoadMatrix2Transposed(two, row);
  for (int i = 0; i < 2; ++i) out[10 + i] = two[i];
  LoadMatrix1(out[12], row);
}

template <int kKind>
__global__ void Mma(const __grid_constant__ Params params) {
  const uint32_t* in = params.in + 6 * Lane();
  uint32_t* out = params.out + 4 * Lane();
  const uint32_t a[4] = {in[0], in[1], in[2], in[3]};
  const uint32_t b[2] = {in[4], in[5]};
  if constexpr (kKind < 2) {
    float d[4] = {1, 2, 3, 4};
    kKind == 0 ? MmaF16(d, a, b) : MmaBF16(d, a, b);
    for (int i = 0; i < 4; ++i) out[i] = FloatToBits(d[i]);
  } else {
    int32_t d[4] = {1, 2, 3, 4};
    kKind == 2 ? MmaS8(d, a, b) : MmaS4(d, a, b);
    for (int i = 0; i < 4; ++i) out[i] = static_cast<uint32_t>(d[i]);
  }
}

__global__ void Memory(const __grid_constant__ Params params) {
  Store16(params.out + 8 * ThreadX(), Load16(params.in + 4 * ThreadX()));
  Store16(params.out + 8 * ThreadX() + 4, LoadOnce16(params.in + 4 * ThreadX()));
}

// Sums do not depend on the order: the last sees them all.
__global__ void Atomics(const __grid_constant__ Params params) {
  struct Sums {
    int sum;
    uint32_t wrapping;
    float whole;
    int largest;
    uint32_t largest_unsigned;
  };
  auto& sums = StaticShared<Sums>();
  if (ThreadX() == 0) sums = {0, 0, 0, INT32_MIN, 0};
  SyncThreads();
  const float in = BitsToFloat(params.in[ThreadX()]);
  AtomicAdd(&sums.sum, static_cast<int>(in));
  AtomicAdd(&sums.wrapping, static_cast<uint32_t>(static_cast<int>(in)));
  AtomicAdd(&sums.whole, in);
  AtomicMax(&sums.largest, static_cast<int>(in));
  AtomicMax(&sums.largest_unsigned, static_cast<uint32_t>(static_cast<int>(in)));
  FenceDevice();
  SyncThreads();
  uint32_t* out = params.out + 5 * ThreadX();
  out[0] = static_cast<uint32_t>(sums.sum);
  out[1] = sums.wrapping;
  out[2] = FloatToBits(sums.whole);
  out[3] = static_cast<uint32_t>(sums.largest);
  out[4] = sums.largest_unsigned;
}

// Warp 0 hands its words to warp 1 by a named barrier, and gets warp 1's back by another.
__global__ void Barriers(const __grid_constant__ Params params) {
  auto* shared = DynamicShared<uint32_t>();  // [64]
  const int t = ThreadX();
  if (WarpIndex() == 0) {
    shared[t] = params.in[t];
    ArriveNamed(1, 64);
    SyncNamed(2, 64);
    params.out[t] = shared[32 + (t + 5) % 32];
  } else {
    SyncNamed(1, 64);
    shared[t] = params.in[t] + shared[(t + 3) % 32];
    ArriveNamed(2, 64);
    params.out[t] = shared[(t + 1) % 32];
  }
}

// Words come by a bulk copy and by cp.async, twice, each round told of by one barrier.
__global__ void BulkCopies(const __grid_constant__ Params params) {
  if constexpr (kHasWgmma) {
    struct Storage {
      uint32_t bulk[64][4];
      uint32_t single[64][4];
      Mbarrier full;
      Mbarrier empty;
    };
    auto& shared = *DynamicShared<Storage>();
    const int t = ThreadX();
    if (t == 0) {
      InitBarrier(shared.full, 64 + 1);
      InitBarrier(shared.empty, 64);
      FenceAsyncProxy();
    }
    SyncThreads();
    for (int round = 0; round < 2; ++round) {
      WaitPhase(shared.empty, (round + 1) % 2);
      const uint32_t* from = params.in + round * 256;
      CopyAsync16(shared.single[t], from + 4 * t);
      ArriveWhenCopied(shared.full);
      if (t == 0) {
        ArriveExpecting(shared.full, 1024);
        CopyBulk(shared.bulk[0], from, 512, shared.full);
        CopyBulk(shared.bulk[32], from + 128, 512, shared.full);
      }
      WaitPhase(shared.full, round);
      for (int i = 0; i < 4; ++i) {
        params.out[(round * 64 + t) * 8 + i] = shared.bulk[(t + 7) % 64][i];
        params.out[(round * 64 + t) * 8 + 4 + i] = shared.single[(t + 9) % 64][i];
      }
      Arrive(shared.empty);
    }
  }
}

// d[64, N] = 5 + a[64, 128] b[N, 128]^T; a swizzled, b not, from what threads have stored.
template <int kN>
__global__ void Wgmma(const __grid_constant__ Params params) {
  if constexpr (kHasWgmma) {
    auto* a = DynamicShared<uint32_t>();
    uint32_t* b = a + 64 * 32;
    for (int i = ThreadX(); i < (64 + kN) * 8; i += 128) {  // units of 16 bytes
      const int row = i / 8;
      const int unit = i % 8;
      uint32_t* to = row < 64 ? a + row * 32 + (unit ^ row % 8) * 4
                              : b + (row - 64) / 8 * 256 + unit * 32 + row % 8 * 4;
      Store16(to, Load16(params.in + 4 * i));
    }
    FenceAsyncProxy();
    SyncThreads();
    int32_t d[kN / 2];
#pragma unroll
    for (int i = 0; i < kN / 2; ++i) d[i] = 5;
    const uint64_t a_matrix = MakeDescriptor(a, 16, 1024, Swizzle::k128Bytes);
    const uint64_t b_matrix = MakeDescriptor(b, 128, 1024, Swizzle::kNone);
    HoldSums(d);
    WgmmaFence();
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      WgmmaS8<kN>(d, AdvanceDescriptor(a_matrix, 32 * step),
                  AdvanceDescriptor(b_matrix, 256 * step), true);
    }
    WgmmaCommit();
    WgmmaWait<0>();
    HoldSums(d);
#pragma unroll
    for (int i = 0; i < kN / 2; ++i) {
      params.out[ThreadX() * kN / 2 + i] = static_cast<uint32_t>(d[i]);
    }
  }
}

struct Primitive {
  PrimitiveInfo info;
  void (*kernel)(Params);
};

const std::vector<Primitive>& All() {
  using In = PrimitiveInput;
  using Out = PrimitiveOutput;
  static const std::vector<Primitive> all = {
      {{"lop3, prmt, popc", 128, 3, 4, 0, In::kBits, Out::kBits, false}, Bits},
      {{"cvt to f32", 128, 1, 4, 0, In::kBits, Out::kFloats, false}, ToFloats},
      {{"cvt.rn from f32", 128, 2, 4, 0, In::kBits, Out::kBits, false}, FromFloats},
      {{"f16x2 and bf16x2", 128, 3, 5, 0, In::kBits, Out::kBits, false}, Halves},
      {{"fma.rn.f32", 128, 3, 1, 0, In::kBits, Out::kFloats, false}, Fused},
      {{"ex2.approx", 128, 1, 1, 0, In::kExponents, Out::kUlps, false}, Exponentials},
      {{"shfl, vote, redux", 64, 1, 11, 0, In::kBits, Out::kBits, false}, Exchange},
      {{"cp.async", 64, 4, 12, 64 * 48, In::kBits, Out::kBits, false}, AsyncCopies},
      {{"ldmatrix", 32, 4, 13, 512, In::kBits, Out::kBits, false}, Matrices},
      {{"mma.m16n8k16.f16", 32, 6, 4, 0, In::kSmallF16, Out::kBits, false}, Mma<0>},
      {{"mma.m16n8k16.bf16", 32, 6, 4, 0, In::kSmallBF16, Out::kBits, false}, Mma<1>},
      {{"mma.m16n8k32.s8", 32, 6, 4, 0, In::kBits, Out::kBits, false}, Mma<2>},
      {{"mma.m16n8k64.s4", 32, 6, 4, 0, In::kBits, Out::kBits, false}, Mma<3>},
      {{"16-byte accesses", 64, 4, 8, 0, In::kBits, Out::kBits, false}, Memory},
      {{"atom", 128, 1, 5, 0, In::kSmallF32, Out::kBits, false}, Atomics},
      {{"bar", 64, 1, 1, 256, In::kBits, Out::kBits, false}, Barriers},
      {{"mbarrier, cp.async.bulk", 64, 8, 16, 2064, In::kBits, Out::kBits, true}, BulkCopies},
      {{"wgmma.m64n128k32.s8", 128, 48, 64, 24576, In::kBits, Out::kBits, true}, Wgmma<128>},
      {{"wgmma.m64n256k32.s8", 128, 80, 128, 40960, In::kBits, Out::kBits, true}, Wgmma<256>},
  };
  return all;
}

}  // namespace

#if defined(RA_CUDA_EMULATOR)

const std::vector<PrimitiveInfo>& Primitives() {
  static const std::vector<PrimitiveInfo> infos = [] {
    std::vector<PrimitiveInfo> list;
    for (const Primitive& primitive : All()) list.push_back(primitive.info);
    return list;
  }();
  return infos;
}

std::vector<uint32_t> RunPrimitive(size_t which, const std::vector<uint32_t>& in) {
  const auto& [info, kernel] = All()[which];
  std::vector<uint32_t> out(static_cast<size_t>(info.num_threads * info.num_out));
  emulator::AddMemory(in.data(), static_cast<int64_t>(in.size() * 4));
  emulator::AddMemory(out.data(), static_cast<int64_t>(out.size() * 4));
  Launch(kernel, {}, {.x = info.num_threads}, info.shared_bytes, nullptr,
         Params{in.data(), out.data()});
  emulator::RemoveMemory(in.data());
  emulator::RemoveMemory(out.data());
  return out;
}

#else

int FindDevice(std::string& name) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  cudaDeviceProp device = {};
  if (error != cudaSuccess || count == 0) {
    name = error != cudaSuccess ? cudaGetErrorString(error) : "none is visible";
    return 0;
  }
  CheckCuda(cudaGetDeviceProperties(&device, 0), "cudaGetDeviceProperties");
  name = device.name;
  return device.major * 10 + device.minor;
}

std::vector<uint32_t> RunPrimitive(size_t which, const std::vector<uint32_t>& in) {
  const Primitive& primitive = All()[which];
  const PrimitiveInfo& info = primitive.info;
  std::vector<uint32_t> out(static_cast<size_t>(info.num_threads * info.num_out));
  void* in_memory = nullptr;
  void* out_memory = nullptr;
  CheckCuda(cudaMalloc(&in_memory, in.size() * 4), "cudaMalloc");
  CheckCuda(cudaMalloc(&out_memory, out.size() * 4), "cudaMalloc");
  CheckCuda(cudaMemcpy(in_memory, in.data(), in.size() * 4, cudaMemcpyHostToDevice), info.name);
  Launch(primitive.kernel, {}, {.x = info.num_threads}, info.shared_bytes, nullptr,
         Params{static_cast<const uint32_t*>(in_memory), static_cast<uint32_t*>(out_memory)});
  CheckCuda(cudaMemcpy(out.data(), out_memory, out.size() * 4, cudaMemcpyDeviceToHost), info.name);
  CheckCuda(cudaFree(in_memory), "cudaFree");
  CheckCuda(cudaFree(out_memory), "cudaFree");
  return out;
}

#endif

}  // namespace runahead::RA_CUDA

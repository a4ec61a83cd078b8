// ldmatrix and mma.sync: a warp's lanes come together, the last one computes for all.
#include <bit>
#include <cstring>

#include "tests/cuda_emulator/fragments.h"
#include "tests/cuda_emulator/half_math.h"
#include "tests/cuda_emulator/machine.h"

namespace runahead::emulator {
namespace {

constexpr int kRows = 16;
constexpr int kCols = 8;
constexpr uint32_t kAllLanes = ~0u;

struct LoadOperand {
  const void* row;
  uint32_t* registers;
};

// Rows have been checked by the lanes that named them.
template <int kCount, bool kTransposed>
void LoadLanes(void* const* operands, uint32_t /*mask*/) {
  for (int m = 0; m < kCount; ++m) {
    uint16_t matrix[8][8];
    for (int row = 0; row < 8; ++row) {
      std::memcpy(matrix[row], static_cast<LoadOperand*>(operands[8 * m + row])->row, 16);
    }
    for (int lane = 0; lane < kWarpSize; ++lane) {
      const int group = lane / 4;
      const int pair = 2 * (lane % 4);
      const uint32_t low = kTransposed ? matrix[pair][group] : matrix[group][pair];
      const uint32_t high = kTransposed ? matrix[pair + 1][group] : matrix[group][pair + 1];
      static_cast<LoadOperand*>(operands[lane])->registers[m] = low | high << 16;
    }
  }
}

Collective LoadCollective(int count, bool transposed) {
  if (count == 1) return transposed ? LoadLanes<1, true> : LoadLanes<1, false>;
  if (count == 2) return transposed ? LoadLanes<2, true> : LoadLanes<2, false>;
  return transposed ? LoadLanes<4, true> : LoadLanes<4, false>;
}

struct MmaOperand {
  void* d;
  const uint32_t* a;
  const uint32_t* b;
};

template <FloatType kType>
float ToFloat(uint32_t bits) {
  return kType == FloatType::kF16 ? HalfToFloat(static_cast<uint16_t>(bits))
                                  : std::bit_cast<float>(bits << 16);
}

// Products of 16-bit floats are exact in f32; they are added in f32 in ascending order of k, to
// what d held.
template <FloatType kType, int kK>
void MmaFloatLanes(void* const* operands, uint32_t /*mask*/) {
  float a[kRows][kK];
  float b[kK][kCols];
  for (int lane = 0; lane < kWarpSize; ++lane) {
    const auto& operand = *static_cast<MmaOperand*>(operands[lane]);
    for (int r = 0; r < kK / 4; ++r) {
      for (int i = 0; i < 2; ++i) {
        const Place at = PlaceInA(lane, r, i, 16);
        a[at.row][at.col] = ToFloat<kType>(operand.a[r] >> 16 * i);
      }
    }
    for (int r = 0; r < kK / 8; ++r) {
      for (int i = 0; i < 2; ++i) {
        const Place at = PlaceInB(lane, r, i, 16);
        b[at.row][at.col] = ToFloat<kType>(operand.b[r] >> 16 * i);
      }
    }
  }
  float d[kRows][kCols];
  for (int lane = 0; lane < kWarpSize; ++lane) {
    for (int e = 0; e < 4; ++e) {
      const Place at = PlaceInC(lane, e);
      d[at.row][at.col] = static_cast<float*>(static_cast<MmaOperand*>(operands[lane])->d)[e];
    }
  }
  for (int row = 0; row < kRows; ++row) {
    for (int k = 0; k < kK; ++k) {
      for (int col = 0; col < kCols; ++col) d[row][col] += a[row][k] * b[k][col];
    }
  }
  for (int lane = 0; lane < kWarpSize; ++lane) {
    for (int e = 0; e < 4; ++e) {
      const Place at = PlaceInC(lane, e);
      static_cast<float*>(static_cast<MmaOperand*>(operands[lane])->d)[e] = d[at.row][at.col];
    }
  }
}

// Element i of a register of signed integers.
template <int kBits>
int32_t IntAt(uint32_t bits, int i) {
  return static_cast<int32_t>(bits << (32 - kBits * (i + 1))) >> (32 - kBits);
}

template <int kBits, int kK>
void MmaIntLanes(void* const* operands, uint32_t /*mask*/) {
  constexpr int kElements = 32 / kBits;
  int32_t a[kRows][kK];
  int32_t b[kK][kCols];
  uint32_t d[kRows][kCols];  // unsigned: sums wrap
  for (int lane = 0; lane < kWarpSize; ++lane) {
    const auto& operand = *static_cast<MmaOperand*>(operands[lane]);
    for (int r = 0; r < kK / (2 * kElements); ++r) {
      for (int i = 0; i < kElements; ++i) {
        const Place at = PlaceInA(lane, r, i, kBits);
        a[at.row][at.col] = IntAt<kBits>(operand.a[r], i);
      }
    }
    for (int r = 0; r < kK / (4 * kElements); ++r) {
      for (int i = 0; i < kElements; ++i) {
        const Place at = PlaceInB(lane, r, i, kBits);
        b[at.row][at.col] = IntAt<kBits>(operand.b[r], i);
      }
    }
    for (int e = 0; e < 4; ++e) {
      const Place at = PlaceInC(lane, e);
      d[at.row][at.col] = static_cast<uint32_t>(static_cast<int32_t*>(operand.d)[e]);
    }
  }
  for (int row = 0; row < kRows; ++row) {
    for (int k = 0; k < kK; ++k) {
      for (int col = 0; col < kCols; ++col) {
        d[row][col] += static_cast<uint32_t>(a[row][k] * b[k][col]);
      }
    }
  }
  for (int lane = 0; lane < kWarpSize; ++lane) {
    for (int e = 0; e < 4; ++e) {
      const Place at = PlaceInC(lane, e);
      static_cast<int32_t*>(static_cast<MmaOperand*>(operands[lane])->d)[e] =
          static_cast<int32_t>(d[at.row][at.col]);
    }
  }
}

}  // namespace

void LoadMatrices(uint32_t* registers, int count, bool transposed, const void* row) {
  const Machine::Inside inside;
  Machine& machine = Machine::Get();
  if (machine.current() % kWarpSize < 8 * count) CheckRead(row, 16, 16);
  LoadOperand operand = {row, registers};
  machine.Collect(LoadCollective(count, transposed), "ldmatrix", kAllLanes, &operand);
}

void MmaFloat(float* d, const uint32_t* a, const uint32_t* b, int k, FloatType type) {
  const Machine::Inside inside;
  MmaOperand operand = {d, a, b};
  const bool is_half = type == FloatType::kF16;
  const Collective collective =
      k == 16 ? (is_half ? MmaFloatLanes<FloatType::kF16, 16> : MmaFloatLanes<FloatType::kBF16, 16>)
              : (is_half ? MmaFloatLanes<FloatType::kF16, 8> : MmaFloatLanes<FloatType::kBF16, 8>);
  Machine::Get().Collect(collective, "mma", kAllLanes, &operand);
}

void MmaInt(int32_t* d, const uint32_t* a, const uint32_t* b, int k, int bits) {
  const Machine::Inside inside;
  MmaOperand operand = {d, a, b};
  const Collective collective = bits == 8 ? (k == 32 ? MmaIntLanes<8, 32> : MmaIntLanes<8, 16>)
                                          : (k == 64 ? MmaIntLanes<4, 64> : MmaIntLanes<4, 32>);
  Machine::Get().Collect(collective, "mma", kAllLanes, &operand);
}

}  // namespace runahead::emulator

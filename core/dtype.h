// Element types of tensors, and the 16-bit floats as values. Immutable.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

namespace runahead {

enum class DType : uint8_t { kF32, kF16, kBF16, kI8, kU8, kI32, kI64 };

// Bytes of one element.
constexpr int DTypeBytes(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kF16:
    case DType::kBF16:
      return 2;
    case DType::kI8:
    case DType::kU8:
      return 1;
    case DType::kI64:
      return 8;
  }
  return 0;
}

std::string_view DTypeName(DType dtype);  // "bf16"

// bfloat16: the upper half of an F32; conversions round to nearest even, NaN stays NaN.
struct BFloat16 {
  uint16_t bits = 0;
};

constexpr float ToFloat(BFloat16 value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16);
}

constexpr BFloat16 ToBFloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return {static_cast<uint16_t>((bits >> 16) | 0x40u)};  // quiet NaN
  }
  const uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  return {static_cast<uint16_t>(rounded >> 16)};
}

// IEEE binary16.
struct Float16 {
  uint16_t bits = 0;
};

float ToFloat(Float16 value);
Float16 ToFloat16(float value);  // round to nearest even

}  // namespace runahead

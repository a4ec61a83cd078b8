#include "kernels/cpu/isa/kernels.h"

namespace runahead::cpu::RA_ISA {

const KernelTable& Kernels() {
  static constexpr KernelTable kTable = {
      .linear_bf16 = LinearBf16,
      .linear_f32 = LinearF32,
      .linear_int4 = LinearInt4,
      .linear_int8 = LinearInt8,
      .attention = Attention,
      .attention_int8 = AttentionInt8,
      .merge_attention = MergeAttention,
      .rope_store = RopeStore,
      .convert = Convert,
      .rms_norm = RmsNorm,
      .add = Add,
      .silu_mul = SiluMul,
      .divide = Divide,
      .max = Max,
      .arg_max = ArgMax,
      .sum_exp = SumExp,
      .count_greater = CountGreater,
      .collect = Collect,
      .histogram = Histogram,
      .residual = Residual,
      .read_stream = ReadStream,
      .spin_bf16 = SpinBf16,
      .spin_f32 = SpinF32,
      .spin_int8 = SpinInt8,
      .gumbel_arg_max = GumbelArgMax,
      .gumbel_arg_max_of = GumbelArgMaxOf,
  };
  return kTable;
}

}  // namespace runahead::cpu::RA_ISA

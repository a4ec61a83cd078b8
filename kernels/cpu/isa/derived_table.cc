// An instruction set that adds INT8 dot products to another: that one's table with the kernels of
// quantized weights in its own way.
#include "kernels/cpu/isa/kernels.h"

namespace runahead::cpu::RA_ISA {
namespace {

KernelTable Derive() {
  KernelTable table = RA_BASE_ISA::Kernels();
  table.linear_int4 = LinearInt4;
  table.linear_int8 = LinearInt8;
  table.attention_int8 = AttentionInt8;
  table.spin_int8 = SpinInt8;
  return table;
}

}  // namespace

const KernelTable& Kernels() {
  static const KernelTable kTable = Derive();
  return kTable;
}

}  // namespace runahead::cpu::RA_ISA

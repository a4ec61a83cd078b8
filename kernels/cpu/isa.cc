#include "kernels/cpu/isa.h"

#include <algorithm>
#include <cctype>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace runahead::cpu {
namespace {

#if defined(__x86_64__)
bool HasSse4() { return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("ssse3"); }
bool HasAvx2() {
  return HasSse4() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}
bool HasAvx512() {
  return HasAvx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
bool HasAvx512Vnni() { return HasAvx512() && __builtin_cpu_supports("avx512vnni"); }
// Every processor with the one has the other.
bool HasAvx512Bf16() { return HasAvx512Vnni() && __builtin_cpu_supports("avx512bf16"); }
bool HasAvx2Vnni() {
  // Compilers do not all know its name.
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  constexpr unsigned kAvxVnni = 1u << 4;
  return HasAvx2() && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & kAvxVnni) != 0;
}

constexpr Isa kIsas[] = {
    {"AVX512_BF16", "AVX-512 with BF16 and INT8 dot products", HasAvx512Bf16,
     isa_avx512_bf16::Kernels},
    {"AVX512_VNNI", "AVX-512 with INT8 dot products", HasAvx512Vnni, isa_avx512_vnni::Kernels},
    {"AVX512", "AVX-512", HasAvx512, isa_avx512::Kernels},
    {"AVX2_VNNI", "AVX2 with INT8 dot products", HasAvx2Vnni, isa_avx2_vnni::Kernels},
    {"AVX2", "AVX2 with FMA", HasAvx2, isa_avx2::Kernels},
    {"SSE4", "SSE4.2", HasSse4, isa_sse4::Kernels},
};
#elif defined(__aarch64__)
bool HasNeonDot() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
bool HasNeonI8mm() { return HasNeonDot() && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0; }

constexpr Isa kIsas[] = {
    {"NEON_I8MM", "NEON with unsigned INT8 dot products", HasNeonI8mm, isa_neon_i8mm::Kernels},
    {"NEON_DOT", "NEON with INT8 dot products", HasNeonDot, isa_neon_dot::Kernels},
    {"NEON", "NEON", [] { return true; }, isa_neon::Kernels},
};
#else
#error "the cpu backend knows x86-64 and AArch64"
#endif

bool SameName(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::toupper(x) == std::toupper(y);
  });
}

}  // namespace

std::span<const Isa> BuiltIsas() { return kIsas; }

const Isa* FindIsa(std::string_view name) {
  for (const Isa& isa : kIsas) {
    if ((name.empty() || SameName(isa.name, name)) && isa.is_supported()) return &isa;
  }
  return nullptr;
}

}  // namespace runahead::cpu

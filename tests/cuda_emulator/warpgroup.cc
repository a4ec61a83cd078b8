// The part of Machine that knows of warpgroups: wgmma. What a wgmma reads it reads, and what it
// writes it writes, when someone waits for its group and no sooner; until then its sums hold
// nothing of use.
#include <algorithm>
#include <cstring>

#include "tests/cuda_emulator/fragments.h"
#include "tests/cuda_emulator/machine.h"

namespace runahead::emulator {
namespace {

constexpr int kRows = 64;
constexpr int kUnits = 2;  // of 16 bytes: 32 columns
constexpr int kMostN = 256;
constexpr uint32_t kPoison = 0x7f7f7f7fu;

bool IsShape(int n) { return n > 0 && n <= kMostN && (n % 16 == 0 || (n % 8 == 0 && n <= 32)); }

// Rows of 32 bytes of a matrix in shared memory.
void Gather(const char* arena, const MatrixDescriptor& matrix, int num_rows, int8_t (*to)[32]) {
  for (int row = 0; row < num_rows; ++row) {
    for (int unit = 0; unit < kUnits; ++unit) {
      std::memcpy(to[row] + 16 * unit, arena + ByteOf(matrix, row, unit), 16);
    }
  }
}

// products[row][col] = sum of a[row][k] b[col][k].
void MultiplyBytes(const int8_t (*a)[32], const int8_t (*b)[32], int n,
                   int32_t (*products)[kMostN]) {
  for (int row = 0; row < kRows; ++row) {
    for (int col = 0; col < n; ++col) {
      int32_t sum = 0;
      for (int k = 0; k < 32; ++k) sum += int16_t{a[row][k]} * int16_t{b[col][k]};
      products[row][col] = sum;
    }
  }
}

}  // namespace

// Meets the other threads of the warpgroup; the last to come does `work` for all.
template <typename Work>
void Machine::MeetWarpgroup(const char* name, void* operand, Work work) {
  const int first = current_ / kWarpgroupSize * kWarpgroupSize;
  if (first + kWarpgroupSize > num_threads_) {
    Report(BugKind::kDivergence, std::string(name) + " in a warpgroup of less than 128 threads");
    Abandon();
  }
  Warpgroup& group = warpgroups_[static_cast<size_t>(current_ / kWarpgroupSize)];
  if (group.num_arrived > 0 && std::strcmp(group.at, name) != 0) {
    Report(BugKind::kDivergence, std::string("divergent warpgroup: at ") + name +
                                     " while other threads wait at " + group.at);
    Abandon();
  }
  group.at = name;
  group.operands[static_cast<size_t>(current_ - first)] = operand;
  if (++group.num_arrived < kWarpgroupSize) return Wait(name, Where());
  group.num_arrived = 0;
  work(group, first);
  for (int t = first; t < first + kWarpgroupSize; ++t) {
    if (t != current_) Wake(t);
  }
}

void Machine::WgmmaFence() {
  MeetWarpgroup("wgmma.fence", nullptr, [&](Warpgroup& group, int first) {
    group.has_fenced = true;
    for (int t = first; t < first + kWarpgroupSize; ++t) {
      for (Accumulators& sums : threads_[static_cast<size_t>(t)].accumulators) {
        sums.is_touched = false;
      }
    }
  });
}

// The thread's sums at d, noted from their first use on.
Machine::Accumulators& Machine::AccumulatorsAt(int thread, int32_t* d, int count) {
  auto& all = threads_[static_cast<size_t>(thread)].accumulators;
  for (Accumulators& sums : all) {
    if (sums.begin == reinterpret_cast<uintptr_t>(d)) return sums;
  }
  has_accumulators_ = true;
  all.push_back({reinterpret_cast<uintptr_t>(d), static_cast<uintptr_t>(count) * 4, 0, false});
  return all.back();
}

// Notes the reads of rows [begin, end) by a warp: made by its last lane, which must know that the
// bytes are there, and released by its first, which waits for them.
void Machine::NoteMatrixRead(const MatrixDescriptor& matrix, int begin, int end, int thread,
                             bool is_issue) {
  for (int row = begin; row < end; ++row) {
    for (int unit = 0; unit < kUnits; ++unit) {
      const int64_t at = ByteOf(matrix, row, unit);
      if (!is_issue) {
        shadow_.NoteAsyncReadDone(thread, at, 16);
        continue;
      }
      if (!IsShared(at, 16)) {
        Report(BugKind::kOutOfBounds, "out of bounds: wgmma reads shared byte " +
                                          std::to_string(at) + " of " +
                                          std::to_string(shape_->shared_bytes));
        Abandon();
      }
      if (!HasAccessChecks() || !has_checks_) continue;
      if (shadow_.NoteAsyncReadIssue(thread, at, 16)) continue;
      Report(shadow_.is_unfenced()        ? BugKind::kUnfenced
             : shadow_.is_uninitialised() ? BugKind::kUninitialised
                                          : BugKind::kRace,
             shadow_.problem());
      Abandon();
    }
  }
}

void Machine::NoteWgmmaReads(const Wgmma& wgmma, int first, bool is_issue) {
  if (!is_issue && (!HasAccessChecks() || !has_checks_)) return;
  for (int warp = 0; warp < kWarpgroupSize / kWarpSize; ++warp) {
    const int lane = is_issue ? kWarpSize - 1 : 0;
    const int thread = first + warp * kWarpSize + lane;
    NoteMatrixRead(wgmma.a, 16 * warp, 16 * warp + 16, thread, is_issue);
    NoteMatrixRead(wgmma.b, 0, wgmma.n, thread, is_issue);
  }
}

void Machine::WgmmaS8(int32_t* d, int n, uint64_t a, uint64_t b, bool accumulates) {
  Wgmma mine;
  mine.n = n;
  mine.a = DecodeDescriptor(a);
  mine.b = DecodeDescriptor(b);
  mine.accumulates = accumulates;
  if (!IsShape(n) || !HasTwin(mine.a) || !HasTwin(mine.b)) {
    Report(BugKind::kMisaligned, "wgmma: a shape or a layout that has no twin");
    Abandon();
  }
  Operand operand = {d, &mine};
  MeetWarpgroup("wgmma.mma_async", &operand, [&](Warpgroup& group, int first) {
    if (!group.has_fenced) {
      Report(BugKind::kUnfenced, "unfenced: wgmma with no wgmma.fence before it");
      Abandon();
    }
    for (int t = 0; t < kWarpgroupSize; ++t) {
      const auto& of = *static_cast<Operand*>(group.operands[static_cast<size_t>(t)]);
      if (!of.wgmma->IsSame(mine)) {
        Report(BugKind::kDivergence, "divergent warpgroup: wgmma of different matrices");
        Abandon();
      }
      if (AccumulatorsAt(first + t, of.d, n / 2).is_touched) {
        Report(BugKind::kUnfenced,
               "unfenced: wgmma adds to sums that were accessed since the last wgmma.fence");
        Abandon();
      }
    }
    Wgmma& wgmma = group.open.emplace_back(mine);
    for (int t = 0; t < kWarpgroupSize; ++t) {
      int32_t* sums = static_cast<Operand*>(group.operands[static_cast<size_t>(t)])->d;
      wgmma.d[static_cast<size_t>(t)] = sums;
      // A wgmma under way has them already: this one goes on where it ends.
      if (AccumulatorsAt(first + t, sums, n / 2).num_pending++ > 0) continue;
      wgmma.before.insert(wgmma.before.end(), sums, sums + n / 2);
      std::fill_n(sums, n / 2, static_cast<int32_t>(kPoison));
    }
    NoteWgmmaReads(wgmma, first, true);
  });
}

void Machine::WgmmaCommit() {
  MeetWarpgroup("wgmma.commit_group", nullptr, [](Warpgroup& group, int) {
    group.groups.push_back(std::move(group.open));
    group.open.clear();
  });
}

void Machine::WgmmaWait(size_t num_pending_groups) {
  MeetWarpgroup("wgmma.wait_group", nullptr, [&](Warpgroup& group, int first) {
    while (group.groups.size() > num_pending_groups) {
      for (const Wgmma& wgmma : group.groups.front()) FinishWgmma(wgmma, first);
      group.groups.pop_front();
    }
  });
}

void Machine::FinishWgmma(const Wgmma& wgmma, int first) {
  static int8_t a[kRows][32];
  static int8_t b[kMostN][32];
  static int32_t products[kRows][kMostN];
  Gather(arena_, wgmma.a, kRows, a);
  Gather(arena_, wgmma.b, wgmma.n, b);
  MultiplyBytes(a, b, wgmma.n, products);
  const size_t count = static_cast<size_t>(wgmma.n) / 2;
  for (int t = 0; t < kWarpgroupSize; ++t) {
    int32_t* d = wgmma.d[static_cast<size_t>(t)];
    if (!wgmma.before.empty()) {
      std::memcpy(d, wgmma.before.data() + static_cast<size_t>(t) * count, count * 4);
    }
    for (size_t i = 0; i < count; ++i) {
      const Place at = PlaceInWgmmaD(t, static_cast<int>(i));
      const auto sum = static_cast<uint32_t>(wgmma.accumulates ? d[i] : 0);
      d[i] = static_cast<int32_t>(sum + static_cast<uint32_t>(products[at.row][at.col]));
    }
    --AccumulatorsAt(first + t, d, static_cast<int>(count)).num_pending;
  }
  NoteWgmmaReads(wgmma, first, false);
}

// A kernel's access to its own stack: sums under way are not its to touch.
void Machine::CheckAccumulators(const void* address, int64_t bytes, const void* pc) {
  const auto at = reinterpret_cast<uintptr_t>(address);
  for (Accumulators& sums : threads_[static_cast<size_t>(current_)].accumulators) {
    if (at + static_cast<uintptr_t>(bytes) <= sums.begin || at >= sums.begin + sums.bytes) continue;
    if (sums.num_pending > 0) {
      Report(BugKind::kRace, "race: sums of a wgmma are accessed before a wgmma.wait_group", pc);
      Abandon();
    }
    sums.is_touched = true;
  }
}

// A thread ends: its warpgroup may have nothing under way.
void Machine::CheckWarpgroupEnd() {
  const Warpgroup& group = warpgroups_[static_cast<size_t>(current_ / kWarpgroupSize)];
  if (group.num_arrived > 0) {
    Report(BugKind::kDivergence,
           std::string("divergent warpgroup: a thread ends while others wait at ") + group.at);
    Abandon();
  }
  if (group.open.empty() && group.groups.empty()) return;
  Report(BugKind::kRace, "race: a thread ends before a wgmma.wait_group of its warpgroup's wgmma");
  Abandon();
}

}  // namespace runahead::emulator

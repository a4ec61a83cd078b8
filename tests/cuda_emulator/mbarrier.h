// Mbarrier: what an mbarrier object in shared memory counts. One host thread only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/cuda_emulator/clocks.h"

namespace runahead::emulator {

// As the PTX ISA documents it (chapter "mbarrier"): a phase expects `num_arrivals` arrivals, and as
// many transaction bytes to be completed as were announced in it. When none of either is
// outstanding, the phase completes and the next one begins, with the arrivals expected anew. A wait
// names the parity of a phase: 0 for the first.
class Mbarrier {
 public:
  static constexpr int kMost = (1 << 20) - 1;  // of arrivals, and of bytes either way

  explicit Mbarrier(int num_arrivals) : num_arrivals_(num_arrivals), num_pending_(num_arrivals) {}

  // False: the phase has had all its arrivals (and waits for bytes).
  bool Arrive();
  // False: more bytes than are counted.
  bool Expect(int64_t bytes);
  bool Complete(int64_t bytes) { return Expect(-bytes); }
  // Whether the phase has completed with what was counted last; the next has then begun.
  bool TryNextPhase();

  // Whether the phase of `parity` is over: the one before the current.
  bool IsOver(int parity) const { return static_cast<int>(phase_ % 2) != parity; }
  int64_t num_bytes() const { return num_bytes_; }
  bool is_partial() const { return num_pending_ != num_arrivals_ || num_bytes_ != 0; }
  std::string Text() const;  // "phase 3 lacks 1 arrivals and 512 bytes"

  // What those who wait for the current phase, and for the one before, learn.
  Clocks::Join arrived;
  Clocks::Join over;
  std::vector<int> waiting;
  // Who made it, and when.
  int maker = 0;
  uint32_t made_at = 0;

 private:
  int num_arrivals_;
  int num_pending_;
  int64_t num_bytes_ = 0;  // announced and not yet there; less than 0: there before announced
  uint64_t phase_ = 0;
};

}  // namespace runahead::emulator

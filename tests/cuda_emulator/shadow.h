// SharedShadow: what is known of every byte of a block's shared memory, to find races and reads of
// what nobody wrote. One host thread only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/cuda_emulator/clocks.h"

namespace runahead::emulator {

enum class Access : uint8_t { kRead, kWrite, kAtomic };

// One cell for four bytes:
//
//   | last write: time, thread, which bytes, atomic? by the asynchronous proxy? | which bytes were
//   ever written | which bytes an asynchronous copy is still to fill | how many asynchronous reads
//   (wgmma) are under way | two readers since: time, thread, which bytes |
//
// Two readers are kept of different warps where there are such, so a write without any barrier
// since they read is always found; where several warps read and a barrier ordered only some of them
// before the write, a race may be missed. So may one of two threads that write different bytes of a
// cell: the later is kept.
class SharedShadow {
 public:
  explicit SharedShadow(const Clocks& clocks) : clocks_(clocks) {}

  void Reset(int64_t bytes);   // forgets all
  void Extend(int64_t bytes);  // keeps what is known

  // Notes an access of `thread` to bytes [at, at + bytes). False: something is wrong with it, and
  // problem() says what.
  bool Note(int thread, int64_t at, int64_t bytes, Access access);
  // The same of an asynchronous copy into [at, at + bytes): when it is issued, and when it is there
  // for who knows of `writer` at `time` (its issuer that has waited, or the agent an mbarrier tells
  // of). `is_proxy`: a bulk copy, which needs no proxy fence before wgmma reads.
  bool NoteAsyncIssue(int thread, int64_t at, int64_t bytes);
  void NoteAsyncDone(int writer, uint32_t time, int64_t at, int64_t bytes, bool is_proxy);
  // The same of an asynchronous read: when it is issued, and when its issuer has waited for it.
  bool NoteAsyncReadIssue(int thread, int64_t at, int64_t bytes);
  void NoteAsyncReadDone(int thread, int64_t at, int64_t bytes);

  const std::string& problem() const { return problem_; }
  // Whether problem() is a read of what nobody wrote, or one without a proxy fence, and no race.
  bool is_uninitialised() const { return what_ == What::kUninitialised; }
  bool is_unfenced() const { return what_ == What::kUnfenced; }

 private:
  struct Reader {
    uint32_t time = 0;
    uint16_t thread = 0;
    uint8_t bytes = 0;
  };
  struct Cell {
    uint32_t write_time = 0;
    uint16_t writer = 0;
    uint8_t written : 4 = 0;  // bytes of the last write
    uint8_t known : 4 = 0;    // bytes ever written
    uint8_t pending : 4 = 0;  // bytes of a copy under way
    uint8_t is_atomic : 1 = 0;
    uint8_t is_proxy : 1 = 0;
    uint16_t async_reads = 0;
    Reader readers[2];
  };

  bool Read(int thread, Cell& cell, uint8_t bytes, int64_t at);
  bool Write(int thread, Cell& cell, uint8_t bytes, bool is_atomic, int64_t at);
  bool IsBefore(const Cell& cell, int thread) const {
    return clocks_.HappenedBefore(cell.writer, cell.write_time, thread);
  }
  bool IsWritten(const char* now, int thread, const Cell& cell, uint8_t bytes, int64_t at);
  void AddReader(int thread, Cell& cell, uint8_t bytes);
  enum class What : uint8_t { kRace, kUninitialised, kUnfenced };
  bool Problem(What what, const char* now, int64_t at, const std::string& why);
  bool Race(const char* now, const char* before, int other, int64_t at);
  // Calls note(cell, mask, byte) for the cells of [at, at + bytes) until one returns false.
  template <typename Visit>
  bool ForCells(int64_t at, int64_t bytes, Visit note);

  const Clocks& clocks_;
  std::vector<Cell> cells_;
  std::string problem_;
  What what_ = What::kRace;
};

}  // namespace runahead::emulator

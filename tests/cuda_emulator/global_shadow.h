// GlobalShadow: who wrote and read global memory in the running launch, to find races within a
// block and between blocks. One host thread only.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "tests/cuda_emulator/clocks.h"
#include "tests/cuda_emulator/shadow.h"

namespace runahead::emulator {

// Nothing orders two blocks of a launch, so what one of them writes no other may touch, atomics
// apart; within a block barriers order, as they do shared memory. Launches come one after another.
//
// One cell for four bytes, in pages made when they are first touched:
//
//   | last write: block, time, thread, which bytes, atomic? | two readers: block, time, thread,
//   which bytes |
//
// Blocks are counted over all launches, so a launch makes what is older void. One reader kept is of
// another block where there is such. As in shared memory, one of several races may be missed, and
// one of two threads that write different bytes of a cell.
class GlobalShadow {
 public:
  // `clocks` are the running block's.
  explicit GlobalShadow(const Clocks& clocks) : clocks_(clocks) {}

  void StartLaunch();
  void StartBlock() { ++block_; }

  // Notes an access of `thread` of the running block. False: a race; problem() says which.
  bool Note(int thread, const void* address, int64_t bytes, Access access);
  const std::string& problem() const { return problem_; }

 private:
  static constexpr uintptr_t kCellBytes = 4;
  static constexpr uintptr_t kPageCells = 1024;

  // An access of the past; of a block before first_block_ it is void.
  struct Mark {
    uint32_t block = 0;
    uint32_t time = 0;
    uint16_t thread = 0;
    uint8_t bytes = 0;
    bool is_atomic = false;
  };
  struct Cell {
    Mark write;
    std::array<Mark, 2> readers;
  };
  using Page = std::array<Cell, kPageCells>;

  Cell& CellAt(uintptr_t index);
  bool IsOf(const Mark& mark, uint8_t bytes) const {
    return mark.block >= first_block_ && (mark.bytes & bytes) != 0;
  }
  bool IsBefore(const Mark& mark, int thread) const {
    return mark.block == block_ && clocks_.HappenedBefore(mark.thread, mark.time, thread);
  }
  void AddReader(Cell& cell, const Mark& now);
  bool Race(const char* now, const char* before, const Mark& mark, uintptr_t address);

  const Clocks& clocks_;
  uint32_t block_ = 0;        // the running one
  uint32_t first_block_ = 1;  // of the launch
  std::unordered_map<uintptr_t, std::unique_ptr<Page>> pages_;
  struct Recent {
    uintptr_t number = 0;
    Page* page = nullptr;
  };
  std::array<Recent, 16> recent_;
  std::string problem_;
};

}  // namespace runahead::emulator

#include "tests/cuda_emulator/shadow.h"

#include <algorithm>

namespace runahead::emulator {
namespace {

constexpr int64_t kCellBytes = 4;

}  // namespace

void SharedShadow::Reset(int64_t bytes) {
  cells_.assign(static_cast<size_t>((bytes + kCellBytes - 1) / kCellBytes), Cell{});
}

void SharedShadow::Extend(int64_t bytes) {
  cells_.resize(static_cast<size_t>((bytes + kCellBytes - 1) / kCellBytes));
}

bool SharedShadow::Problem(What what, const char* now, int64_t at, const std::string& why) {
  const char* name = what == What::kRace            ? "race: "
                     : what == What::kUninitialised ? "uninitialised: "
                                                    : "unfenced: ";
  problem_ = name + std::string(now) + " of shared byte " + std::to_string(at) + ", which " + why;
  what_ = what;
  return false;
}

bool SharedShadow::Race(const char* now, const char* before, int other, int64_t at) {
  const std::string who =
      other == clocks_.agent() ? "an asynchronous copy" : "thread " + std::to_string(other);
  return Problem(What::kRace, now, at,
                 who + " " + before + " with no barrier in between that orders the two");
}

template <typename Visit>
bool SharedShadow::ForCells(int64_t at, int64_t bytes, Visit note) {
  const int64_t end = at + bytes;
  while (at < end) {
    const int64_t first = at % kCellBytes;
    const int64_t count = std::min(kCellBytes - first, end - at);
    const auto mask = static_cast<uint8_t>(((1u << count) - 1u) << first);
    if (!note(cells_[static_cast<size_t>(at / kCellBytes)], mask, at)) return false;
    at += count;
  }
  return true;
}

// Whether `bytes` are there for `thread`.
bool SharedShadow::IsWritten(const char* now, int thread, const Cell& cell, uint8_t bytes,
                             int64_t at) {
  if ((cell.pending & bytes) != 0) {
    return Problem(What::kRace, now, at, "an asynchronous copy is still to fill");
  }
  if ((cell.known & bytes) != bytes) {
    return Problem(What::kUninitialised, now, at, "nothing has written");
  }
  if ((cell.written & bytes) != 0 && !IsBefore(cell, thread)) {
    return Race(now, "wrote", cell.writer, at);
  }
  return true;
}

bool SharedShadow::Read(int thread, Cell& cell, uint8_t bytes, int64_t at) {
  if (!IsWritten("read", thread, cell, bytes, at)) return false;
  AddReader(thread, cell, bytes);
  return true;
}

void SharedShadow::AddReader(int thread, Cell& cell, uint8_t bytes) {
  const uint32_t time = clocks_.time(thread);
  Reader* free = nullptr;
  for (Reader& reader : cell.readers) {
    if (reader.bytes != 0 && reader.thread == thread) {
      reader.bytes = reader.time == time ? static_cast<uint8_t>(reader.bytes | bytes) : bytes;
      reader.time = time;
      return;
    }
    if (reader.bytes == 0 || clocks_.HappenedBefore(reader.thread, reader.time, thread)) {
      free = &reader;
    }
  }
  const auto warp_of = [](const Reader& reader) { return reader.thread / kWarpSize; };
  if (free == nullptr && warp_of(cell.readers[0]) == warp_of(cell.readers[1])) {
    free = &cell.readers[1];
  }
  if (free != nullptr) *free = {time, static_cast<uint16_t>(thread), bytes};
}

bool SharedShadow::Write(int thread, Cell& cell, uint8_t bytes, bool is_atomic, int64_t at) {
  if ((cell.pending & bytes) != 0) {
    return Problem(What::kRace, "write", at, "an asynchronous copy is still to fill");
  }
  if (cell.async_reads > 0) {
    return Problem(What::kRace, "write", at, "a wgmma nobody has waited for still reads");
  }
  const bool both_atomic = is_atomic && cell.is_atomic != 0;
  if ((cell.written & bytes) != 0 && !both_atomic && !IsBefore(cell, thread)) {
    return Race("write", "wrote", cell.writer, at);
  }
  for (Reader& reader : cell.readers) {
    if ((reader.bytes & bytes) == 0) continue;
    if (!clocks_.HappenedBefore(reader.thread, reader.time, thread)) {
      return Race("write", "read", reader.thread, at);
    }
    reader.bytes = 0;
  }
  cell.write_time = clocks_.time(thread);
  cell.writer = static_cast<uint16_t>(thread);
  cell.written = bytes & 0xf;
  cell.known = (cell.known | bytes) & 0xf;
  cell.is_atomic = is_atomic;
  cell.is_proxy = 0;
  return true;
}

bool SharedShadow::Note(int thread, int64_t at, int64_t bytes, Access access) {
  return ForCells(at, bytes, [&](Cell& cell, uint8_t mask, int64_t byte) {
    if (access == Access::kRead) return Read(thread, cell, mask, byte);
    if (access == Access::kAtomic && (cell.known & mask) != mask) {
      return Problem(What::kUninitialised, "atomic", byte, "nothing has written");
    }
    return Write(thread, cell, mask, access == Access::kAtomic, byte);
  });
}

bool SharedShadow::NoteAsyncIssue(int thread, int64_t at, int64_t bytes) {
  return ForCells(at, bytes, [&](Cell& cell, uint8_t mask, int64_t byte) {
    const bool is_right = Write(thread, cell, mask, false, byte);
    cell.pending = (cell.pending | mask) & 0xf;
    return is_right;
  });
}

void SharedShadow::NoteAsyncDone(int writer, uint32_t time, int64_t at, int64_t bytes,
                                 bool is_proxy) {
  ForCells(at, bytes, [&](Cell& cell, uint8_t mask, int64_t) {
    cell.pending = cell.pending & ~mask & 0xf;
    cell.writer = static_cast<uint16_t>(writer);
    cell.write_time = time;
    cell.is_proxy = is_proxy;
    return true;
  });
}

bool SharedShadow::NoteAsyncReadIssue(int thread, int64_t at, int64_t bytes) {
  return ForCells(at, bytes, [&](Cell& cell, uint8_t mask, int64_t byte) {
    if (!IsWritten("a wgmma's read", thread, cell, mask, byte)) return false;
    if (cell.is_proxy == 0 && !clocks_.IsFenced(cell.writer, cell.write_time, thread)) {
      return Problem(What::kUnfenced, "a wgmma's read", byte,
                     "was written with no fence.proxy.async since");
    }
    ++cell.async_reads;
    return true;
  });
}

void SharedShadow::NoteAsyncReadDone(int thread, int64_t at, int64_t bytes) {
  ForCells(at, bytes, [&](Cell& cell, uint8_t mask, int64_t) {
    --cell.async_reads;
    AddReader(thread, cell, mask);
    return true;
  });
}

}  // namespace runahead::emulator

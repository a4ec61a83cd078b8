#include "tests/cuda_emulator/global_shadow.h"

#include <algorithm>

namespace runahead::emulator {
namespace {

// 16 MB of memory, 150 MB of cells: more pages than that are forgotten between launches.
constexpr size_t kMaxPages = 4'000;

}  // namespace

void GlobalShadow::StartLaunch() {
  first_block_ = block_ + 1;
  if (pages_.size() <= kMaxPages) return;
  pages_.clear();
  recent_.fill({});
}

GlobalShadow::Cell& GlobalShadow::CellAt(uintptr_t index) {
  const uintptr_t number = index / kPageCells;
  Recent& recent = recent_[number % recent_.size()];
  if (recent.page == nullptr || recent.number != number) {
    std::unique_ptr<Page>& page = pages_[number];
    if (page == nullptr) page = std::make_unique<Page>();
    recent = {number, page.get()};
  }
  return (*recent.page)[index % kPageCells];
}

bool GlobalShadow::Race(const char* now, const char* before, const Mark& mark, uintptr_t address) {
  const std::string who = mark.block == block_
                              ? "thread " + std::to_string(mark.thread)
                              : "thread " + std::to_string(mark.thread) + " of another block";
  const std::string why = mark.block == block_ ? "with no barrier in between that orders the two"
                                               : "in the same launch";
  problem_ = std::string("race: ") + now + " of global byte " + std::to_string(address) +
             ", which " + who + " " + before + " " + why;
  return false;
}

// What is kept: a reader of another block, and of the running one who read last.
void GlobalShadow::AddReader(Cell& cell, const Mark& now) {
  Mark* place = nullptr;
  for (Mark& reader : cell.readers) {
    const bool is_own = reader.block == now.block && reader.thread == now.thread;
    if (is_own && reader.time == now.time) {
      reader.bytes |= now.bytes;
      return;
    }
    if (is_own || reader.block < first_block_ || IsBefore(reader, now.thread)) place = &reader;
  }
  if (place == nullptr && cell.readers[0].block != now.block &&
      cell.readers[1].block != now.block) {
    place = &cell.readers[1];
  }
  if (place != nullptr) *place = now;
}

bool GlobalShadow::Note(int thread, const void* address, int64_t bytes, Access access) {
  auto at = reinterpret_cast<uintptr_t>(address);
  const uintptr_t end = at + static_cast<uintptr_t>(bytes);
  while (at < end) {
    const uintptr_t first = at % kCellBytes;
    const uintptr_t count = std::min(kCellBytes - first, end - at);
    const auto mask = static_cast<uint8_t>(((1u << count) - 1u) << first);
    Cell& cell = CellAt(at / kCellBytes);
    const Mark now = {block_, clocks_.time(thread), static_cast<uint16_t>(thread), mask,
                      access == Access::kAtomic};
    const char* name = access == Access::kRead ? "read" : "write";
    const bool are_atomic = now.is_atomic && cell.write.is_atomic;
    if (IsOf(cell.write, mask) && !are_atomic && !IsBefore(cell.write, thread)) {
      return Race(name, "wrote", cell.write, at);
    }
    if (access == Access::kRead) {
      AddReader(cell, now);
    } else {
      for (const Mark& reader : cell.readers) {
        if (IsOf(reader, mask) && !IsBefore(reader, thread)) {
          return Race(name, "read", reader, at);
        }
      }
      cell.write = now;
    }
    at += count;
  }
  return true;
}

}  // namespace runahead::emulator

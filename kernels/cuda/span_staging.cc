#include "kernels/cuda/span_staging.h"

#include <algorithm>
#include <utility>

namespace runahead::RA_CUDA {
namespace {

constexpr int64_t kAlignment = 64;

// Comparing longer spans costs more than copying them.
constexpr int64_t kMaxSharedSpanBytes = 64 * 1024;

int64_t AlignUp(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

int64_t BytesOf(std::span<const SpanStaging::Place> places) {
  return places.empty() ? 0 : places.back().at + places.back().bytes;
}

}  // namespace

SpanStaging::SpanStaging(DeviceRuntime& runtime, int64_t bytes) : runtime_(runtime) {
  pieces_.push_back({.memory = runtime.Allocate(bytes, MemoryKind::kHostPinned)});
}

char* SpanStaging::Reserve(int64_t bytes) {
  for (;; ++current_) {
    if (current_ == pieces_.size()) {
      // Rare: thousands of ids for each of many rows. It stays for the next time.
      const int64_t size = std::max(bytes, pieces_.front().memory.bytes());
      pieces_.push_back({.memory = runtime_.Allocate(size, MemoryKind::kHostPinned)});
    }
    Piece& piece = pieces_[current_];
    if (piece.used + bytes > piece.memory.bytes()) continue;
    char* memory = static_cast<char*>(piece.memory.data()) + piece.used;
    piece.used = AlignUp(piece.used + bytes);
    return memory;
  }
}

int64_t SpanStaging::used_bytes() const {
  int64_t bytes = 0;
  for (const Piece& piece : pieces_) bytes += piece.used;
  return bytes;
}

const void* SpanStaging::Copy(const void* data, int64_t bytes) {
  if (bytes == 0) return nullptr;
  if (is_capturing()) return PlaceOf(data, bytes);
  const auto size = static_cast<size_t>(bytes);
  if (bytes <= kMaxSharedSpanBytes) {
    for (const Entry& entry : ins_) {
      if (entry.bytes == bytes && std::memcmp(entry.memory, data, size) == 0) return entry.memory;
    }
  }
  char* copy = Reserve(bytes);
  std::memcpy(copy, data, size);
  ins_.push_back({copy, bytes, nullptr});
  return copy;
}

void* SpanStaging::ReserveOut(void* data, int64_t bytes) {
  if (bytes == 0) return nullptr;
  if (is_capturing()) {
    const int64_t at = AlignUp(BytesOf(places_.outs));
    RA_CHECK_LE(kResultsAt + at + bytes, kPlacesBytes);
    places_.outs.push_back({data, bytes, at, {}});
    return places_memory_ + kResultsAt + at;
  }
  char* memory = Reserve(bytes);
  outs_.push_back({memory, bytes, data});
  return memory;
}

void SpanStaging::Drain() {
  for (const Entry& entry : outs_) {
    std::memcpy(entry.host, entry.memory, static_cast<size_t>(entry.bytes));
  }
  ins_.clear();
  outs_.clear();
  for (Piece& piece : pieces_) piece.used = 0;
  current_ = 0;
}

void SpanStaging::BeginCapture(char* device) {
  RA_CHECK(!is_capturing());
  places_memory_ = device;
  places_ = {};
}

SpanStaging::Places SpanStaging::EndCapture() {
  places_memory_ = nullptr;
  return std::move(places_);
}

const void* SpanStaging::PlaceOf(const void* data, int64_t bytes) {
  const auto same = std::ranges::find_if(places_.ins, [&](const Place& place) {
    return !place.fill && place.host == data && place.bytes == bytes;
  });
  if (same != places_.ins.end()) return places_memory_ + same->at;
  return AddPlace({data, bytes, 0, {}});
}

const void* SpanStaging::AddPlace(Place place) {
  place.at = AlignUp(BytesOf(places_.ins));
  RA_CHECK_LE(place.at + place.bytes, kResultsAt);
  places_.ins.push_back(std::move(place));
  return places_memory_ + places_.ins.back().at;
}

void SpanStaging::CopyIn(const Places& places, char* device) {
  const int64_t bytes = BytesOf(places.ins);
  if (bytes == 0) return;
  char* pinned = Reserve(bytes);
  for (const Place& place : places.ins) {
    if (place.fill) {
      place.fill(pinned + place.at);
    } else {
      std::memcpy(pinned + place.at, place.host, static_cast<size_t>(place.bytes));
    }
  }
  runtime_.CopyFromPinned(device, pinned, bytes);
}

void SpanStaging::CopyOut(const Places& places, const char* device) {
  const int64_t bytes = BytesOf(places.outs);
  if (bytes == 0) return;
  char* pinned = Reserve(bytes);
  runtime_.CopyToHost(pinned, device + kResultsAt, bytes);
  for (const Place& place : places.outs) {
    outs_.push_back({pinned + place.at, place.bytes, const_cast<void*>(place.host)});
  }
}

}  // namespace runahead::RA_CUDA

// A file of any bytes parses or is refused, and what parses lies within the file.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/check.h"
#include "model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto file = runahead::ParseSafetensors(bytes);
  if (file.ok()) {
    for (const auto& entry : file->entries) {
      RA_CHECK_GE(entry.begin, 0);
      RA_CHECK_LE(entry.begin, entry.end);
      RA_CHECK_LE(file->data_offset + entry.end, static_cast<int64_t>(size));
    }
  }
  // Most inputs have no sensible length in front: let the header alone be fuzzed too.
  const auto header = runahead::ParseSafetensorsHeader(bytes, 64);
  if (header.ok()) {
    for (const auto& entry : *header) RA_CHECK(entry.begin >= 0 && entry.end <= 64);
  }
  return 0;
}

#include "text/tokenizer_byte_level.h"

#include <array>
#include <cstdint>

#include "text/unicode.h"

namespace runahead {
namespace {

constexpr uint16_t kNoByte = 256;

struct Tables {
  std::array<uint16_t, 256> character_of = {};
  std::array<uint16_t, 512> byte_of = {};  // kNoByte where the character stands for none
};

constexpr Tables MakeTables() {
  Tables tables;
  for (auto& byte : tables.byte_of) byte = kNoByte;
  uint16_t next = 256;
  for (uint16_t byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const uint16_t character = printable ? byte : next++;
    tables.character_of[byte] = character;
    tables.byte_of[character] = byte;
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

}  // namespace

void AppendByteLevel(std::string_view bytes, std::string* out) {
  for (const char byte : bytes) {
    AppendUtf8(kTables.character_of[static_cast<unsigned char>(byte)], out);
  }
}

std::optional<std::string> BytesOfByteLevel(std::string_view characters) {
  std::string bytes;
  bytes.reserve(characters.size());
  for (size_t at = 0; at < characters.size();) {
    const Utf8Char c = DecodeUtf8(characters, at);
    at += c.num_bytes;
    if (c.code >= kTables.byte_of.size() || kTables.byte_of[c.code] == kNoByte) return {};
    bytes.push_back(static_cast<char>(kTables.byte_of[c.code]));
  }
  return bytes;
}

}  // namespace runahead

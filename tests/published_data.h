// Where published tokenizers, templates and API descriptions are, which tests compare with where a
// machine has them: the directory that RUNAHEAD_TEST_DATA names. Thread-safe.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>

namespace runahead {

// Nothing where the variable is unset or empty.
inline std::optional<std::filesystem::path> PublishedData() {
  const char* data = std::getenv("RUNAHEAD_TEST_DATA");
  if (data == nullptr || *data == '\0') return {};
  return std::filesystem::path(data);
}

}  // namespace runahead

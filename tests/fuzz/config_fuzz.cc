// Any bytes as a configuration file: settings or an error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "server/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  runahead::ServeConfig config;
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  if (runahead::ApplyJson(json, "fuzz", config).ok()) (void)runahead::CheckConfig(config).ok();
  return 0;
}

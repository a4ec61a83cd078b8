// A config.json of any bytes parses or is refused, and what parses has sizes a model can have.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/check.h"
#include "model/model_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = runahead::ParseModelConfig(text, text);
  if (config.ok()) {
    RA_CHECK_GT(config->NumWeights(), 0);
    RA_CHECK_EQ(config->num_heads % config->num_kv_heads, 0);
    RA_CHECK(config->head_dim > 0 && config->head_dim % 2 == 0);
  }
  return 0;
}

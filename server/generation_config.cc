#include "server/generation_config.h"

#include <fstream>
#include <iterator>

#include "nlohmann/json.hpp"

namespace runahead {
namespace {

using Json = nlohmann::json;

// Reads a number in [low, high] over `value`, where the key is there and not null.
template <typename T>
Status Read(const Json& config, const char* key, double low, double high, T& value) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return {};
  if (!found->is_number() || found->get<double>() < low || found->get<double>() > high) {
    return InvalidArgument("generation_config.json: " + std::string(key) + " is " + found->dump() +
                           ", which is out of range");
  }
  value = static_cast<T>(found->get<double>());
  return {};
}

}  // namespace

Result<SamplingDefaults> ParseSamplingDefaults(std::string_view generation_config_json) {
  const Json config = Json::parse(generation_config_json, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) return InvalidArgument("generation_config.json is not a JSON object");
  SamplingDefaults defaults;
  const auto do_sample = config.find("do_sample");
  if (do_sample == config.end() || *do_sample != true) return defaults;
  RA_RETURN_IF_ERROR(Read(config, "temperature", 0, 2, defaults.temperature));
  RA_RETURN_IF_ERROR(Read(config, "top_p", 1e-6, 1, defaults.top_p));
  RA_RETURN_IF_ERROR(Read(config, "top_k", 0, 1e9, defaults.top_k));
  RA_RETURN_IF_ERROR(Read(config, "repetition_penalty", 1e-6, 1e6, defaults.repetition_penalty));
  return defaults;
}

Result<SamplingDefaults> LoadSamplingDefaults(const std::string& directory) {
  std::ifstream file(directory + "/generation_config.json", std::ios::binary);
  if (!file) return SamplingDefaults{};
  return ParseSamplingDefaults(std::string(std::istreambuf_iterator<char>(file), {}));
}

}  // namespace runahead

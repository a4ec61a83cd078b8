#include "server/json_fields.h"

#include <cmath>
#include <limits>
#include <sstream>
#include <utility>

namespace runahead {
namespace {

template <typename T>
std::string Range(std::string_view kind, T min, T max) {
  std::ostringstream text;
  text << "must be " << kind << " from " << min << " to " << max;
  return text.str();
}

}  // namespace

std::optional<int64_t> AsInteger(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  constexpr double kLimit = 9.2e18;  // below 2^63, where every double is an int64
  if (!(std::abs(number) < kLimit) || number != std::floor(number)) return std::nullopt;
  return static_cast<int64_t>(number);
}

void FieldReader::Fail(std::string_view name, std::string_view what) {
  if (!status_.ok()) return;
  const std::string param = prefix_ + std::string(name);
  status_ = InvalidArgument("'" + param + "' " + std::string(what) + ".", param);
}

std::optional<bool> FieldReader::Bool(std::string_view name) {
  const Json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  Fail(name, "must be a boolean");
  return std::nullopt;
}

std::optional<int64_t> FieldReader::Integer(std::string_view name, int64_t min, int64_t max) {
  const Json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  const std::optional<int64_t> number = AsInteger(*value);
  if (number && *number >= min && *number <= max) return number;
  Fail(name, Range("an integer", min, max));
  return std::nullopt;
}

std::optional<int> FieldReader::Int(std::string_view name, int min, int max) {
  const std::optional<int64_t> number = Integer(name, min, max);
  if (!number) return std::nullopt;
  return static_cast<int>(*number);
}

std::optional<double> FieldReader::Number(std::string_view name, double min, double max) {
  const Json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) {
    const double number = value->get<double>();
    if (number >= min && number <= max) return number;  // false for NaN
  }
  Fail(name, Range("a number", min, max));
  return std::nullopt;
}

std::optional<std::string> FieldReader::String(std::string_view name, size_t max_bytes) {
  const Json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) {
    Fail(name, "must be a string");
    return std::nullopt;
  }
  const auto& text = value->get_ref<const std::string&>();
  if (text.size() <= max_bytes) return text;
  Fail(name, "must have at most " + std::to_string(max_bytes) + " bytes");
  return std::nullopt;
}

const Json* FieldReader::Object(std::string_view name) {
  const Json* value = Find(name);
  if (value == nullptr || value->is_object()) return value;
  Fail(name, "must be an object");
  return nullptr;
}

std::vector<int32_t> FieldReader::TokenIds(std::string_view name, size_t max_ids) {
  const Json* value = Find(name);
  if (value == nullptr) return {};
  std::vector<int32_t> ids;
  if (!value->is_array() || value->size() > max_ids) {
    Fail(name, "must be an array of at most " + std::to_string(max_ids) + " token ids");
    return {};
  }
  for (const Json& item : *value) {
    const std::optional<int64_t> id = AsInteger(item);
    if (!id || *id < 0 || *id > std::numeric_limits<int32_t>::max()) {
      Fail(name, "must hold token ids only");
      return {};
    }
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

}  // namespace runahead

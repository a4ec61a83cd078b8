#include "text/jinja/from_json.h"

#include <limits>

#include "text/utf8.h"

namespace runahead::jinja {
namespace {

using Json = nlohmann::ordered_json;

Value Convert(Runtime& runtime, const Json& json, int depth);

Value ConvertArray(Runtime& runtime, const Json& json, int depth) {
  std::vector<Value> items;
  items.reserve(json.size());
  for (const Json& item : json) {
    if (runtime.failed()) break;
    items.push_back(Convert(runtime, item, depth + 1));
  }
  return runtime.NewList(std::move(items));
}

Value ConvertObject(Runtime& runtime, const Json& json, int depth) {
  std::vector<DictNode::Entry> entries;
  entries.reserve(json.size());
  for (const auto& item : json.items()) {
    if (runtime.failed()) break;
    entries.emplace_back(runtime.NewString(utf8::ReplaceInvalid(item.key())),
                         Convert(runtime, item.value(), depth + 1));
  }
  return runtime.NewDict(std::move(entries));
}

Value Convert(Runtime& runtime, const Json& json, int depth) {
  if (depth > runtime.limits().max_value_depth)
    return runtime.Fail("the input is nested too deeply");
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value(json.get<bool>());
    case Json::value_t::number_integer:
      return Value(json.get<int64_t>());
    case Json::value_t::number_unsigned: {
      const auto number = json.get<uint64_t>();
      const bool fits = number <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
      return fits ? Value(static_cast<int64_t>(number)) : Value(static_cast<double>(number));
    }
    case Json::value_t::number_float:
      return Value(json.get<double>());
    case Json::value_t::string:
      return runtime.NewString(utf8::ReplaceInvalid(json.get_ref<const std::string&>()));
    case Json::value_t::array:
      return ConvertArray(runtime, json, depth);
    case Json::value_t::object:
      return ConvertObject(runtime, json, depth);
    default:
      return Value(Value::None{});
  }
}

}  // namespace

Value FromJson(Runtime& runtime, const nlohmann::ordered_json& json) {
  return Convert(runtime, json, 0);
}

}  // namespace runahead::jinja

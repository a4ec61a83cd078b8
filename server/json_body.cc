#include "server/json_body.h"

#include <string>
#include <utility>
#include <vector>

namespace runahead {
namespace {

// Builds the document while it counts. Members are appended without looking for an earlier one of
// the same name, which ordered_json would do by a linear search: a million names would take
// minutes.
class BoundedBuilder final : public nlohmann::json_sax<Json> {
 public:
  explicit BoundedBuilder(const JsonLimits& limits) : limits_(limits) {}

  bool null() override { return Add(Json(nullptr)); }
  bool boolean(bool value) override { return Add(Json(value)); }
  bool number_integer(number_integer_t value) override { return Add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return Add(Json(value)); }
  bool number_float(number_float_t value, const string_t&) override { return Add(Json(value)); }
  bool string(string_t& value) override { return Add(Json(std::move(value))); }
  bool binary(binary_t&) override { return Fail("binary values are not JSON"); }
  bool start_object(std::size_t) override { return Open(Json::object()); }
  bool start_array(std::size_t) override { return Open(Json::array()); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool key(string_t& name) override {
    open_.back().key = std::move(name);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& cause) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..." without our library's
    // tag.
    std::string_view what = cause.what();
    if (const size_t tag = what.find("] "); tag != std::string_view::npos)
      what.remove_prefix(tag + 2);
    return Fail(std::string(what) + " (byte " + std::to_string(position) + ")");
  }

  Json root;
  std::string error;

 private:
  struct Open_ {
    Json value;
    std::string key;  // of the member being read
  };

  bool Fail(std::string why) {
    if (error.empty()) error = std::move(why);
    return false;
  }

  bool Add(Json value) {
    if (++num_values_ > limits_.max_values) return Fail("too many values");
    if (open_.empty()) {
      root = std::move(value);
      return true;
    }
    Open_& parent = open_.back();
    if (parent.value.is_array()) {
      parent.value.get_ref<Json::array_t&>().push_back(std::move(value));
    } else {
      auto& members = parent.value.get_ref<Json::object_t&>();
      static_cast<Json::object_t::Container&>(members).emplace_back(std::move(parent.key),
                                                                    std::move(value));
    }
    return true;
  }

  bool Open(Json value) {
    if (static_cast<int>(open_.size()) >= limits_.max_depth) return Fail("nested too deeply");
    open_.push_back({std::move(value), {}});
    return true;
  }

  bool Close() {
    Json value = std::move(open_.back().value);
    open_.pop_back();
    return Add(std::move(value));
  }

  JsonLimits limits_;
  std::vector<Open_> open_;  // from the root inwards
  int num_values_ = 0;
};

}  // namespace

Result<Json> ParseJsonBody(std::string_view text, const JsonLimits& limits) {
  BoundedBuilder builder(limits);
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    return InvalidArgument("The request body is not valid JSON: " + builder.error, {},
                           "invalid_json");
  }
  return std::move(builder.root);
}

const Json* FindMember(const Json& object, std::string_view name) {
  const auto& members = object.get_ref<const Json::object_t&>();
  for (auto it = members.rbegin(); it != members.rend(); ++it) {
    if (it->first == name) return it->second.is_null() ? nullptr : &it->second;
  }
  return nullptr;
}

}  // namespace runahead

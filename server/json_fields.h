// FieldReader: typed, range-checked members of a request object, with errors that name them. One
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "server/json_body.h"

namespace runahead {

// Every getter returns nothing for an absent (or null) member and for a wrong one; the first wrong
// one is kept in status(), so a parser reads all it wants and asks once.
class FieldReader {
 public:
  // `object` is a JSON object and outlives the reader; `prefix` ("stream_options.") goes before
  // names in errors.
  explicit FieldReader(const Json& object, std::string prefix = {})
      : object_(object), prefix_(std::move(prefix)) {}

  const Json* Find(std::string_view name) const { return FindMember(object_, name); }

  std::optional<bool> Bool(std::string_view name);
  // 2.0 counts as the integer 2, as in every dynamic language's client.
  std::optional<int64_t> Integer(std::string_view name, int64_t min, int64_t max);
  std::optional<int> Int(std::string_view name, int min, int max);
  std::optional<double> Number(std::string_view name, double min, double max);
  std::optional<std::string> String(std::string_view name, size_t max_bytes);
  const Json* Object(std::string_view name);
  std::vector<int32_t> TokenIds(std::string_view name, size_t max_ids);

  // Records an error at `name` unless there is one already.
  void Fail(std::string_view name, std::string_view what);
  // Likewise, of a reader of a member object.
  void Fail(const Status& inner) {
    if (status_.ok()) status_ = inner;
  }
  const Status& status() const { return status_; }

 private:
  const Json& object_;
  std::string prefix_;
  Status status_;
};

// The integer a JSON number stands for, if it is one and fits.
std::optional<int64_t> AsInteger(const Json& value);

}  // namespace runahead

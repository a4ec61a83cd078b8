// ApiKeys: who may use the server. Immutable, thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace runahead {

class ApiKeys {
 public:
  explicit ApiKeys(std::vector<std::string> keys) : keys_(std::move(keys)) {}

  // Whether `authorization` ("Bearer KEY") holds one of the keys; always, where there are none.
  bool Allow(std::string_view authorization) const { return keys_.empty() || Find(authorization); }

  // The index of the key that it holds. Takes the same time for every key of one length.
  std::optional<int> Find(std::string_view authorization) const;

 private:
  std::vector<std::string> keys_;
};

}  // namespace runahead

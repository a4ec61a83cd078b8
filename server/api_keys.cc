#include "server/api_keys.h"

#include <openssl/crypto.h>

namespace runahead {

std::optional<int> ApiKeys::Find(std::string_view authorization) const {
  constexpr std::string_view kScheme = "Bearer ";
  if (!authorization.starts_with(kScheme)) return std::nullopt;
  const std::string_view given = authorization.substr(kScheme.size());
  std::optional<int> found;
  for (size_t i = 0; i < keys_.size(); ++i) {
    const std::string& key = keys_[i];
    const bool same =
        key.size() == given.size() && CRYPTO_memcmp(key.data(), given.data(), key.size()) == 0;
    if (same) found = static_cast<int>(i);
  }
  return found;
}

}  // namespace runahead

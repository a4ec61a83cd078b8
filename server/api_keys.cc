#include "server/api_keys.h"

#include <openssl/crypto.h>

namespace runahead {

bool ApiKeys::Allow(std::string_view authorization) const {
  if (keys_.empty()) return true;
  constexpr std::string_view kScheme = "Bearer ";
  if (!authorization.starts_with(kScheme)) return false;
  const std::string_view given = authorization.substr(kScheme.size());
  bool allowed = false;
  for (const std::string& key : keys_) {
    const bool same =
        key.size() == given.size() && CRYPTO_memcmp(key.data(), given.data(), key.size()) == 0;
    allowed = allowed || same;
  }
  return allowed;
}

}  // namespace runahead

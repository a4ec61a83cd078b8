#include "server/pair_check.h"

#include <algorithm>
#include <optional>
#include <string>

#include "nlohmann/json.hpp"

namespace runahead {
namespace {

// Quoted, with what cannot be seen escaped.
std::string Show(const std::optional<std::string>& token) {
  if (!token) return "no token";
  return nlohmann::json(*token).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Status CheckSameTokens(const Tokenizer& model, const Tokenizer& draft) {
  const int num_ids = std::max(model.vocab_size(), draft.vocab_size());
  for (int32_t id = 0; id < num_ids; ++id) {
    const std::optional<std::string> ours = model.IdToToken(id);
    const std::optional<std::string> theirs = draft.IdToToken(id);
    if (ours == theirs) continue;
    return InvalidArgument("the draft model has another vocabulary than the model: id " +
                           std::to_string(id) + " is " + Show(theirs) + " to the draft and " +
                           Show(ours) +
                           " to the model. A draft model must have its model's tokenizer "
                           "(--draft-model)");
  }
  return {};
}

}  // namespace runahead

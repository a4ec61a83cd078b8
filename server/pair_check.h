// Whether a draft model belongs to a model: it must name its tokens by the same ids. Pure
// functions.
#pragma once

#include "core/status.h"
#include "text/tokenizer.h"

namespace runahead {

// kInvalidArgument naming the first id whose tokens differ, and both. Tables that are merely padded
// beyond their tokenizers' ids are no difference.
Status CheckSameTokens(const Tokenizer& model, const Tokenizer& draft);

}  // namespace runahead

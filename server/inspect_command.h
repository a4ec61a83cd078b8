// `runahead inspect`: what a checkpoint holds, from its headers alone. Start-up thread only.
#pragma once

#include <iosfwd>
#include <string>

#include "core/status.h"

namespace runahead {

// Prints the configuration, the tokenizer's size, and every tensor with dtype, shape and bytes.
// Reads no weight. `draft` (empty: none) is the directory of a draft model for it: whether the two
// belong together, and its share of the weights, are printed too.
Status RunInspectCommand(const std::string& directory, const std::string& draft, std::ostream& out);

}  // namespace runahead

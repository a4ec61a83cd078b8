// `runahead inspect`: what a checkpoint holds, from its headers alone. Start-up thread only.
#pragma once

#include <iosfwd>
#include <string>

#include "core/status.h"

namespace runahead {

// Prints the configuration, the tokenizer's size, and every tensor with dtype, shape and bytes.
// Reads no weight.
Status RunInspectCommand(const std::string& directory, std::ostream& out);

}  // namespace runahead

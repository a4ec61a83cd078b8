// A line that shows how far a load has come. Pure functions.
#pragma once

#include <string>

#include "server/loadgen/load_client.h"

namespace runahead {

// Begins with a carriage return and clears what an earlier one left behind it.
std::string LoadProgressLine(const LoadProgress& progress);

}  // namespace runahead

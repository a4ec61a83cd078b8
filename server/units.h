// Numbers as people read them, for start-up lines, plans and errors. Pure functions.
#pragma once

#include <cstdint>
#include <string>

namespace runahead {

std::string Bytes(int64_t bytes);  // "1.50 GiB", "960 B"
std::string Count(int64_t count);  // "1.24 B", "5.9 M", "812"

}  // namespace runahead

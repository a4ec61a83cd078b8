// A printf into a string. Pure function.
#pragma once

#include <string>

namespace runahead {

// For the formats of reports, which are literals; of more than 399 bytes the rest is cut off.
[[gnu::format(printf, 1, 2)]] std::string Printed(const char* format, ...);

}  // namespace runahead

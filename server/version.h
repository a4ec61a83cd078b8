// The program's version. Immutable.
#pragma once

#include <string_view>

namespace runahead {

std::string_view Version();  // "0.1.0", of the CMake project

}  // namespace runahead

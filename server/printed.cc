#include "server/printed.h"

#include <array>
#include <cstdarg>
#include <cstdio>

namespace runahead {

std::string Printed(const char* format, ...) {
  std::array<char, 400> line;
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line.data(), line.size(), format, arguments);
  va_end(arguments);
  return line.data();
}

}  // namespace runahead

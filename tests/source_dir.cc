#include "tests/source_dir.h"

#include <cstdlib>

namespace runahead {

// Programs that were carried to another machine find their data where the variable says.
std::string SourceDir() {
  const char* carried = std::getenv("RUNAHEAD_SOURCE_DIR");
  return carried != nullptr ? carried : RUNAHEAD_SOURCE_DIR;
}

}  // namespace runahead

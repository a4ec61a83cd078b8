#include "tests/source_dir.h"

namespace runahead {

std::string SourceDir() { return RUNAHEAD_SOURCE_DIR; }

}  // namespace runahead

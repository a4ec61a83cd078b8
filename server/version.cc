#include "server/version.h"

namespace runahead {

std::string_view Version() { return RUNAHEAD_VERSION; }

}  // namespace runahead

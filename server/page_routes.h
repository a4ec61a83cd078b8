// The routes of the page at /: what people see who open the server in a browser. Called once at
// start-up.
#pragma once

#include "server/router.h"

namespace runahead {

// GET and HEAD of / and of /page/NAME. Open, because the page asks for an API key itself, and
// answered on the socket's thread: neither the engine nor a long tokenization delays them.
void AddPageRoutes(Router& router);

}  // namespace runahead

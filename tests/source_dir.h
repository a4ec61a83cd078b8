// Where the sources are: goldens, demo models and documents that tests read. Thread-safe.
//
// A function of one small library rather than a macro of every test: an absolute path on each
// command line would keep compilers' caches from knowing a test again in another checkout.
#pragma once

#include <string>

namespace runahead {

std::string SourceDir();

}  // namespace runahead

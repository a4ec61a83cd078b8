// The files of the page at /, which the build embeds from server/page/. Immutable; thread-safe.
#pragma once

#include <span>
#include <string_view>

namespace runahead {

struct PageFile {
  std::string_view name;    // "index.html"
  std::string_view digest;  // SHA-256 of the body, in hexadecimal
  std::string_view body;
};

std::span<const PageFile> PageFiles();

}  // namespace runahead

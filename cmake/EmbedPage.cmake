# cmake -DDIRECTORY=<of the files> -DNAMES=<a,b,..> -DOUTPUT=<x.cc> -P EmbedPage.cmake
# writes the source that defines PageFiles() (server/page_files.h): each file as one raw string, beside its digest.
string(REPLACE "," ";" names "${NAMES}")
set(rows "")
foreach(name IN LISTS names)
  file(READ ${DIRECTORY}/${name} content)
  if(content MATCHES "\\)page\"")
    message(FATAL_ERROR "${name} holds )page\", the end of the string it would stand in")
  endif()
  file(SHA256 ${DIRECTORY}/${name} digest)
  string(APPEND rows "    {\"${name}\", \"${digest}\", R\"page(${content})page\"},\n")
endforeach()
file(WRITE ${OUTPUT} "// Made by cmake/EmbedPage.cmake.
#include \"server/page_files.h\"

namespace runahead {
namespace {

constexpr PageFile kFiles[] = {
${rows}};

}  // namespace

std::span<const PageFile> PageFiles() { return kFiles; }

}  // namespace runahead
")

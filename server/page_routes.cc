#include "server/page_routes.h"

#include <string>
#include <string_view>

#include "server/page_files.h"

namespace runahead {
namespace {

constexpr std::string_view kIndex = "index.html";

// Nothing but the server's own files and answers: no other origin, no inline code, no framing, and
// no text that becomes markup (Trusted Types without a policy refuse every such assignment).
constexpr const char* kSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

std::string_view ContentTypeOf(std::string_view name) {
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  return "image/svg+xml";
}

// Whether one of the tags of an If-None-Match field is `tag`; a weak one of the same digest too,
// since a proxy that compresses weakens tags (RFC 9110, 13.1.2).
bool MatchesTag(std::string_view field, std::string_view tag) {
  while (!field.empty()) {
    const size_t end = field.find(',');
    std::string_view item = field.substr(0, end);
    while (item.starts_with(' ') || item.starts_with('\t')) item.remove_prefix(1);
    while (item.ends_with(' ') || item.ends_with('\t')) item.remove_suffix(1);
    if (item.starts_with("W/")) item.remove_prefix(2);
    if (item == "*" || item == tag) return true;
    field = end == std::string_view::npos ? std::string_view() : field.substr(end + 1);
  }
  return false;
}

HttpResponse Answer(const PageFile& file, const HttpRequest& request) {
  const std::string tag = "\"" + std::string(file.digest.substr(0, 32)) + "\"";
  HttpResponse response;
  response.content_type = ContentTypeOf(file.name);
  // A name keeps its content only until the next release, so browsers ask each time; the tag spares
  // them the body.
  response.headers.Add("Cache-Control", "no-cache");
  response.headers.Add("ETag", tag);
  response.headers.Add("Content-Security-Policy", kSecurityPolicy);
  response.headers.Add("X-Content-Type-Options", "nosniff");
  response.headers.Add("Referrer-Policy", "no-referrer");
  if (MatchesTag(request.headers.Get("If-None-Match"), tag)) {
    response.status = 304;
  } else {
    response.body = file.body;
  }
  return response;
}

}  // namespace

void AddPageRoutes(Router& router) {
  for (const PageFile& file : PageFiles()) {
    router.Add({.method = "GET",
                .path = file.name == kIndex ? "/" : "/page/" + std::string(file.name),
                .handler = [&file](const HttpRequest& request) { return Answer(file, request); },
                .is_open = true,
                .is_quick = true});
  }
}

}  // namespace runahead

// HttpParser: bytes of one connection to HTTP/1.1 requests, one after another, within limits. One
// thread at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "core/status.h"
#include "server/http_message.h"

namespace runahead {

struct HttpLimits {
  size_t max_header_bytes = 16 << 10;  // request line and header fields
  size_t max_body_bytes = 16 << 20;
};

class HttpParser {
 public:
  enum class Progress {
    kNeedsMore,
    kHeaderDone,  // once per request, when the header is complete and not yet the body
    kDone,        // Take() has the request
    kFailed,      // status() and http_status() say why; the connection is of no further use
  };

  explicit HttpParser(const HttpLimits& limits);
  ~HttpParser();
  HttpParser(HttpParser&&) noexcept;
  HttpParser& operator=(HttpParser&&) noexcept;

  // Consumes bytes from the front of `buffer`, up to the end of one request.
  Progress Feed(std::string& buffer);

  // Some bytes of a request were consumed.
  bool has_begun() const;
  // The client waits for "100 Continue" before it sends the body.
  bool expects_continue() const;
  // The request as far as its header says, from kHeaderDone on.
  HttpRequest Head() const;
  // The finished request; the parser is ready for the next one.
  HttpRequest Take();

  const Status& status() const;
  int http_status() const;  // 400, 413, 431 or 501

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace runahead

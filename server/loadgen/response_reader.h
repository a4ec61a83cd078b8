// ResponseReader: one HTTP response, from its bytes as they come. One thread at a time.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/status.h"

namespace runahead {

class ResponseReader {
 public:
  ResponseReader();
  ~ResponseReader();

  Status Feed(std::string_view bytes);  // fails on what is not HTTP
  Status FeedEnd();                     // the peer closed; fails where that cuts the response

  bool has_head() const;
  int status() const;                     // valid with has_head
  std::string_view content_type() const;  // of the same
  std::string TakeBody();                 // what has come of it since the last call
  bool done() const;                      // the response has come in full
  bool keeps_connection() const;          // done, and the connection may be used again

 private:
  struct Parser;  // Beast's, kept out of this header
  std::unique_ptr<Parser> parser_;
  std::string unparsed_;
};

}  // namespace runahead

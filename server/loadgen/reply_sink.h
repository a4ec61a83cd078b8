// ReplySink: takes the bytes of one HTTP response. I/O thread only.
#pragma once

#include <string>
#include <string_view>

namespace runahead {

class ReplySink {
 public:
  virtual ~ReplySink() = default;

  virtual void Feed(std::string_view bytes, double now_s) = 0;
  virtual void FeedEnd(double now_s) = 0;  // the peer closed
  // Ends it with an error, unless the answer is whole.
  virtual void Fail(std::string kind, std::string message) = 0;
  // Nothing more is to be read.
  virtual bool finished() const = 0;
  // Finished, and another request may go over the connection.
  virtual bool keeps_connection() const = 0;
};

}  // namespace runahead

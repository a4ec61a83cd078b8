// SseReader: cuts a stream of bytes into server-sent events. One thread at a time.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace runahead {

// As the HTML standard reads an event stream: lines end with LF, CR or CRLF, an event with an empty
// line; comments and fields other than data are skipped, and so are events without data.
class SseReader {
 public:
  static constexpr size_t kMaxEventBytes = 16 << 20;

  // Appends the data of every event that `bytes` completes; fails on one that grows beyond reason.
  Status Feed(std::string_view bytes, std::vector<std::string>& events);

 private:
  void EndLine(std::vector<std::string>& events);

  std::string line_;  // so far
  std::string data_;  // of the event so far, a line break after each of its lines
  bool is_first_line_ = true;
  bool after_cr_ = false;  // a line feed now belongs to the line before
};

}  // namespace runahead

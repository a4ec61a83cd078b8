#include "server/loadgen/sse_reader.h"

namespace runahead {

Status SseReader::Feed(std::string_view bytes, std::vector<std::string>& events) {
  while (!bytes.empty()) {
    if (after_cr_ && bytes.front() == '\n') bytes.remove_prefix(1);
    after_cr_ = false;
    const size_t end = bytes.find_first_of("\r\n");
    line_ += bytes.substr(0, end);
    if (line_.size() + data_.size() > kMaxEventBytes) {
      return {StatusCode::kPayloadTooLarge, "an event of more than 16 MiB"};
    }
    if (end == std::string_view::npos) return {};
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    EndLine(events);
  }
  return {};
}

void SseReader::EndLine(std::vector<std::string>& events) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  std::string_view line = line_;
  if (is_first_line_ && line.starts_with(kByteOrderMark)) line.remove_prefix(3);
  is_first_line_ = false;
  if (line.empty()) {
    if (!data_.empty()) {
      data_.pop_back();
      events.push_back(std::move(data_));
    }
    data_.clear();
  } else if (line == "data") {
    data_ += '\n';
  } else if (line.starts_with("data:")) {
    line.remove_prefix(5);
    if (line.starts_with(' ')) line.remove_prefix(1);
    data_ += line;
    data_ += '\n';
  }
  line_.clear();
}

}  // namespace runahead

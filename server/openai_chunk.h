// ChunkWriter: the chunk of a piece of text, written without building its JSON. Immutable,
// thread-safe.
#pragma once

#include <string>

#include "server/openai_format.h"

namespace runahead {

// Almost every chunk of almost every stream is the same but for its choice and its text, and at
// hundreds of streams building each as a JSON object would keep the I/O threads from everything
// else.
class ChunkWriter {
 public:
  explicit ChunkWriter(const AnswerHead& head);

  // Appends the event of a delta that is text alone: what SseEvent(Dump(FormatDelta(..)[0])) gives.
  void AppendText(int choice, const std::string& text, std::string& out) const;

 private:
  std::string before_choice_;
  std::string before_text_;
  std::string after_text_;
};

// One server-sent event: "data: <json>\n\n".
std::string SseEvent(const std::string& data);

}  // namespace runahead

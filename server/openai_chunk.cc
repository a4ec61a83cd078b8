#include "server/openai_chunk.h"

#include "core/check.h"

namespace runahead {

std::string SseEvent(const std::string& data) { return "data: " + data + "\n\n"; }

// Cut out of a chunk made the long way, around values that stand for nothing else.
ChunkWriter::ChunkWriter(const AnswerHead& head) {
  constexpr int kChoice = 1987654321;
  const std::string text = "the text of the chunk";
  Delta delta;
  delta.choice = kChoice;
  delta.text = text;
  const std::vector<Json> chunks = FormatDelta(head, delta, {}, nullptr);
  RA_CHECK_EQ(chunks.size(), 1u);
  const std::string event = SseEvent(Dump(chunks[0]));
  const std::string choice = std::to_string(kChoice);
  const std::string quoted = "\"" + text + "\"";
  const size_t at_choice = event.rfind(choice);
  const size_t at_text = event.rfind(quoted);
  RA_CHECK(at_choice < at_text && at_text != std::string::npos);
  before_choice_ = event.substr(0, at_choice);
  before_text_ = event.substr(at_choice + choice.size(), at_text - at_choice - choice.size());
  after_text_ = event.substr(at_text + quoted.size());
}

void ChunkWriter::AppendText(int choice, const std::string& text, std::string& out) const {
  out.append(before_choice_).append(std::to_string(choice)).append(before_text_);
  out.append(Dump(Json(text))).append(after_text_);
}

}  // namespace runahead

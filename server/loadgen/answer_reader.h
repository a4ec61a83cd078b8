// AnswerReader: one answer of an OpenAI-compatible server, from its bytes and when they came. One
// thread at a time.
#pragma once

#include <string>
#include <string_view>

#include "nlohmann/json_fwd.hpp"

#include "server/loadgen/load_record.h"
#include "server/loadgen/reply_sink.h"
#include "server/loadgen/response_reader.h"
#include "server/loadgen/sse_reader.h"

namespace runahead {

// Reads chat and text completions, streamed or whole. All bytes of one Feed count as having come at
// its time, so two events of one read are no time apart.
class AnswerReader final : public ReplySink {
 public:
  explicit AnswerReader(LoadRecord& record) : record_(record) {}  // outlives this

  void Feed(std::string_view bytes, double now_s) override;
  void FeedEnd(double now_s) override;
  void Fail(std::string kind, std::string message) override;
  // The record has an error, unless the answer has come in full by then.
  bool finished() const override { return finished_; }
  bool keeps_connection() const override { return response_.keeps_connection() && record_.ok(); }

 private:
  void TakeBody(double now_s);
  void TakeEvent(const std::string& data, double now_s);
  void TakeAnswer(const nlohmann::json& answer, double now_s);
  void EndResponse(double now_s);

  LoadRecord& record_;
  ResponseReader response_;
  SseReader events_;
  std::string body_;  // of what is no event stream
  bool is_stream_ = false;
  bool has_choice_ = false;
  bool is_whole_ = false;  // all of the answer has come, though perhaps not of the response
  bool finished_ = false;
};

}  // namespace runahead

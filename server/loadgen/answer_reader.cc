#include "server/loadgen/answer_reader.h"

#include <utility>
#include <vector>

#include "nlohmann/json.hpp"

namespace runahead {
namespace {

using nlohmann::json;

constexpr size_t kMaxBodyBytes = 64 << 20;

// A member of an object, or null where there is none.
const json& Member(const json& object, const char* name) {
  static const json none;
  const auto it = object.is_object() ? object.find(name) : object.end();
  return it == object.end() ? none : *it;
}

int Count(const json& object, const char* name) {
  const json& value = Member(object, name);
  return value.is_number_integer() ? static_cast<int>(value) : 0;
}

bool HasText(const json& value) {
  return value.is_string() && !value.get_ref<const std::string&>().empty();
}

// Reasoning and tool calls are the model's words as much as the content is.
bool HasText(const json& choice, const char* part) {
  const json& message = Member(choice, part);
  for (const char* name : {"content", "reasoning_content", "reasoning"}) {
    if (HasText(Member(message, name))) return true;
  }
  const json& calls = Member(message, "tool_calls");
  return calls.is_array() && !calls.empty();
}

AnswerUsage UsageOf(const json& usage) {
  AnswerUsage out{.prompt_tokens = Count(usage, "prompt_tokens"),
                  .completion_tokens = Count(usage, "completion_tokens"),
                  .cached_tokens = Count(Member(usage, "prompt_tokens_details"), "cached_tokens")};
  const json& speculation = Member(usage, "speculation");
  if (speculation.is_object()) {
    out.target_steps = Count(speculation, "target_steps");
    out.drafted_tokens = Count(speculation, "drafted_tokens");
    out.accepted_tokens = Count(speculation, "accepted_tokens");
  }
  return out;
}

// An excerpt for a message, on one line.
std::string Excerpt(std::string_view text) {
  std::string out(text.substr(0, 200));
  for (char& c : out) c = static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  return text.size() > out.size() ? out + "..." : out;
}

// What an error body says, in any of the shapes servers have for it.
std::string ErrorMessage(const json& body, const std::string& otherwise) {
  const json& error = Member(body, "error");
  for (const json* value : {&Member(error, "message"), &error, &Member(body, "message")}) {
    if (value->is_string()) return Excerpt(value->get_ref<const std::string&>());
  }
  return Excerpt(otherwise);
}

}  // namespace

void AnswerReader::Fail(std::string kind, std::string message) {
  if (std::exchange(finished_, true) || is_whole_) return;
  record_.error_kind = std::move(kind);
  record_.error = std::move(message);
}

void AnswerReader::Feed(std::string_view bytes, double now_s) {
  const Status status = response_.Feed(bytes);
  if (!status.ok()) return Fail("bad_answer", status.message());
  if (!response_.has_head()) return;
  TakeBody(now_s);
  if (!finished_ && response_.done()) EndResponse(now_s);
}

void AnswerReader::FeedEnd(double now_s) {
  const Status status = response_.FeedEnd();
  if (!status.ok()) return Fail("closed", status.message());
  TakeBody(now_s);
  if (!finished_) EndResponse(now_s);
}

void AnswerReader::TakeBody(double now_s) {
  is_stream_ =
      response_.status() == 200 && response_.content_type().starts_with("text/event-stream");
  if (!is_stream_) {
    body_ += response_.TakeBody();
    if (body_.size() > kMaxBodyBytes) Fail("bad_answer", "an answer of more than 64 MiB");
    return;
  }
  std::vector<std::string> events;
  const Status status = events_.Feed(response_.TakeBody(), events);
  for (const std::string& data : events) {
    if (finished_ || is_whole_) return;
    TakeEvent(data, now_s);
  }
  if (!status.ok()) Fail("bad_answer", status.message());
}

void AnswerReader::TakeEvent(const std::string& data, double now_s) {
  if (data == "[DONE]") {
    if (!has_choice_) return Fail("bad_answer", "[DONE] without an answer");
    is_whole_ = true;
    return;
  }
  const json chunk = json::parse(data, nullptr, false);
  if (chunk.is_discarded()) return Fail("bad_answer", "an event is not JSON: " + Excerpt(data));
  if (!Member(chunk, "error").is_null()) {
    return Fail("error_event", ErrorMessage(chunk, data));
  }
  TakeAnswer(chunk, now_s);
}

void AnswerReader::TakeAnswer(const json& answer, double now_s) {
  const json& choices = Member(answer, "choices");
  const json& usage = Member(answer, "usage");
  if (!choices.is_array() && !usage.is_object()) {
    const std::string shown = answer.dump(-1, ' ', true, json::error_handler_t::replace);
    return Fail("bad_answer", "neither choices nor usage: " + Excerpt(shown));
  }
  bool has_text = false;
  for (const json& choice : choices.is_array() ? choices : json::array()) {
    has_choice_ = true;
    record_.last_s = now_s;
    has_text = has_text || HasText(Member(choice, "text")) || HasText(choice, "delta");
    const json& finish = Member(choice, "finish_reason");
    if (finish.is_string()) record_.finish_reason = finish;
  }
  if (has_text) record_.text_s.push_back(now_s);
  if (usage.is_object()) record_.usage = UsageOf(usage);
}

void AnswerReader::EndResponse(double now_s) {
  if (is_stream_) {
    // Some servers leave [DONE] out; who names a reason to finish has finished.
    if (!is_whole_ && record_.finish_reason.empty()) {
      return Fail("closed", "the stream ended before the answer did");
    }
  } else {
    const json answer = json::parse(body_, nullptr, false);
    if (response_.status() != 200) {
      return Fail("http_" + std::to_string(response_.status()), ErrorMessage(answer, body_));
    }
    if (answer.is_discarded()) {
      return Fail("bad_answer", "the answer is not JSON: " + Excerpt(body_));
    }
    TakeAnswer(answer, now_s);
    if (!finished_ && !has_choice_) Fail("bad_answer", "an answer without choices");
    if (finished_) return;
    record_.text_s.clear();  // it came at once: there is no first chunk to time
  }
  is_whole_ = true;
  finished_ = true;
}

}  // namespace runahead

// HttpRequest, HttpResponse and HttpReply: what travels between the socket code and the handlers.
// Value types.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/clock.h"
#include "server/trace_context.h"

namespace runahead {

// Header fields in their order; names compare without case.
class HttpHeaders {
 public:
  void Add(std::string name, std::string value) {
    fields_.emplace_back(std::move(name), std::move(value));
  }
  // Replaces every field of that name.
  void Set(std::string_view name, std::string value);
  // The first field of that name; empty when there is none.
  std::string_view Get(std::string_view name) const;
  bool Has(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

bool EqualsIgnoringCase(std::string_view a, std::string_view b);

class RequestRecord;  // server/request_record.h

struct HttpRequest {
  std::string method;  // "POST"
  std::string path;    // of the target, percent-decoded, without the query
  std::string query;   // after '?', as sent
  HttpHeaders headers;
  std::string body;
  std::string id;                    // X-Request-Id, or one made by the server
  bool keep_alive = true;            // the client lets the connection be used again
  bool is_http11 = true;             // HTTP/1.0 knows no chunked encoding
  TimePoint deadline = kNoDeadline;  // of X-Request-Timeout
  std::string client;                // address and port of the peer
  TimePoint first_byte;              // when it began to arrive
  int key = -1;                      // index of its API key; -1: the server asks for none
  std::optional<TraceContext> trace;
  std::shared_ptr<RequestRecord> record;  // shared by all who note in it; null: nobody wants it
};

struct HttpResponse {
  int status = 200;
  HttpHeaders headers;
  std::string content_type = "application/json";
  std::string body;
};

// One stretch of an answer that is made while it is sent.
struct ReplyStep {
  std::optional<HttpResponse> head;  // with the first step that has something to send
  bool is_stream = false;  // with `head`: body pieces follow; else `head` is the whole answer
  std::string bytes;       // the next piece of a stream's body
  bool finished = false;   // nothing follows
  bool is_cut = false;     // the stream ended by an error: close the connection after it
};

// An answer that is not ready yet. One thread at a time; destroying it gives the work up.
class PendingReply {
 public:
  virtual ~PendingReply() = default;
  // What can be sent now; an empty step when nothing can.
  virtual ReplyStep Poll() = 0;
  // `ready` runs at least once, on any thread, when Poll has something to say.
  virtual void Arm(std::function<void()> ready) = 0;
  // What tells the client, and proxies on the way, of a long wait that the answer is still coming;
  // with the head where none was sent. An empty step: this answer has no such thing.
  virtual ReplyStep KeepAlive() { return {}; }
};

using HttpReply = std::variant<HttpResponse, std::unique_ptr<PendingReply>>;

std::string_view HttpReason(int status);  // "Not Found"

// Status line and header fields. `framing` says how the peer finds the end of the body.
enum class BodyFraming { kLength, kChunked, kUntilClose };
std::string SerializeHead(const HttpResponse& response, bool keep_alive, BodyFraming framing);

// "%41" -> "A"; nothing when an escape is broken.
std::optional<std::string> PercentDecode(std::string_view text);

}  // namespace runahead

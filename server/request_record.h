// RequestRecord: what both doors note of one request on its way, for explain and the access log.
// Thread-safe: its connection, a worker, the pump and whoever asks meet under its mutex.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "engine/request.h"
#include "engine/request_timeline.h"
#include "server/trace_context.h"

namespace runahead {

class RequestLog;
class TimelineSlot;

enum class Door : uint8_t { kHttp, kGrpc };

// Who asks what, known when the request begins. Strings are clipped (below).
struct RequestOrigin {
  Door door = Door::kHttp;
  std::string method = {};  // "POST"; of gRPC the call's name
  std::string path = {};    // of HTTP
  std::string id = {};      // X-Request-Id, or the one made for it
  std::string client = {};  // address and port
  std::optional<TraceContext> trace = {};
  int key = -1;               // index of the API key; -1: none
  TimePoint first_byte = {};  // the request's beginning, for us
};

// One prompt's way from text to text. A TimePoint() has not come yet.
struct PromptRecord {
  TimePoint begun;
  TimePoint rendered;  // by the chat template; `begun` where there is none
  TimePoint submitted;
  TimePoint last_event;   // when the step ended that the answer's last token came of
  TimePoint taken;        // the pump took that event
  TimePoint finished;     // and its text was made
  Duration in_text = {};  // all pumps
  int prompt_tokens = 0;
  int cached_tokens = 0;
  int completion_tokens = 0;
  std::vector<FinishReason> finishes;               // by choice
  std::shared_ptr<const RequestTimeline> timeline;  // the newest known; null: none yet
};

// What is known of a request. Of several prompts `prompts` holds all while it runs, and then the
// one that finished last; the sums are over all.
struct RequestFacts {
  RequestOrigin origin;
  std::chrono::system_clock::time_point began;  // the wall clock's first_byte
  std::string response_id;
  std::string model;
  TimePoint received;  // whole
  TimePoint handled;   // its handler began
  TimePoint answered;  // status known: the whole answer or a stream's head is made
  TimePoint ended;     // last byte written, or the client known to be gone
  bool is_generation = false;
  bool was_delivered = false;  // with `ended`: to the last byte
  int status = 0;              // of HTTP, or what gRPC's code means there; 0: none sent
  int num_prompts = 0;
  int prompt_tokens = 0;
  int cached_tokens = 0;
  int completion_tokens = 0;
  std::vector<PromptRecord> prompts;
  Duration stalled = {};             // the client took nothing that was ready for it
  Duration stalled_after_text = {};  // of that, once the last text was made
};

class RequestRecord {
 public:
  // `log` is told of the end, and outlives the record's last call; null: nobody is.
  RequestRecord(RequestOrigin origin, const Clock& clock, RequestLog* log);
  ~RequestRecord();

  // The door, in this order.
  void SetKey(int key);
  void OnReceived();
  void OnHandled();
  void OnAnswered(int status);
  void OnStalled();  // the client is waited for, until OnFlowing
  void OnFlowing();
  // `was_delivered`: the client got all. Only the first call counts; the log hears of it.
  void OnEnd(bool was_delivered);

  // A request for text, and the names it goes by.
  void OnGeneration(const std::string& id, const std::string& response_id,
                    const std::string& model);

  // Of a prompt: its number, and where the engine may leave its timeline.
  int OnPromptBegun();
  void OnRendered(int prompt);
  std::shared_ptr<TimelineSlot> OnSubmit(int prompt, int num_tokens);
  // The pump made text of what the engine said.
  struct Pumped {
    TimePoint taken;
    TimePoint last_event = {};
    int cached_tokens = 0;
    int completion_tokens = 0;
    bool has_finished = false;
    std::vector<FinishReason> finishes = {};  // once it has finished
  };
  void OnPumped(int prompt, Pumped pumped);

  RequestFacts Read() const;
  std::string id() const;
  int key() const;

 private:
  struct Prompt {
    PromptRecord known;
    std::shared_ptr<TimelineSlot> slot;
  };

  void TakeTimelines() const;
  void KeepLastPrompt();
  void AddUp(RequestFacts& facts) const;

  const Clock& clock_;
  RequestLog* const log_;

  mutable std::mutex mutex_;  // held to note or copy, never across I/O or a call of others
  RequestFacts facts_;
  mutable std::vector<Prompt> prompts_;
  std::optional<TimePoint> stalled_since_;
};

// At most 160 bytes of it, so that a record's size has a bound; X-Request-Id has 128 at most.
std::string Clip(std::string text);

}  // namespace runahead

// RequestLog: the records of recent requests for text, and the line that each request leaves in the
// log. Thread-safe.
#pragma once

#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/clock.h"
#include "server/request_record.h"

namespace runahead {

struct RequestLogSettings {
  int max_kept = 1024;         // requests that can be explained; 0: none
  bool has_access_log = true;  // each request leaves a line
  std::vector<std::string> key_names = {};
};

// The name of an API key, by its index: as given, else key1, key2, ..; "" for -1.
std::string KeyName(const RequestLogSettings& settings, int key);

class RequestLog {
 public:
  // Hears of each request's end, on an I/O thread.
  using OnEndCallback = std::function<void(const RequestFacts&)>;

  // The clock is borrowed. The log outlives what serves with it. `on_end` may be empty.
  RequestLog(RequestLogSettings settings, const Clock& clock, OnEndCallback on_end);

  // A request came in.
  std::shared_ptr<RequestRecord> Begin(RequestOrigin origin);
  // A request for text: can be explained from now on, until max_kept newer ones came.
  void Keep(const std::shared_ptr<RequestRecord>& record);

  // The newest request of that id, X-Request-Id or the answer's own, that came with that key; null
  // where there is none.
  std::shared_ptr<RequestRecord> Find(const std::string& id, int key) const;

  const RequestLogSettings& settings() const { return settings_; }
  int num_kept() const;

  // For records.
  void AddIds(const RequestRecord& record, std::initializer_list<std::string> ids);
  void OnEnd(const RequestRecord& record) const;

 private:
  struct Kept {
    std::shared_ptr<RequestRecord> record;
    std::vector<std::string> names;  // in by_name_; at most four
  };

  void Forget(const Kept& kept);

  const RequestLogSettings settings_;
  const Clock& clock_;
  const OnEndCallback on_end_;

  mutable std::mutex mutex_;  // held to look up or to link in, never across anything else
  std::deque<Kept> kept_;     // oldest first
  // By key and id: who knows another's id gains and breaks nothing by using it.
  std::unordered_map<std::string, std::shared_ptr<RequestRecord>> by_name_;
};

}  // namespace runahead

#include "server/request_log.h"

#include <algorithm>
#include <utility>

namespace runahead {
namespace {

std::string NameOf(const std::string& id, int key) { return std::to_string(key) + ":" + id; }

}  // namespace

std::string KeyName(const RequestLogSettings& settings, int key) {
  if (key < 0) return "";
  const auto index = static_cast<size_t>(key);
  if (index < settings.key_names.size()) return settings.key_names[index];
  return "key" + std::to_string(key + 1);
}

RequestLog::RequestLog(RequestLogSettings settings, const Clock& clock, OnEndCallback on_end)
    : settings_(std::move(settings)), clock_(clock), on_end_(std::move(on_end)) {}

std::shared_ptr<RequestRecord> RequestLog::Begin(RequestOrigin origin) {
  return std::make_shared<RequestRecord>(std::move(origin), clock_, this);
}

void RequestLog::Keep(const std::shared_ptr<RequestRecord>& record) {
  if (settings_.max_kept == 0) return;
  const std::string name = NameOf(record->id(), record->key());
  std::shared_ptr<RequestRecord> dropped;  // destroyed after the lock
  const std::lock_guard lock(mutex_);
  while (kept_.size() >= static_cast<size_t>(settings_.max_kept)) {
    dropped = kept_.front().record;
    Forget(kept_.front());
    kept_.pop_front();
  }
  kept_.push_back({record, {name}});
  by_name_[name] = record;
}

// Another request may have taken the id over since.
void RequestLog::Forget(const Kept& kept) {
  for (const std::string& name : kept.names) {
    const auto found = by_name_.find(name);
    if (found != by_name_.end() && found->second == kept.record) by_name_.erase(found);
  }
}

void RequestLog::AddIds(const RequestRecord& record, std::initializer_list<std::string> ids) {
  const int key = record.key();
  const std::lock_guard lock(mutex_);
  // Requests name themselves soon after they came.
  const auto kept = std::find_if(kept_.rbegin(), kept_.rend(),
                                 [&](const Kept& each) { return each.record.get() == &record; });
  if (kept == kept_.rend()) return;
  for (const std::string& id : ids) {
    const std::string name = NameOf(id, key);
    if (id.empty() || std::ranges::count(kept->names, name) > 0) continue;
    kept->names.push_back(name);
    by_name_[name] = kept->record;
  }
}

std::shared_ptr<RequestRecord> RequestLog::Find(const std::string& id, int key) const {
  const std::string name = NameOf(Clip(id), key);
  const std::lock_guard lock(mutex_);
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

int RequestLog::num_kept() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(kept_.size());
}

void RequestLog::OnEnd(const RequestRecord& record) const {
  if (on_end_) on_end_(record.Read());
}

}  // namespace runahead

#include "model/forward_graphs.h"

#include <algorithm>
#include <array>

namespace runahead {
namespace {

constexpr std::array kBuckets = {1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128};

}  // namespace

int ForwardGraphs::BucketFor(int num_rows) const {
  if (!backend_.info().has_graphs || num_rows == 0) return 0;
  const auto bucket = std::ranges::lower_bound(kBuckets, num_rows);
  return bucket == kBuckets.end() ? 0 : *bucket;
}

bool ForwardGraphs::Launch(const std::vector<GraphKey>& keys,
                           const std::function<void()>& forward) {
  const auto [found, is_new] = entries_.try_emplace(keys);
  Entry& entry = found->second;
  entry.last_used = ++clock_;
  if (is_new) {
    MakeRoom();
    return false;
  }
  if (entry.graph == nullptr) {
    entry.graph = backend_.Capture(forward);
    if (entry.graph == nullptr) return false;
    ++num_graphs_;
  }
  entry.graph->Launch();
  ++num_launches_;
  return true;
}

// Never drops the entry used last.
void ForwardGraphs::MakeRoom() {
  if (entries_.size() <= kMaxGraphs) return;
  const auto oldest = std::ranges::min_element(
      entries_, {}, [](const auto& entry) { return entry.second.last_used; });
  if (oldest->second.graph != nullptr) --num_graphs_;
  entries_.erase(oldest);
}

}  // namespace runahead

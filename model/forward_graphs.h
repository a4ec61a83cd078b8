// ForwardGraphs: the captured forward passes of one runner, by what they depend on. Engine thread
// only.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "kernels/backend.h"
#include "model/sampling_input.h"

namespace runahead {

// Steps with equal keys enqueue the same kernels with the same arguments; only what the arguments
// point to differs.
struct GraphKey {
  int num_rows = 0;             // T, padded to a bucket
  SliceBuckets slice;           // of the sampled rows
  uint64_t plan = 0;            // AttentionPlan::graph_key()
  bool continues = false;       // its ids are what the step before drew
  bool has_confidence = false;  // logprobs of what it draws are wanted

  auto operator<=>(const GraphKey&) const = default;
};

// Launching a step kernel by kernel takes the host longer than a small step takes the device; a
// captured one is launched by one call. Rows are padded to buckets so that few graphs serve every
// step:
//
//   bucket   1 2 4 8 16 24 32 48 64 96 128        larger steps take longer than their launch
//
// A key is captured when it is met for the second time, as capturing costs more than it saves once.
// The least recently used of kMaxGraphs makes room.
class ForwardGraphs {
 public:
  static constexpr int kMaxGraphs = 64;

  // Borrowed; outlives the graphs.
  explicit ForwardGraphs(Backend& backend) : backend_(backend) {}

  // The smallest bucket of `num_rows` rows, or 0: that many are not worth a graph, or the backend
  // has none.
  int BucketFor(int num_rows) const;

  // Replays the graph of `key`, captured from `forward` where there is none yet. False: nothing was
  // enqueued, and the caller runs `forward` itself. What `forward` enqueues depends on `key` alone,
  // its spans keep their addresses.
  bool Launch(const GraphKey& key, const std::function<void()>& forward) {
    return Launch(std::vector{key}, forward);
  }
  // The same of steps that follow each other, as one graph.
  bool Launch(const std::vector<GraphKey>& keys, const std::function<void()>& forward);

  int num_graphs() const { return num_graphs_; }
  int64_t num_launches() const { return num_launches_; }

 private:
  struct Entry {
    std::unique_ptr<Graph> graph;  // null: met once
    int64_t last_used = 0;
  };

  void MakeRoom();

  Backend& backend_;
  std::map<std::vector<GraphKey>, Entry> entries_;
  int64_t clock_ = 0;
  int num_graphs_ = 0;
  int64_t num_launches_ = 0;
};

}  // namespace runahead

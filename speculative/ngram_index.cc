#include "speculative/ngram_index.h"

#include <algorithm>

#include "core/check.h"

namespace runahead {
namespace {

constexpr size_t kMinSlots = 64;

template <typename T>
int64_t BytesOf(const std::vector<T>& of) {
  return static_cast<int64_t>(of.capacity() * sizeof(T));
}

}  // namespace

NgramIndex::NgramIndex() : states_(1) {}

void NgramIndex::Extend(std::span<const int32_t> tokens, int max_new) {
  const int size = static_cast<int>(tokens.size());
  RA_CHECK_LE(num_indexed_, size);
  const int end = num_indexed_ + std::clamp(max_new, 0, size - num_indexed_);
  while (num_indexed_ < end) Push(tokens[static_cast<size_t>(num_indexed_)]);
}

int64_t NgramIndex::bytes() const { return BytesOf(states_) + BytesOf(edges_) + BytesOf(slots_); }

void NgramIndex::Push(int32_t token) {
  const auto current = static_cast<int32_t>(states_.size());
  ++num_indexed_;
  states_.push_back({.length = num_indexed_, .end = num_indexed_});
  int32_t at = last_;
  int32_t target = kNone;
  while (at != kNone && (target = Target(at, token)) == kNone) {
    AddTransition(at, token, current);
    at = states_[static_cast<size_t>(at)].link;
  }
  int32_t link = 0;
  if (at != kNone) {
    const int length = states_[static_cast<size_t>(at)].length + 1;
    link = states_[static_cast<size_t>(target)].length == length ? target
                                                                 : CloneFor(at, token, target);
  }
  states_[static_cast<size_t>(current)].link = link;
  last_ = current;

  const State& repeated = states_[static_cast<size_t>(link)];
  longest_ = {.length = repeated.length, .next = repeated.end};
  for (int i = 0; link > 0 && i < kMaxLinks; ++i) {
    State& state = states_[static_cast<size_t>(link)];
    state.end = num_indexed_;
    link = state.link;
  }
}

// Splits off `original` those of its strings that the text now ends with as well.
int32_t NgramIndex::CloneFor(int32_t state, int32_t token, int32_t original) {
  const auto clone = static_cast<int32_t>(states_.size());
  State copy = states_[static_cast<size_t>(original)];
  const int32_t first_edge = copy.edge;
  copy.length = states_[static_cast<size_t>(state)].length + 1;
  copy.edge = kNone;
  states_.push_back(copy);
  for (int32_t e = first_edge; e != kNone; e = edges_[static_cast<size_t>(e)].next) {
    const Edge edge = edges_[static_cast<size_t>(e)];
    AddTransition(clone, edge.token, edge.target);
  }
  states_[static_cast<size_t>(original)].link = clone;
  for (int32_t at = state; at != kNone && Target(at, token) == original;
       at = states_[static_cast<size_t>(at)].link) {
    SetTarget(at, token, clone);
  }
  return clone;
}

int32_t NgramIndex::Target(int32_t state, int32_t token) const {
  const State& from = states_[static_cast<size_t>(state)];
  if (from.target == kNone || from.token == token) return from.target;
  if (from.edge == kNone) return kNone;
  const int32_t edge = slots_[SlotOf(state, token)];
  return edge == kNone ? kNone : edges_[static_cast<size_t>(edge)].target;
}

void NgramIndex::AddTransition(int32_t state, int32_t token, int32_t target) {
  State& from = states_[static_cast<size_t>(state)];
  if (from.target == kNone) {
    from.token = token;
    from.target = target;
    return;
  }
  if (slots_.size() < 2 * (edges_.size() + 1)) GrowSlots();
  const auto edge = static_cast<int32_t>(edges_.size());
  edges_.push_back({.state = state, .token = token, .target = target, .next = from.edge});
  from.edge = edge;
  slots_[SlotOf(state, token)] = edge;
}

void NgramIndex::SetTarget(int32_t state, int32_t token, int32_t target) {
  State& from = states_[static_cast<size_t>(state)];
  if (from.token == token) {
    from.target = target;
  } else {
    edges_[static_cast<size_t>(slots_[SlotOf(state, token)])].target = target;
  }
}

// Where (state, token) is, or the empty slot where it would go.
size_t NgramIndex::SlotOf(int32_t state, int32_t token) const {
  const uint64_t key = (static_cast<uint64_t>(static_cast<uint32_t>(state)) << 32) |
                       static_cast<uint64_t>(static_cast<uint32_t>(token));
  const size_t mask = slots_.size() - 1;
  size_t slot = static_cast<size_t>((key * 0x9E3779B97F4A7C15ull) >> 32) & mask;
  while (slots_[slot] != kNone) {
    const Edge& edge = edges_[static_cast<size_t>(slots_[slot])];
    if (edge.state == state && edge.token == token) break;
    slot = (slot + 1) & mask;
  }
  return slot;
}

void NgramIndex::GrowSlots() {
  slots_.assign(std::max(kMinSlots, slots_.size() * 2), kNone);
  for (size_t e = 0; e < edges_.size(); ++e) {
    slots_[SlotOf(edges_[e].state, edges_[e].token)] = static_cast<int32_t>(e);
  }
}

}  // namespace runahead

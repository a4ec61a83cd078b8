#include "text/stop_matcher.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "core/check.h"

namespace runahead {
namespace {

constexpr int kRoot = 0;
constexpr int kNoString = -1;

}  // namespace

// Aho-Corasick (1975): a trie of all strings whose failure links lead to the longest proper suffix
// that is also in the trie. States are numbered in the order they are made; 10 000 strings of 20
// bytes are some 200 000 states, so edges are short sorted lists, not tables.
struct StopStrings::Automaton {
  struct Edge {
    uint8_t byte;
    int32_t to;
  };
  struct State {
    std::vector<Edge> edges;  // ascending by byte
    int32_t failure = kRoot;
    int32_t depth = 0;          // bytes from the root: what must be held back in this state
    int32_t match = kNoString;  // the longest string that ends here, over all suffixes
    int32_t match_length = 0;
  };
  std::vector<State> states{State()};
  std::array<int32_t, 256> root_next = {};  // the root's edges, kRoot where there is none

  const Edge* FindEdge(int32_t state, uint8_t byte) const {
    const auto& edges = states[static_cast<size_t>(state)].edges;
    const auto found = std::ranges::lower_bound(edges, byte, {}, &Edge::byte);
    return found != edges.end() && found->byte == byte ? &*found : nullptr;
  }

  int32_t Next(int32_t state, uint8_t byte) const {
    while (state != kRoot) {
      if (const Edge* edge = FindEdge(state, byte)) return edge->to;
      state = states[static_cast<size_t>(state)].failure;
    }
    return root_next[byte];
  }

  void Add(std::string_view string, int index) {
    int32_t at = kRoot;
    for (const char c : string) at = Child(at, static_cast<uint8_t>(c));
    State& end = states[static_cast<size_t>(at)];
    if (end.match != kNoString) return;  // of equal strings the first is reported
    end.match = index;
    end.match_length = static_cast<int32_t>(string.size());
  }

  int32_t Child(int32_t state, uint8_t byte) {
    if (const Edge* edge = FindEdge(state, byte)) return edge->to;
    const auto made = static_cast<int32_t>(states.size());
    states.emplace_back();
    states.back().depth = states[static_cast<size_t>(state)].depth + 1;
    auto& edges = states[static_cast<size_t>(state)].edges;
    edges.insert(std::ranges::lower_bound(edges, byte, {}, &Edge::byte), {byte, made});
    return made;
  }

  // Failure links by breadth first, so that a suffix is finished before what ends with it.
  void Link() {
    for (const Edge& edge : states[kRoot].edges) root_next[edge.byte] = edge.to;
    std::vector<int32_t> queue = {kRoot};
    for (size_t i = 0; i < queue.size(); ++i) {
      const int32_t from = queue[i];
      for (const Edge& edge : states[static_cast<size_t>(from)].edges) {
        queue.push_back(edge.to);
        State& to = states[static_cast<size_t>(edge.to)];
        if (from != kRoot) to.failure = Next(states[static_cast<size_t>(from)].failure, edge.byte);
        const State& suffix = states[static_cast<size_t>(to.failure)];
        if (to.match == kNoString) {  // a string that ends here itself is longer than any suffix
          to.match = suffix.match;
          to.match_length = suffix.match_length;
        }
      }
    }
  }
};

StopStrings::StopStrings(const std::vector<std::string>& strings) {
  auto automaton = std::make_unique<Automaton>();
  for (size_t i = 0; i < strings.size(); ++i) {
    if (!strings[i].empty()) automaton->Add(strings[i], static_cast<int>(i));
  }
  automaton->Link();
  automaton_ = std::move(automaton);
}

StopStrings::~StopStrings() = default;
StopStrings::StopStrings(StopStrings&&) noexcept = default;
StopStrings& StopStrings::operator=(StopStrings&&) noexcept = default;

bool StopStrings::empty() const { return automaton_->states.size() == 1; }

StopMatcher::StopMatcher(const StopStrings& strings) : strings_(strings) {}

StopMatcher::Output StopMatcher::Push(std::string_view text, bool include_stop) {
  const StopStrings::Automaton& automaton = *strings_.automaton_;
  for (size_t i = 0; i < text.size(); ++i) {
    state_ = automaton.Next(state_, static_cast<uint8_t>(text[i]));
    const auto& state = automaton.states[static_cast<size_t>(state_)];
    if (state.match == kNoString) continue;
    held_.append(text.substr(0, i + 1));
    if (!include_stop) held_.resize(held_.size() - static_cast<size_t>(state.match_length));
    Output output{std::move(held_), state.match};
    held_.clear();
    return output;
  }
  held_.append(text);
  const auto depth = static_cast<size_t>(automaton.states[static_cast<size_t>(state_)].depth);
  RA_CHECK_LE(depth, held_.size());
  Output output{held_.substr(0, held_.size() - depth), std::nullopt};
  held_.erase(0, held_.size() - depth);
  return output;
}

std::string StopMatcher::Finish() {
  state_ = kRoot;
  return std::exchange(held_, {});
}

}  // namespace runahead

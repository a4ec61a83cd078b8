// NgramIndex: prompt lookup over one sequence's tokens by a suffix automaton that grows with them.
// Engine thread only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace runahead {

// The longest suffix of the tokens that occurred before, and what followed it there.
struct NgramMatch {
  int length = 0;  // of the suffix; 0: none
  int next = 0;    // index of the token that followed its latest earlier occurrence
};

// Blumer et al. 1985 (online suffix automaton): amortised O(1) and at most two states and three
// transitions a token; 40 to 80 bytes a token.
//
// A state stands for the strings that end at the same places. Its suffix link leads to the longest
// of its suffixes that ends at more places, so the link of the whole text's state is the longest
// suffix that occurred before:
//
//   text a b c a b      state(abcab) --link--> state(ab), last seen ending at 2  =>  next = 2
class NgramIndex {
 public:
  NgramIndex();

  // Takes in at most max_new of the tokens not indexed yet; `tokens` only ever grows at its end.
  void Extend(std::span<const int32_t> tokens, int max_new);
  int num_indexed() const { return num_indexed_; }

  // Of the indexed tokens' end. Meaningful as a draft only where everything is indexed.
  NgramMatch Longest() const { return longest_; }

  // Host bytes it holds.
  int64_t bytes() const;

  // Suffix links along which a token's position is passed on. Only texts that repeat themselves
  // more deeply than this are told an earlier occurrence than the latest.
  static constexpr int kMaxLinks = 64;

 private:
  static constexpr int32_t kNone = -1;

  struct State {
    int32_t length = 0;    // of its longest string
    int32_t link = kNone;  // state
    int32_t end = 0;       // index behind the latest known occurrence
    int32_t token = 0;     // its first transition, which most states have no second of
    int32_t target = kNone;
    int32_t edge = kNone;  // the latest of its further transitions
  };
  struct Edge {
    int32_t state = 0;
    int32_t token = 0;
    int32_t target = 0;
    int32_t next = kNone;  // the state's previous edge
  };

  void Push(int32_t token);
  int32_t Target(int32_t state, int32_t token) const;
  void AddTransition(int32_t state, int32_t token, int32_t target);
  void SetTarget(int32_t state, int32_t token, int32_t target);
  int32_t CloneFor(int32_t state, int32_t token, int32_t original);
  size_t SlotOf(int32_t state, int32_t token) const;
  void GrowSlots();

  std::vector<State> states_;  // [0]: the empty string
  std::vector<Edge> edges_;
  std::vector<int32_t> slots_;  // open addressing over edges_ by (state, token); a power of two
  int32_t last_ = 0;            // state of the whole text
  int num_indexed_ = 0;
  NgramMatch longest_;
};

}  // namespace runahead

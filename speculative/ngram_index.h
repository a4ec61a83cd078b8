// NgramIndex: prompt lookup over one sequence's tokens by a suffix automaton that grows with them.
// Engine thread only.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace runahead {

// The longest suffix of the tokens that occurred before, and what followed it there.
struct NgramMatch {
  int length = 0;  // of the suffix; 0: none
  int next = 0;    // index of the token that followed its latest earlier occurrence
};

// Blumer et al. 1985 (online suffix automaton): amortised O(1) and at most two states a token.
class NgramIndex {
 public:
  // Takes in at most max_new of the tokens not indexed yet; `tokens` only ever grows at its end.
  void Extend(std::span<const int32_t> tokens, int max_new);
  int num_indexed() const;

  // Of the indexed tokens' end. Meaningful as a draft only where everything is indexed.
  NgramMatch Longest() const;

  // Host bytes it holds.
  int64_t bytes() const;

 private:
  // The implementer's: states, transitions, the current longest repeated suffix.
};

}  // namespace runahead

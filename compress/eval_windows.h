// Sliding windows over a text longer than a model's context. Pure functions.
//
//   tokens   0 . . . . . . . . . . . . . . . 16
//   window 0 [ - s s s s s s s ]                   window 8, stride 4:
//   window 1         [ - - - - s s s s ]           s are scored, - are context alone;
//   window 2                 [ - - - - s s s s ]   every token but the first is scored once.
#pragma once

#include <vector>

namespace runahead {

struct EvalWindow {
  int begin = 0;         // first token that is run
  int first_scored = 0;  // index in the text, > begin; the token before it predicts it
  int end = 0;           // one past the last scored token

  bool operator==(const EvalWindow&) const = default;
};

// Windows of at most `window` >= 2 tokens; all but the first begin with window - stride tokens of
// context. 1 <= stride < window. Empty below two tokens.
std::vector<EvalWindow> SlidingWindows(int num_tokens, int window, int stride);

}  // namespace runahead

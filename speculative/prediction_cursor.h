// PredictionCursor: follows a request's predicted output and proposes what comes next in it.
// Engine thread only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace runahead {

// While the output agrees with the prediction the cursor walks along. After an edit it looks for
// the output's last tokens again, first near where it stood, and goes on from there
// (re-synchronising); it proposes nothing until it has found its place.
class PredictionCursor {
 public:
  void SetPrediction(std::vector<int32_t> prediction);
  bool empty() const { return prediction_.empty(); }

  // Takes in the output's new tokens; `output` only ever grows at its end. Bounded per new token.
  void Follow(std::span<const int32_t> output);

  // What the prediction says next, at most max_drafts tokens; empty where the place is lost or the
  // prediction is used up.
  std::span<const int32_t> Next(int max_drafts) const;
  // How many tokens have agreed since the cursor last found its place.
  int num_agreed() const;

 private:
  std::vector<int32_t> prediction_;
  // The implementer's: place, output tokens seen.
};

}  // namespace runahead

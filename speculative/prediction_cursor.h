// PredictionCursor: follows a request's predicted output and proposes what comes next in it.
// Engine thread only.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace runahead {

// While the output agrees with the prediction the cursor walks along. After an edit it looks for
// the output's last tokens again, first near where it stood, and goes on from there
// (re-synchronising); it proposes nothing until it has found its place.
//
//   prediction   a b c d e f g h        output   a b X d e ..
//                    ^ stood here (anchor)             ^ one token agrees where a replacement
//                                                        would continue: found, next is `e`
//
// A place found by few tokens may be wrong, so what counts as "where it stood" moves on only once
// several have agreed.
class PredictionCursor {
 public:
  void SetPrediction(std::vector<int32_t> prediction);
  bool empty() const { return prediction_.empty(); }

  // Takes in the output's new tokens; `output` only ever grows at its end. Bounded per new token.
  void Follow(std::span<const int32_t> output);

  // What the prediction says next, at most max_drafts tokens; empty where the place is lost or the
  // prediction is used up.
  std::span<const int32_t> Next(int max_drafts) const;
  // How many tokens have agreed since the cursor last found its place, those that it was found by
  // included.
  int num_agreed() const { return num_agreed_; }

 private:
  static constexpr int kLost = -1;

  void Take(std::span<const int32_t> output);
  void Find(std::span<const int32_t> output);
  int NumAgreeing(std::span<const int32_t> output, int end) const;
  int FarPlace(std::span<const int32_t> output) const;

  std::vector<int32_t> prediction_;
  // (hash of kFarTokens tokens, index of the last of them), sorted: for places far from the anchor.
  std::vector<std::pair<uint64_t, int32_t>> far_;
  int num_seen_ = 0;  // output tokens
  int place_ = 0;     // index in prediction_ of the next token, or kLost
  int num_agreed_ = 0;
  int anchor_ = 0;         // where it stood for sure,
  int anchor_output_ = 0;  // with so many output tokens seen
};

}  // namespace runahead

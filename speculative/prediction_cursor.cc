#include "speculative/prediction_cursor.h"

#include <algorithm>
#include <cstdlib>

#include "core/check.h"

namespace runahead {
namespace {

constexpr int kSureTokens = 4;    // agreeing tokens that move the anchor
constexpr int kMaxCompared = 16;  // tokens compared backwards from a candidate
constexpr int kBehind = 32;       // a nearby place lies so far behind the anchor at most,
constexpr int kAhead = 256;       // and so far ahead of it
constexpr int kJump = 4;          // one token is proof enough this far ahead of what is expected
constexpr int kFarTokens = 4;     // tokens that must agree at a place far away

// Of the last kFarTokens tokens.
uint64_t FarHash(std::span<const int32_t> tokens) {
  uint64_t hash = 0;
  for (const int32_t token : tokens.last(kFarTokens)) {
    hash = (hash ^ static_cast<uint32_t>(token)) * 0x9E3779B97F4A7C15ull;
    hash ^= hash >> 29;
  }
  return hash;
}

}  // namespace

void PredictionCursor::SetPrediction(std::vector<int32_t> prediction) {
  *this = PredictionCursor();
  prediction_ = std::move(prediction);
  const std::span<const int32_t> all = prediction_;
  for (size_t end = kFarTokens; end <= all.size(); ++end) {
    far_.emplace_back(FarHash(all.first(end)), static_cast<int32_t>(end) - 1);
  }
  std::sort(far_.begin(), far_.end());
}

void PredictionCursor::Follow(std::span<const int32_t> output) {
  RA_CHECK_LE(num_seen_, static_cast<int>(output.size()));
  if (prediction_.empty()) {
    num_seen_ = static_cast<int>(output.size());
    return;
  }
  while (num_seen_ < static_cast<int>(output.size())) {
    ++num_seen_;
    Take(output.first(static_cast<size_t>(num_seen_)));
  }
}

std::span<const int32_t> PredictionCursor::Next(int max_drafts) const {
  if (place_ == kLost) return {};
  const auto rest = std::span(prediction_).subspan(static_cast<size_t>(place_));
  return rest.first(std::min(rest.size(), static_cast<size_t>(std::max(max_drafts, 0))));
}

void PredictionCursor::Take(std::span<const int32_t> output) {
  const int size = static_cast<int>(prediction_.size());
  if (place_ != kLost && place_ < size &&
      prediction_[static_cast<size_t>(place_)] == output.back()) {
    ++place_;
    ++num_agreed_;
  } else {
    Find(output);
  }
  if (num_agreed_ >= kSureTokens) {
    anchor_ = place_;
    anchor_output_ = num_seen_;
  }
}

// Among the nearby places whose token is the output's last, the one where most agree (as far as
// sure), then the one nearest to where replaced words would have led.
void PredictionCursor::Find(std::span<const int32_t> output) {
  place_ = kLost;
  num_agreed_ = 0;
  const int32_t token = output.back();
  const int size = static_cast<int>(prediction_.size());
  const int expected = anchor_ + (num_seen_ - anchor_output_) - 1;
  const int last = std::min(size - 1, anchor_ + kAhead);
  int best_distance = 0;
  for (int i = std::max(0, anchor_ - kBehind); i <= last; ++i) {
    if (prediction_[static_cast<size_t>(i)] != token) continue;
    const int agreeing = NumAgreeing(output, i);
    const bool near = i >= anchor_ && i <= expected + kJump;
    if (agreeing < (near ? 1 : 2)) continue;
    const int distance = std::abs(i - expected);
    const int more = std::min(agreeing, kSureTokens) - std::min(num_agreed_, kSureTokens);
    if (more > 0 || (more == 0 && distance < best_distance)) {
      place_ = i + 1;
      num_agreed_ = agreeing;
      best_distance = distance;
    }
  }
  if (num_agreed_ >= kFarTokens) return;
  const int far = FarPlace(output);
  if (far == kLost) return;
  place_ = far + 1;
  num_agreed_ = NumAgreeing(output, far);
}

// How many tokens before and at `end` of the prediction agree with the output's last.
int PredictionCursor::NumAgreeing(std::span<const int32_t> output, int end) const {
  const int most = std::min({kMaxCompared, end + 1, static_cast<int>(output.size())});
  int count = 0;
  while (count < most && prediction_[static_cast<size_t>(end - count)] ==
                             output[output.size() - 1 - static_cast<size_t>(count)]) {
    ++count;
  }
  return count;
}

// The first place ahead of the anchor where the output's last kFarTokens stand, else the last one
// behind it. Equal hashes of unequal tokens only lose a place.
int PredictionCursor::FarPlace(std::span<const int32_t> output) const {
  if (output.size() < kFarTokens) return kLost;
  const uint64_t hash = FarHash(output);
  auto it = std::lower_bound(far_.begin(), far_.end(), std::pair(hash, anchor_));
  if (it == far_.end() || it->first != hash) {
    if (it == far_.begin() || (--it)->first != hash) return kLost;
  }
  return NumAgreeing(output, it->second) >= kFarTokens ? it->second : kLost;
}

}  // namespace runahead

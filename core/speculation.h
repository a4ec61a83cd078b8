// Speculation: the words that requests, events and counts use for drafts. Value types.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace runahead {

// Who proposed a token.
enum class DrafterKind : uint8_t {
  kNone,
  kModel,       // a smaller checkpoint with the target's vocabulary
  kNgram,       // prompt lookup over prompt and output
  kPrediction,  // the request's own `prediction`
  kSelf,        // the target's weights in fewer bits
};
inline constexpr int kNumDrafterKinds = 5;

constexpr std::string_view DrafterName(DrafterKind kind) {
  constexpr std::array<std::string_view, kNumDrafterKinds> kNames = {"none", "model", "ngram",
                                                                     "prediction", "self"};
  return kNames[static_cast<size_t>(kind)];
}

// The most drafts of one sequence in one step (k).
inline constexpr int kMaxDrafts = 16;

enum class SpeculationMode : uint8_t {
  kAuto,   // the policy chooses drafter and k
  kOff,    // k = 0
  kFixed,  // k = max_tokens wherever a drafter has so many, whatever it costs
};

struct SpeculationParams {
  SpeculationMode mode = SpeculationMode::kAuto;
  int max_tokens = kMaxDrafts;  // 0..kMaxDrafts: upper bound of k (kAuto), or k (kFixed)
};

}  // namespace runahead

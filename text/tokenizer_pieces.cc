#include "text/tokenizer_pieces.h"

#include <algorithm>

#include "text/unicode.h"

namespace runahead {
namespace {

// Merges each match into the stretch before it, unless that one is a match itself.
void MergeWithPrevious(std::vector<Stretch>* stretches) {
  std::vector<Stretch> merged;
  bool previous_match = false;
  for (const Stretch& stretch : *stretches) {
    if (stretch.is_match && !previous_match && !merged.empty()) {
      merged.back().end = stretch.end;
    } else {
      merged.push_back({stretch.begin, stretch.end, false});
    }
    previous_match = stretch.is_match;
  }
  *stretches = std::move(merged);
}

void MergeWithNext(std::vector<Stretch>* stretches) {
  std::vector<Stretch> merged;
  bool previous_match = false;
  std::ranges::reverse(*stretches);
  for (const Stretch& stretch : *stretches) {
    if (stretch.is_match && !previous_match && !merged.empty()) {
      merged.back().begin = stretch.begin;
    } else {
      merged.push_back({stretch.begin, stretch.end, false});
    }
    previous_match = stretch.is_match;
  }
  std::ranges::reverse(merged);
  *stretches = std::move(merged);
}

void MergeContiguous(std::vector<Stretch>* stretches) {
  std::vector<Stretch> merged;
  bool previous_match = false;
  for (const Stretch& stretch : *stretches) {
    if (stretch.is_match == previous_match && !merged.empty()) {
      merged.back().end = stretch.end;
    } else {
      merged.push_back({stretch.begin, stretch.end, false});
    }
    previous_match = stretch.is_match;
  }
  *stretches = std::move(merged);
}

}  // namespace

PieceList::PieceList(NormalizedText whole)
    : text(std::move(whole.text)), origin_bytes(whole.origin_bytes) {
  if (!text.empty()) pieces.push_back({0, text.size()});
}

void ApplyBehavior(SplitBehavior behavior, std::vector<Stretch>* stretches) {
  switch (behavior) {
    case SplitBehavior::kRemoved:
      return;
    case SplitBehavior::kIsolated:
      for (Stretch& stretch : *stretches) stretch.is_match = false;
      return;
    case SplitBehavior::kMergedWithPrevious:
      return MergeWithPrevious(stretches);
    case SplitBehavior::kMergedWithNext:
      return MergeWithNext(stretches);
    case SplitBehavior::kContiguous:
      return MergeContiguous(stretches);
  }
}

void FindCharacters(std::string_view text, bool (*is_match)(uint32_t),
                    std::vector<Stretch>* stretches) {
  size_t covered = 0;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = DecodeUtf8(text, at);
    if (is_match(c.code)) {
      if (covered < at) stretches->push_back({covered, at, false});
      covered = at + c.num_bytes;
      stretches->push_back({at, covered, true});
    }
    at += c.num_bytes;
  }
  if (covered < text.size()) stretches->push_back({covered, text.size(), false});
}

void FindLiteral(std::string_view text, std::string_view needle, std::vector<Stretch>* stretches) {
  size_t covered = 0;
  while (!needle.empty()) {
    const size_t at = text.find(needle, covered);
    if (at == std::string_view::npos) break;
    if (covered < at) stretches->push_back({covered, at, false});
    covered = at + needle.size();
    stretches->push_back({at, covered, true});
  }
  if (covered < text.size()) stretches->push_back({covered, text.size(), false});
}

void Pattern::FindAll(std::string_view text, std::vector<Stretch>* stretches) const {
  if (regex_.empty()) {
    FindLiteral(text, literal_, stretches);
  } else {
    regex_.front().FindAll(text, stretches);
  }
}

}  // namespace runahead

// PieceList: a text cut into the pieces that pre-tokenizers refine. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer_regex.h"

namespace runahead {

// A text under normalization. The first `origin_bytes` stem from the first character of the whole
// text (0 for a text that starts further on); a stage may want to know what starts there.
struct NormalizedText {
  std::string text;
  size_t origin_bytes = 0;
};

struct PieceList {
  struct Piece {
    size_t begin;  // byte offsets into `text`, begin < end; pieces are in order, gaps were removed
    size_t end;
  };

  explicit PieceList(NormalizedText whole);

  std::string_view View(const Piece& piece) const {
    return std::string_view(text).substr(piece.begin, piece.end - piece.begin);
  }

  std::string text;
  size_t origin_bytes;  // as in NormalizedText
  std::vector<Piece> pieces;
};

// What becomes of the stretches that match, as Hugging Face's SplitDelimiterBehavior.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

// Merges or removes neighbouring stretches as `behavior` says; those left with is_match are dropped
// by the caller.
void ApplyBehavior(SplitBehavior behavior, std::vector<Stretch>* stretches);

// Cuts every piece where `find(view, &stretches)` finds matches.
template <typename Find>
void SplitPieces(const Find& find, bool invert, SplitBehavior behavior, PieceList* list) {
  std::vector<PieceList::Piece> refined;
  refined.reserve(list->pieces.size());
  std::vector<Stretch> stretches;
  for (const PieceList::Piece& piece : list->pieces) {
    stretches.clear();
    find(list->View(piece), &stretches);
    if (invert) {
      for (Stretch& stretch : stretches) stretch.is_match = !stretch.is_match;
    }
    ApplyBehavior(behavior, &stretches);
    for (const Stretch& stretch : stretches) {
      if (stretch.is_match || stretch.begin == stretch.end) continue;
      refined.push_back({piece.begin + stretch.begin, piece.begin + stretch.end});
    }
  }
  list->pieces = std::move(refined);
}

// Rewrites every piece with `rewrite(at_origin, view, &out)`, which appends the new text to `out`.
template <typename Rewrite>
void RewritePieces(const Rewrite& rewrite, PieceList* list) {
  std::string out;
  out.reserve(list->text.size() + list->text.size() / 4);
  size_t origin_bytes = 0;
  for (PieceList::Piece& piece : list->pieces) {
    const size_t begin = out.size();
    const bool at_origin = piece.begin < list->origin_bytes;
    rewrite(at_origin, list->View(piece), &out);
    if (at_origin) origin_bytes = begin + 1;
    piece.begin = begin;
    piece.end = out.size();
  }
  list->text = std::move(out);
  list->origin_bytes = origin_bytes;
}

// Each character for which `is_match` holds is one match.
void FindCharacters(std::string_view text, bool (*is_match)(uint32_t),
                    std::vector<Stretch>* stretches);

// Each occurrence of `needle`, from the left; none for an empty needle.
void FindLiteral(std::string_view text, std::string_view needle, std::vector<Stretch>* stretches);

// A Split or Replace pattern: a literal or a regular expression. Immutable; thread-safe.
class Pattern {
 public:
  explicit Pattern(std::string literal) : literal_(std::move(literal)) {}
  explicit Pattern(Regex regex) { regex_.push_back(std::move(regex)); }

  void FindAll(std::string_view text, std::vector<Stretch>* stretches) const;

 private:
  std::string literal_;
  std::vector<Regex> regex_;  // one, or none for a literal
};

}  // namespace runahead

// Bpe: byte pair encoding of one pre-token by ranked merges, in n log n of its length. Immutable.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/status.h"

namespace runahead {

// Token spellings and their ids. Immutable; thread-safe.
class Vocabulary {
 public:
  // A larger id is refused: a hostile file must not make us allocate by its say-so.
  static constexpr int64_t kMaxId = (int64_t{1} << 21) - 1;

  // Refuses ids below 0 or above kMaxId and ids with two spellings. Ids may leave holes.
  static Result<Vocabulary> Build(std::vector<std::pair<std::string, int64_t>> tokens);

  // -1 when the vocabulary has no such token.
  int32_t Find(std::string_view token) const {
    const auto it = ids_.find(token);
    return it == ids_.end() ? -1 : it->second;
  }
  bool Has(int32_t id) const { return id >= 0 && id < size() && present_[static_cast<size_t>(id)]; }
  // The spelling of an id that the vocabulary Has.
  const std::string& token(int32_t id) const { return tokens_[static_cast<size_t>(id)]; }

  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }  // 1 + the largest id

 private:
  std::vector<std::string> tokens_;                    // by id
  std::vector<bool> present_;                          // by id
  std::unordered_map<std::string_view, int32_t> ids_;  // views into tokens_
};

// One rule: `left` `right` become `result`. Lower ranks merge first; equal ranks from the left.
struct BpeMerge {
  int32_t left;
  int32_t right;
  int32_t result;
  uint32_t rank;
};

struct BpeOptions {
  int32_t unknown_id = -1;     // for characters without a token; -1 drops them
  bool byte_fallback = false;  // such characters become <0xXX> tokens where all of those exist
  bool fuse_unknown = false;   // one unknown_id for a run of them
  bool ignore_merges = false;  // a pre-token that is itself a token is that token
};

// Thread-safe: const after construction.
class Bpe {
 public:
  // When two merges have the same pair, the last one counts. All ids must be the vocabulary's.
  Bpe(Vocabulary vocabulary, const std::vector<BpeMerge>& merges, BpeOptions options);
  Bpe(Bpe&&) noexcept;
  Bpe& operator=(Bpe&&) noexcept;
  ~Bpe();

  const Vocabulary& vocabulary() const { return vocabulary_; }

  // Buffers re-used from word to word of one call.
  struct Scratch;
  struct ScratchDeleter {
    void operator()(Scratch* scratch) const;
  };
  static std::unique_ptr<Scratch, ScratchDeleter> MakeScratch();

  // Appends the ids of `word` (valid UTF-8).
  void Encode(std::string_view word, Scratch* scratch, std::vector<int32_t>* ids) const;

 private:
  class MergeTable;

  void SplitIntoSymbols(std::string_view word, Scratch* scratch) const;
  void MergeSymbols(Scratch* scratch) const;
  int32_t CharacterToken(uint32_t code, std::string_view spelling) const;

  Vocabulary vocabulary_;
  BpeOptions options_;
  std::unique_ptr<const MergeTable> merges_;
  std::vector<int32_t> small_characters_;  // token of each character below 0x3000, or -1
  std::vector<int32_t> byte_tokens_;       // token of <0xXX> for each byte, or -1
};

}  // namespace runahead

#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <queue>

#include "text/unicode.h"

namespace runahead {
namespace {

constexpr uint32_t kNumSmallCharacters = 0x3000;  // alphabets and U+2581, not the ideographs

uint64_t PairKey(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

// "<0x0A>"
std::string ByteTokenName(int byte) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string name = "<0x00>";
  name[3] = kHex[static_cast<size_t>(byte >> 4)];
  name[4] = kHex[static_cast<size_t>(byte & 15)];
  return name;
}

}  // namespace

// NOLINTNEXTLINE(performance-unnecessary-value-param): it is moved from, through a binding.
Result<Vocabulary> Vocabulary::Build(std::vector<std::pair<std::string, int64_t>> tokens) {
  int64_t max_id = -1;
  for (const auto& [token, id] : tokens) {
    if (id < 0 || id > kMaxId) {
      return InvalidArgument("token '" + token + "' has id " + std::to_string(id) +
                             ", outside 0.." + std::to_string(kMaxId));
    }
    max_id = std::max(max_id, id);
  }
  Vocabulary vocabulary;
  vocabulary.tokens_.resize(static_cast<size_t>(max_id + 1));
  vocabulary.present_.resize(static_cast<size_t>(max_id + 1));
  vocabulary.ids_.reserve(tokens.size());
  for (auto& [token, id] : tokens) {
    const auto slot = static_cast<size_t>(id);
    if (vocabulary.present_[slot]) {
      return InvalidArgument("id " + std::to_string(id) + " names both '" +
                             vocabulary.tokens_[slot] + "' and '" + token + "'");
    }
    vocabulary.present_[slot] = true;
    vocabulary.tokens_[slot] = std::move(token);
    const auto [it, is_new] =
        vocabulary.ids_.emplace(vocabulary.tokens_[slot], static_cast<int32_t>(id));
    if (!is_new) {
      return InvalidArgument("token '" + std::string(it->first) + "' has two ids, " +
                             std::to_string(it->second) + " and " + std::to_string(id));
    }
  }
  return vocabulary;
}

// Open addressing, at most half full: the one look-up per neighbouring pair is what encoding spends
// its time on, and a node-based map costs three times as much.
class Bpe::MergeTable {
 public:
  struct Entry {
    uint64_t key = kEmpty;
    uint32_t rank = 0;
    int32_t result = -1;
  };

  explicit MergeTable(const std::vector<BpeMerge>& merges)
      : entries_(std::bit_ceil(merges.size() * 2 + 2)),
        shift_(64 - std::countr_zero(entries_.size())) {
    for (const BpeMerge& merge : merges) {
      Entry& entry = entries_[Slot(PairKey(merge.left, merge.right))];
      entry = {PairKey(merge.left, merge.right), merge.rank, merge.result};
    }
  }

  // Null when the pair does not merge.
  const Entry* Find(int32_t left, int32_t right) const {
    const Entry& entry = entries_[Slot(PairKey(left, right))];
    return entry.key == kEmpty ? nullptr : &entry;
  }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};  // no pair: ids are not negative

  size_t Slot(uint64_t key) const {
    size_t slot = static_cast<size_t>(key * 0x9E3779B97F4A7C15u >> shift_);
    while (entries_[slot].key != key && entries_[slot].key != kEmpty) {
      slot = (slot + 1) & (entries_.size() - 1);
    }
    return slot;
  }

  std::vector<Entry> entries_;
  int shift_;
};

struct Bpe::Scratch {
  // A doubly linked list in an array; a merge keeps the left symbol and unlinks the right one.
  struct Symbol {
    int32_t id;  // -1: merged into its left neighbour
    int32_t previous;
    int32_t next;
  };
  struct Candidate {
    uint64_t order;  // rank << 32 | position of the left symbol
    int32_t result;
    bool operator>(const Candidate& other) const { return order > other.order; }
  };
  // Exposes the container, so that its memory survives from word to word.
  struct Heap : std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> {
    std::vector<Candidate>& container() { return c; }
    void Heapify() { std::make_heap(c.begin(), c.end(), comp); }
  };

  std::vector<Symbol> symbols;
  Heap heap;
};

void Bpe::ScratchDeleter::operator()(Scratch* scratch) const {
  std::default_delete<Scratch>()(scratch);
}

std::unique_ptr<Bpe::Scratch, Bpe::ScratchDeleter> Bpe::MakeScratch() {
  return std::unique_ptr<Scratch, ScratchDeleter>(std::make_unique<Scratch>().release());
}

Bpe::Bpe(Vocabulary vocabulary, const std::vector<BpeMerge>& merges, BpeOptions options)
    : vocabulary_(std::move(vocabulary)),
      options_(options),
      merges_(std::make_unique<const MergeTable>(merges)),
      small_characters_(kNumSmallCharacters, -1) {
  for (uint32_t code = 0; code < kNumSmallCharacters; ++code) {
    std::string spelling;
    AppendUtf8(code, &spelling);
    small_characters_[code] = vocabulary_.Find(spelling);
  }
  for (int byte = 0; byte < 256; ++byte) {
    byte_tokens_.push_back(vocabulary_.Find(ByteTokenName(byte)));
  }
}

Bpe::Bpe(Bpe&&) noexcept = default;
Bpe& Bpe::operator=(Bpe&&) noexcept = default;
Bpe::~Bpe() = default;

int32_t Bpe::CharacterToken(uint32_t code, std::string_view spelling) const {
  return code < kNumSmallCharacters ? small_characters_[code] : vocabulary_.Find(spelling);
}

void Bpe::SplitIntoSymbols(std::string_view word, Scratch* scratch) const {
  auto& symbols = scratch->symbols;
  symbols.clear();
  const auto add = [&symbols](int32_t id) { symbols.push_back({id, 0, 0}); };
  bool unknown_pending = false;
  for (size_t at = 0; at < word.size();) {
    const Utf8Char c = DecodeUtf8(word, at);
    const std::string_view spelling = word.substr(at, c.num_bytes);
    at += c.num_bytes;
    if (const int32_t id = CharacterToken(c.code, spelling); id >= 0) {
      if (unknown_pending) add(options_.unknown_id);
      unknown_pending = false;
      add(id);
      continue;
    }
    const auto byte_token = [this](char byte) {
      return byte_tokens_[static_cast<unsigned char>(byte)];
    };
    if (options_.byte_fallback &&
        std::ranges::all_of(spelling, [&](char byte) { return byte_token(byte) >= 0; })) {
      // An unknown that is pending stays so and comes after the bytes, as in Hugging Face's model.
      for (const char byte : spelling) add(byte_token(byte));
      continue;
    }
    if (options_.unknown_id < 0) continue;
    if (unknown_pending && !options_.fuse_unknown) add(options_.unknown_id);
    unknown_pending = true;
  }
  if (unknown_pending) add(options_.unknown_id);
  const auto count = static_cast<int32_t>(symbols.size());
  for (int32_t i = 0; i < count; ++i) {
    symbols[static_cast<size_t>(i)].previous = i - 1;
    symbols[static_cast<size_t>(i)].next = i + 1 < count ? i + 1 : -1;
  }
}

void Bpe::MergeSymbols(Scratch* scratch) const {
  auto& symbols = scratch->symbols;
  auto& heap = scratch->heap;
  const auto symbol = [&symbols](int32_t i) -> Scratch::Symbol& {
    return symbols[static_cast<size_t>(i)];
  };
  const auto candidate = [](const MergeTable::Entry& entry, int32_t position) {
    return Scratch::Candidate{
        static_cast<uint64_t>(entry.rank) << 32 | static_cast<uint32_t>(position), entry.result};
  };
  const auto offer = [&](int32_t left, int32_t right) {
    if (left < 0 || right < 0) return;
    if (const auto* entry = merges_->Find(symbol(left).id, symbol(right).id)) {
      heap.push(candidate(*entry, left));
    }
  };
  heap.container().clear();
  for (size_t i = 0; i + 1 < symbols.size(); ++i) {
    if (const auto* entry = merges_->Find(symbols[i].id, symbols[i + 1].id)) {
      heap.container().push_back(candidate(*entry, static_cast<int32_t>(i)));
    }
  }
  heap.Heapify();
  while (!heap.empty()) {
    const Scratch::Candidate top = heap.top();
    heap.pop();
    const auto position = static_cast<int32_t>(top.order & 0xFFFFFFFFu);
    Scratch::Symbol& left = symbol(position);
    if (left.id < 0 || left.next < 0) continue;
    Scratch::Symbol& right = symbol(left.next);
    // Either side may have changed since the candidate was pushed.
    const auto* entry = merges_->Find(left.id, right.id);
    if (entry == nullptr || entry->result != top.result) continue;
    left.id = top.result;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbol(left.next).previous = position;
    offer(left.previous, position);
    offer(position, left.next);
  }
}

void Bpe::Encode(std::string_view word, Scratch* scratch, std::vector<int32_t>* ids) const {
  if (options_.ignore_merges) {
    if (const int32_t id = vocabulary_.Find(word); id >= 0) {
      ids->push_back(id);
      return;
    }
  }
  SplitIntoSymbols(word, scratch);
  if (scratch->symbols.size() > 1) MergeSymbols(scratch);
  for (const Scratch::Symbol& symbol : scratch->symbols) {
    if (symbol.id >= 0) ids->push_back(symbol.id);
  }
}

}  // namespace runahead

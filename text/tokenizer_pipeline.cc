#include "text/tokenizer_pipeline.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "text/unicode.h"

namespace runahead {
namespace {

void Normalize(const std::vector<NormalizerPtr>& normalizers, NormalizedText* text) {
  for (const NormalizerPtr& normalizer : normalizers) normalizer->Apply(text);
}

class PipelineTokenizer final : public Tokenizer {
 public:
  PipelineTokenizer(TokenizerParts parts, std::vector<AddedToken> added_tokens)
      : normalizers_(std::move(parts.normalizers)),
        pre_tokenizers_(std::move(parts.pre_tokenizers)),
        model_(std::move(parts.model)),
        frame_(std::move(parts.frame)),
        decoder_(std::move(parts.decoder)),
        added_(std::move(added_tokens)) {
    int32_t size = model_.vocabulary().size();
    for (const AddedToken& token : added_.tokens()) {
      added_by_id_.emplace(token.id, &token);
      added_by_content_.emplace(token.content, &token);
      size = std::max(size, token.id + 1);
    }
    bytes_.resize(static_cast<size_t>(size));
    for (int32_t id = 0; id < size; ++id) {
      if (auto spelling = DecodedSpelling(id)) {
        bytes_[static_cast<size_t>(id)] = decoder_.Middle(*std::move(spelling));
      }
    }
  }

  std::vector<int32_t> Encode(std::string_view text, EncodeOptions options) const override {
    std::vector<int32_t> ids;
    if (options.add_special_tokens) ids = frame_.prefix;
    if (IsValidUtf8(text)) {
      EncodeValid(text, options.parse_special, &ids);
    } else {
      EncodeValid(LossyUtf8(text), options.parse_special, &ids);
    }
    if (options.add_special_tokens) {
      ids.insert(ids.end(), frame_.suffix.begin(), frame_.suffix.end());
    }
    return ids;
  }

  std::string Decode(std::span<const int32_t> ids, bool skip_special_tokens) const override {
    std::vector<std::string> tokens;
    tokens.reserve(ids.size());
    for (const int32_t id : ids) {
      if (skip_special_tokens && IsSpecial(id)) continue;
      if (auto spelling = DecodedSpelling(id)) tokens.push_back(*std::move(spelling));
    }
    return decoder_.Decode(std::move(tokens));
  }

  std::string_view TokenBytes(int32_t id) const override {
    if (id < 0 || id >= vocab_size()) return {};
    return bytes_[static_cast<size_t>(id)];
  }

  std::optional<std::string> IdToToken(int32_t id) const override {
    if (const AddedToken* token = FindAdded(id)) return token->content;
    if (model_.vocabulary().Has(id)) return model_.vocabulary().token(id);
    return {};
  }

  std::optional<int32_t> TokenToId(std::string_view token) const override {
    const auto it = added_by_content_.find(token);
    if (it != added_by_content_.end()) return it->second->id;
    const int32_t id = model_.vocabulary().Find(token);
    return id < 0 ? std::nullopt : std::optional(id);
  }

  bool IsSpecial(int32_t id) const override {
    const AddedToken* token = FindAdded(id);
    return token != nullptr && token->special;
  }

  bool StripsLeadingSpace() const override { return decoder_.StripsLeadingSpace(); }

  int vocab_size() const override { return static_cast<int>(bytes_.size()); }

 private:
  const AddedToken* FindAdded(int32_t id) const {
    const auto it = added_by_id_.find(id);
    return it == added_by_id_.end() ? nullptr : it->second;
  }

  // What the decoders are given: a token that was looked for in normalized text is handed over as
  // it stood there, so that they can undo the normalization.
  std::optional<std::string> DecodedSpelling(int32_t id) const {
    if (const AddedToken* token = FindAdded(id)) return token->pattern;
    if (model_.vocabulary().Has(id)) return model_.vocabulary().token(id);
    return {};
  }

  void EncodeValid(std::string_view text, bool parse_special, std::vector<int32_t>* ids) const {
    const auto scratch = Bpe::MakeScratch();
    std::vector<TextSegment> segments;
    std::vector<TextSegment> inner;
    added_.Split(text, /*normalized=*/false, parse_special, &segments);
    for (const TextSegment& segment : segments) {
      if (segment.id >= 0) {
        ids->push_back(segment.id);
        continue;
      }
      NormalizedText normalized{
          std::string(text.substr(segment.begin, segment.end - segment.begin)),
          segment.begin == 0 ? DecodeUtf8(text, 0).num_bytes : 0};
      Normalize(normalizers_, &normalized);
      inner.clear();
      added_.Split(normalized.text, /*normalized=*/true, parse_special, &inner);
      for (const TextSegment& part : inner) {
        if (part.id >= 0) {
          ids->push_back(part.id);
        } else {
          EncodePlain({normalized.text.substr(part.begin, part.end - part.begin),
                       normalized.origin_bytes - std::min(normalized.origin_bytes, part.begin)},
                      scratch.get(), ids);
        }
      }
    }
  }

  void EncodePlain(NormalizedText text, Bpe::Scratch* scratch, std::vector<int32_t>* ids) const {
    PieceList list(std::move(text));
    for (const PreTokenizerPtr& stage : pre_tokenizers_) stage->Apply(&list);
    for (const PieceList::Piece& piece : list.pieces) {
      model_.Encode(list.View(piece), scratch, ids);
    }
  }

  std::vector<NormalizerPtr> normalizers_;
  std::vector<PreTokenizerPtr> pre_tokenizers_;
  Bpe model_;
  SpecialTokenFrame frame_;
  DecoderChain decoder_;
  AddedTokens added_;
  std::unordered_map<int32_t, const AddedToken*> added_by_id_;                // into added_
  std::unordered_map<std::string_view, const AddedToken*> added_by_content_;  // into added_
  std::vector<std::string> bytes_;                                            // TokenBytes by id
};

// Settles each added token's id with the model's vocabulary and fills in its pattern.
Result<std::vector<AddedToken>> ResolveAddedTokens(const TokenizerParts& parts) {
  const Vocabulary& vocabulary = parts.model.vocabulary();
  std::unordered_map<int32_t, std::string> owner;
  std::unordered_map<std::string, int32_t> ids;
  std::vector<AddedToken> resolved;
  for (AddedToken token : parts.added_tokens) {
    if (token.content.empty()) continue;
    // The vocabulary's id wins, as in Hugging Face's loader.
    if (const int32_t id = vocabulary.Find(token.content); id >= 0) token.id = id;
    if (token.id < 0 || token.id > Vocabulary::kMaxId) {
      return InvalidArgument("added token '" + token.content + "' has id " +
                             std::to_string(token.id) + ", out of range");
    }
    if (vocabulary.Has(token.id) && vocabulary.token(token.id) != token.content) {
      return InvalidArgument("added token '" + token.content + "' claims id " +
                             std::to_string(token.id) + " of '" + vocabulary.token(token.id) + "'");
    }
    const auto [by_content, new_content] = ids.emplace(token.content, token.id);
    if (!new_content && by_content->second == token.id) continue;  // listed twice
    const auto [by_id, new_id] = owner.emplace(token.id, token.content);
    if (!new_id || !new_content) {
      return InvalidArgument("added tokens '" + by_id->second + "' and '" + token.content +
                             "' conflict over id " + std::to_string(token.id));
    }
    if (token.pattern.empty()) {
      NormalizedText text{token.content};
      if (token.normalized) Normalize(parts.normalizers, &text);
      token.pattern = std::move(text.text);
    }
    resolved.push_back(std::move(token));
  }
  return resolved;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> MakePipelineTokenizer(TokenizerParts parts) {
  RA_ASSIGN_OR_RETURN(std::vector<AddedToken> added_tokens, ResolveAddedTokens(parts));
  return std::unique_ptr<Tokenizer>(
      std::make_unique<PipelineTokenizer>(std::move(parts), std::move(added_tokens)));
}

}  // namespace runahead

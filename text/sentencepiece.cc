// A SentencePiece BPE model becomes the same pipeline as a tokenizer.json: a normalizer, no
// pre-tokenizer, merges ranked by score. Text between special tokens is normalized piece by piece,
// as Hugging Face's conversion of such models does, so each gets its own dummy prefix.
#include "text/sentencepiece.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "text/sentencepiece_normalizer.h"
#include "text/sentencepiece_proto.h"
#include "text/tokenizer_pipeline.h"
#include "text/unicode.h"

namespace runahead {
namespace {

// The pairs of a piece cost the square of its length; real ones have at most 16 characters.
constexpr size_t kMaxPieceBytes = 256;

using Piece = SentencePieceModel::Piece;

Status CheckModel(const SentencePieceModel& model) {
  if (model.model_type != SentencePieceModel::kBpe) {
    return InvalidArgument("tokenizer.model: model_type " + std::to_string(model.model_type) +
                           " is not supported, only BPE (2) is");
  }
  if (model.treat_whitespace_as_suffix) {
    return InvalidArgument("tokenizer.model: treat_whitespace_as_suffix is not supported");
  }
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& piece = model.pieces[id];
    const std::string name = "tokenizer.model: piece " + std::to_string(id);
    if (piece.text.empty() || !IsValidUtf8(piece.text)) {
      return InvalidArgument(name + " is empty or not UTF-8");
    }
    if (piece.type == SentencePieceModel::kNormal && piece.text.size() > kMaxPieceBytes) {
      return InvalidArgument(name + " is longer than " + std::to_string(kMaxPieceBytes) + " bytes");
    }
    if (!std::isfinite(piece.score)) return InvalidArgument(name + " has no finite score");
    if (piece.type < SentencePieceModel::kNormal || piece.type > SentencePieceModel::kByte ||
        piece.type == SentencePieceModel::kUnused) {
      return InvalidArgument(name + " has type " + std::to_string(piece.type) +
                             ", which is not supported");
    }
  }
  return Status();
}

Result<Vocabulary> MakeVocabulary(const SentencePieceModel& model) {
  std::vector<std::pair<std::string, int64_t>> tokens;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    tokens.emplace_back(model.pieces[id].text, static_cast<int64_t>(id));
  }
  Result<Vocabulary> vocabulary = Vocabulary::Build(std::move(tokens));
  if (!vocabulary.ok()) {
    return InvalidArgument("tokenizer.model: " + vocabulary.status().message());
  }
  return vocabulary;
}

// Every way to put a normal piece together from two others, ranked by the piece's score:
// SentencePiece merges whatever two neighbours make a piece, best score first. Control, unknown and
// byte pieces are not made by merging, so no text can spell its way to them.
std::vector<BpeMerge> MakeMerges(const SentencePieceModel& model, const Vocabulary& vocabulary) {
  const auto score = [&model](int32_t id) { return model.pieces[static_cast<size_t>(id)].score; };
  const auto is_mergeable = [&model](int32_t id) {
    return id >= 0 && model.pieces[static_cast<size_t>(id)].type == SentencePieceModel::kNormal;
  };
  std::vector<int32_t> order(model.pieces.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int32_t a, int32_t b) { return score(a) > score(b); });
  std::vector<BpeMerge> merges;
  uint32_t rank = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    const int32_t id = order[i];
    if (i > 0 && score(id) < score(order[i - 1])) ++rank;
    if (!is_mergeable(id)) continue;
    const std::string_view text = model.pieces[static_cast<size_t>(id)].text;
    for (size_t cut = DecodeUtf8(text, 0).num_bytes; cut < text.size();
         cut += DecodeUtf8(text, cut).num_bytes) {
      const int32_t left = vocabulary.Find(text.substr(0, cut));
      const int32_t right = vocabulary.Find(text.substr(cut));
      if (is_mergeable(left) && is_mergeable(right)) merges.push_back({left, right, id, rank});
    }
  }
  return merges;
}

std::vector<AddedToken> MakeAddedTokens(const SentencePieceModel& model, StringTrie* user_defined) {
  std::vector<AddedToken> added;
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    const Piece& piece = model.pieces[i];
    AddedToken token;
    token.content = piece.text;
    token.id = static_cast<int32_t>(i);
    token.pattern = piece.text;
    if (piece.type == SentencePieceModel::kControl || piece.type == SentencePieceModel::kUnknown) {
      token.special = true;
    } else if (piece.type == SentencePieceModel::kUserDefined) {
      // SentencePiece looks for these in the normalized text.
      token.normalized = true;
      user_defined->Add(piece.text, token.id);
    } else {
      continue;
    }
    added.push_back(std::move(token));
  }
  return added;
}

std::vector<DecoderPtr> MakeDecoders(const SentencePieceModel& model) {
  std::vector<DecoderPtr> decoders;
  decoders.push_back(MakeReplaceDecoder(Pattern("\xE2\x96\x81"), " "));
  decoders.push_back(MakeByteFallbackDecoder());
  decoders.push_back(MakeFuseDecoder());
  if (model.add_dummy_prefix) decoders.push_back(MakeStripDecoder(" ", 1, 0));
  return decoders;
}

SpecialTokenFrame MakeFrame(const SentencePieceModel& model, SentencePieceOptions options) {
  const auto is_piece = [&model](int64_t id) {
    return id >= 0 && id < static_cast<int64_t>(model.pieces.size());
  };
  SpecialTokenFrame frame;
  if (options.add_bos && is_piece(model.bos_id)) {
    frame.prefix.push_back(static_cast<int32_t>(model.bos_id));
  }
  if (options.add_eos && is_piece(model.eos_id)) {
    frame.suffix.push_back(static_cast<int32_t>(model.eos_id));
  }
  return frame;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> MakeSentencePieceTokenizer(std::string_view bytes,
                                                              SentencePieceOptions options) {
  RA_ASSIGN_OR_RETURN(const SentencePieceModel model, ReadSentencePieceProto(bytes));
  RA_RETURN_IF_ERROR(CheckModel(model));
  RA_ASSIGN_OR_RETURN(Vocabulary vocabulary, MakeVocabulary(model));
  const std::vector<BpeMerge> merges = MakeMerges(model, vocabulary);
  SentencePieceRules rules;
  RA_ASSIGN_OR_RETURN(rules.map, CharacterMap::Parse(model.precompiled_charsmap));
  rules.add_dummy_prefix = model.add_dummy_prefix;
  rules.remove_extra_whitespaces = model.remove_extra_whitespaces;
  rules.escape_whitespaces = model.escape_whitespaces;
  std::vector<AddedToken> added = MakeAddedTokens(model, &rules.user_defined);
  BpeOptions bpe = {.byte_fallback = model.byte_fallback, .fuse_unknown = true};
  const auto unknown = std::ranges::find(model.pieces, SentencePieceModel::kUnknown, &Piece::type);
  if (unknown != model.pieces.end()) {
    bpe.unknown_id = static_cast<int32_t>(unknown - model.pieces.begin());
  }
  std::vector<NormalizerPtr> normalizers;
  normalizers.push_back(MakeSentencePieceNormalizer(std::move(rules)));
  return MakePipelineTokenizer({.added_tokens = std::move(added),
                                .normalizers = std::move(normalizers),
                                .pre_tokenizers = {},
                                .model = Bpe(std::move(vocabulary), merges, bpe),
                                .frame = MakeFrame(model, options),
                                .decoder = DecoderChain(MakeDecoders(model))});
}

Result<std::unique_ptr<Tokenizer>> ParseSentencePieceModel(std::string_view bytes) {
  return MakeSentencePieceTokenizer(bytes, SentencePieceOptions());
}

}  // namespace runahead

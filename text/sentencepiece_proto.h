// Reads the Protobuf wire format of a SentencePiece model, without Protobuf. Stateless.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace runahead {

// The fields of sentencepiece_model.proto that change how text is encoded; the others are skipped.
struct SentencePieceModel {
  enum PieceType {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6
  };
  enum ModelType { kUnigram = 1, kBpe = 2, kWord = 3, kChar = 4 };

  struct Piece {
    std::string text;
    float score = 0;
    int type = kNormal;
  };
  std::vector<Piece> pieces;  // by id

  // trainer_spec; the defaults are the proto's
  int model_type = kUnigram;
  bool treat_whitespace_as_suffix = false;
  bool byte_fallback = false;
  int64_t bos_id = 1;
  int64_t eos_id = 2;

  // normalizer_spec
  std::string precompiled_charsmap;  // empty: identity
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
};

// kInvalidArgument for bytes that are no such message.
Result<SentencePieceModel> ReadSentencePieceProto(std::string_view bytes);

}  // namespace runahead

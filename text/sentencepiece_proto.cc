#include "text/sentencepiece_proto.h"

#include <bit>
#include <utility>

namespace runahead {
namespace {

enum WireType { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

struct Field {
  uint64_t number = 0;
  int wire_type = 0;
  uint64_t value = 0;      // varint and fixed fields
  std::string_view bytes;  // length-delimited fields
};

// Walks the fields of one message; every read is checked against the end.
class MessageReader {
 public:
  explicit MessageReader(std::string_view bytes) : bytes_(bytes) {}

  // False at the end or at the first malformed field; `ok` tells which.
  bool Next(Field* field) {
    if (bytes_.empty()) return false;
    uint64_t tag = 0;
    ok_ = ReadVarint(&tag) && ReadValue(tag, field);
    return ok_;
  }

  bool ok() const { return ok_; }

 private:
  bool ReadVarint(uint64_t* value) {
    *value = 0;
    for (int shift = 0; shift < 64 && !bytes_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes_.front());
      bytes_.remove_prefix(1);
      *value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) return true;
    }
    return false;
  }

  bool ReadFixed(size_t num_bytes, uint64_t* value) {
    if (bytes_.size() < num_bytes) return false;
    *value = 0;
    for (size_t i = num_bytes; i-- > 0;) {
      *value = *value << 8 | static_cast<unsigned char>(bytes_[i]);
    }
    bytes_.remove_prefix(num_bytes);
    return true;
  }

  bool ReadValue(uint64_t tag, Field* field) {
    *field = {.number = tag >> 3, .wire_type = static_cast<int>(tag & 7), .value = 0, .bytes = {}};
    switch (field->wire_type) {
      case kVarint:
        return ReadVarint(&field->value);
      case kFixed64:
        return ReadFixed(8, &field->value);
      case kFixed32:
        return ReadFixed(4, &field->value);
      case kLengthDelimited: {
        uint64_t length = 0;
        if (!ReadVarint(&length) || length > bytes_.size()) return false;
        field->bytes = bytes_.substr(0, length);
        bytes_.remove_prefix(length);
        return true;
      }
      default:
        return false;  // groups were never used here
    }
  }

  std::string_view bytes_;
  bool ok_ = true;
};

bool ReadPiece(std::string_view bytes, SentencePieceModel::Piece* piece) {
  MessageReader reader(bytes);
  for (Field field; reader.Next(&field);) {
    if (field.number == 1 && field.wire_type == kLengthDelimited) {
      piece->text = std::string(field.bytes);
    } else if (field.number == 2 && field.wire_type == kFixed32) {
      piece->score = std::bit_cast<float>(static_cast<uint32_t>(field.value));
    } else if (field.number == 3 && field.wire_type == kVarint) {
      piece->type = static_cast<int>(field.value);
    }
  }
  return reader.ok();
}

bool ReadTrainerSpec(std::string_view bytes, SentencePieceModel* model) {
  MessageReader reader(bytes);
  for (Field field; reader.Next(&field);) {
    if (field.wire_type != kVarint) continue;
    if (field.number == 3) model->model_type = static_cast<int>(field.value);
    if (field.number == 24) model->treat_whitespace_as_suffix = field.value != 0;
    if (field.number == 35) model->byte_fallback = field.value != 0;
    if (field.number == 41) model->bos_id = static_cast<int64_t>(field.value);
    if (field.number == 42) model->eos_id = static_cast<int64_t>(field.value);
  }
  return reader.ok();
}

bool ReadNormalizerSpec(std::string_view bytes, SentencePieceModel* model) {
  MessageReader reader(bytes);
  for (Field field; reader.Next(&field);) {
    if (field.number == 2 && field.wire_type == kLengthDelimited) {
      model->precompiled_charsmap = std::string(field.bytes);
    }
    if (field.wire_type != kVarint) continue;
    if (field.number == 3) model->add_dummy_prefix = field.value != 0;
    if (field.number == 4) model->remove_extra_whitespaces = field.value != 0;
    if (field.number == 5) model->escape_whitespaces = field.value != 0;
  }
  return reader.ok();
}

}  // namespace

Result<SentencePieceModel> ReadSentencePieceProto(std::string_view bytes) {
  SentencePieceModel model;
  MessageReader reader(bytes);
  bool ok = true;
  for (Field field; ok && reader.Next(&field);) {
    if (field.wire_type != kLengthDelimited) continue;
    if (field.number == 1) {
      SentencePieceModel::Piece piece;
      ok = ReadPiece(field.bytes, &piece);
      model.pieces.push_back(std::move(piece));
    } else if (field.number == 2) {
      ok = ReadTrainerSpec(field.bytes, &model);
    } else if (field.number == 3) {
      ok = ReadNormalizerSpec(field.bytes, &model);
    }
  }
  if (!ok || !reader.ok()) {
    return InvalidArgument("tokenizer.model is truncated or no Protobuf message");
  }
  if (model.pieces.empty()) return InvalidArgument("tokenizer.model has no pieces");
  return model;
}

}  // namespace runahead

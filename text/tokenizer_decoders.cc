#include "text/tokenizer_decoders.h"

#include <optional>
#include <utility>

#include "text/tokenizer_byte_level.h"
#include "text/unicode.h"

namespace runahead {
namespace {

constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

std::string Join(const std::vector<std::string>& tokens, std::string_view separator) {
  std::string joined;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) joined.append(separator);
    joined.append(tokens[i]);
  }
  return joined;
}

std::string ReplaceAll(const Pattern& pattern, const std::string& content,
                       const std::string& text) {
  std::vector<Stretch> stretches;
  pattern.FindAll(text, &stretches);
  std::string out;
  for (const Stretch& stretch : stretches) {
    if (stretch.is_match) {
      out.append(content);
    } else {
      out.append(text, stretch.begin, stretch.end - stretch.begin);
    }
  }
  return out;
}

class ByteLevelDecoder final : public Decoder {
 public:
  void Decode(std::vector<std::string>* tokens) const override {
    std::string bytes;
    for (std::string& token : *tokens) bytes.append(Middle(std::move(token), false));
    *tokens = {LossyUtf8(bytes)};
  }
  std::string Middle(std::string token, bool /*fused*/) const override {
    if (!IsValidUtf8(token)) return token;
    std::optional<std::string> bytes = BytesOfByteLevel(token);
    return bytes ? *std::move(bytes) : token;
  }
  bool Fuses() const override { return true; }
};

std::optional<char> ByteOfFallbackToken(std::string_view token) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
  };
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return {};
  const int high = digit(token[3]);
  const int low = digit(token[4]);
  if (high < 0 || low < 0) return {};
  return static_cast<char>(high * 16 + low);
}

class ByteFallbackDecoder final : public Decoder {
 public:
  void Decode(std::vector<std::string>* tokens) const override {
    std::vector<std::string> out;
    std::string bytes;
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (IsValidUtf8(bytes)) {
        out.push_back(bytes);
      } else {
        for (size_t i = 0; i < bytes.size(); ++i) out.emplace_back(kReplacementCharacter);
      }
      bytes.clear();
    };
    for (std::string& token : *tokens) {
      if (const std::optional<char> byte = ByteOfFallbackToken(token)) {
        bytes.push_back(*byte);
      } else {
        flush();
        out.push_back(std::move(token));
      }
    }
    flush();
    *tokens = std::move(out);
  }
  std::string Middle(std::string token, bool /*fused*/) const override {
    const std::optional<char> byte = ByteOfFallbackToken(token);
    return byte ? std::string(1, *byte) : token;
  }
};

class FuseDecoder final : public Decoder {
 public:
  void Decode(std::vector<std::string>* tokens) const override { *tokens = {Join(*tokens, "")}; }
  std::string Middle(std::string token, bool /*fused*/) const override { return token; }
  bool Fuses() const override { return true; }
};

class ReplaceDecoder final : public Decoder {
 public:
  ReplaceDecoder(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  void Decode(std::vector<std::string>* tokens) const override {
    for (std::string& token : *tokens) token = ReplaceAll(pattern_, content_, token);
  }
  std::string Middle(std::string token, bool /*fused*/) const override {
    // Part of a character: the pattern is for whole ones.
    return IsValidUtf8(token) ? ReplaceAll(pattern_, content_, token) : token;
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class StripDecoder final : public Decoder {
 public:
  StripDecoder(std::string content, size_t max_start, size_t max_stop)
      : content_(std::move(content)), max_start_(max_start), max_stop_(max_stop) {}

  void Decode(std::vector<std::string>* tokens) const override {
    for (std::string& token : *tokens) token = Strip(token);
  }
  std::string Middle(std::string token, bool fused) const override {
    return fused ? token
                 : Strip(token);  // once fused, only the ends of the whole text are stripped
  }
  bool StripsLeadingSpace(bool fused) const override {
    return fused && max_start_ > 0 && content_ == " ";
  }

 private:
  std::string Strip(std::string_view token) const {
    for (size_t i = 0; i < max_start_ && token.starts_with(content_); ++i) {
      token.remove_prefix(content_.size());
    }
    for (size_t i = 0; i < max_stop_ && token.ends_with(content_); ++i) {
      token.remove_suffix(content_.size());
    }
    return std::string(token);
  }

  std::string content_;  // one character
  size_t max_start_;
  size_t max_stop_;
};

class MetaspaceDecoder final : public Decoder {
 public:
  MetaspaceDecoder(std::string replacement, bool drops_first)
      : replacement_(std::move(replacement)), drops_first_(drops_first) {}

  void Decode(std::vector<std::string>* tokens) const override {
    bool first = true;
    for (std::string& token : *tokens) {
      token = ReplaceAll(replacement_, first && drops_first_ ? "" : " ", token);
      first = false;
    }
  }
  std::string Middle(std::string token, bool /*fused*/) const override {
    return ReplaceAll(replacement_, " ", token);
  }
  bool StripsLeadingSpace(bool /*fused*/) const override { return drops_first_; }

 private:
  static std::string ReplaceAll(const std::string& from, const std::string& to,
                                const std::string& text) {
    return runahead::ReplaceAll(Pattern(from), to, text);
  }

  std::string replacement_;
  bool drops_first_;
};

bool AnyStripsLeadingSpace(const std::vector<DecoderPtr>& stages) {
  bool fused = false;
  for (const DecoderPtr& stage : stages) {
    if (stage->StripsLeadingSpace(fused)) return true;
    fused = fused || stage->Fuses();
  }
  return stages.empty();
}

}  // namespace

DecoderPtr MakeByteLevelDecoder() { return std::make_unique<ByteLevelDecoder>(); }

DecoderPtr MakeByteFallbackDecoder() { return std::make_unique<ByteFallbackDecoder>(); }

DecoderPtr MakeFuseDecoder() { return std::make_unique<FuseDecoder>(); }

DecoderPtr MakeReplaceDecoder(Pattern pattern, std::string content) {
  return std::make_unique<ReplaceDecoder>(std::move(pattern), std::move(content));
}

DecoderPtr MakeStripDecoder(std::string content, size_t max_start, size_t max_stop) {
  return std::make_unique<StripDecoder>(std::move(content), max_start, max_stop);
}

DecoderPtr MakeMetaspaceDecoder(std::string replacement, bool drops_first) {
  return std::make_unique<MetaspaceDecoder>(std::move(replacement), drops_first);
}

DecoderChain::DecoderChain(std::vector<DecoderPtr> stages)
    : stages_(std::move(stages)), strips_leading_space_(AnyStripsLeadingSpace(stages_)) {}

std::string DecoderChain::Decode(std::vector<std::string> tokens) const {
  for (const DecoderPtr& stage : stages_) stage->Decode(&tokens);
  return Join(tokens, stages_.empty() ? " " : "");
}

std::string DecoderChain::Middle(std::string token) const {
  if (stages_.empty()) return " " + token;
  bool fused = false;
  for (const DecoderPtr& stage : stages_) {
    token = stage->Middle(std::move(token), fused);
    fused = fused || stage->Fuses();
  }
  return token;
}

}  // namespace runahead

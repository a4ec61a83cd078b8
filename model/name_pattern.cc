#include "model/name_pattern.h"

#include <array>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace runahead {
namespace {

constexpr std::string_view kRegexPrefix = "re:";
// A module's name has some 40 characters; what needs more steps for one is an attack or an error.
constexpr uint32_t kMaxSteps = 10'000;
constexpr size_t kMaxPatternBytes = 4096;

Status RefusePattern(const std::string& pattern, const std::string& why) {
  return InvalidArgument("the pattern \"" + pattern.substr(0, 200) + "\" " + why);
}

}  // namespace

Result<NamePattern> NamePattern::Parse(const std::string& text) {
  NamePattern pattern(text);
  if (!text.starts_with(kRegexPrefix)) return pattern;
  if (text.size() > kMaxPatternBytes) return RefusePattern(text, "is longer than 4096 bytes");
  const std::string_view expression = std::string_view(text).substr(kRegexPrefix.size());
  int error = 0;
  PCRE2_SIZE at = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                    PCRE2_ANCHORED | PCRE2_NEVER_BACKSLASH_C, &error, &at, nullptr);
  if (code == nullptr) {
    std::array<PCRE2_UCHAR, 256> message = {};
    pcre2_get_error_message(error, message.data(), message.size());
    return RefusePattern(text, std::string("is no regular expression: ") +
                                   reinterpret_cast<const char*>(message.data()));
  }
  pattern.code_ = std::shared_ptr<const void>(
      code, [](const void* p) { pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(p))); });
  return pattern;
}

Result<bool> NamePattern::MatchesName(std::string_view name) const {
  if (!is_regex()) return text_ == name;
  const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> match(
      pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
  const std::unique_ptr<pcre2_match_context, void (*)(pcre2_match_context*)> context(
      pcre2_match_context_create(nullptr), pcre2_match_context_free);
  pcre2_set_match_limit(context.get(), kMaxSteps);
  pcre2_set_depth_limit(context.get(), kMaxSteps);
  const int count = pcre2_match(static_cast<const pcre2_code*>(code_.get()),
                                reinterpret_cast<PCRE2_SPTR>(name.data()), name.size(), 0, 0,
                                match.get(), context.get());
  if (count >= 0) return true;
  if (count == PCRE2_ERROR_NOMATCH) return false;
  return RefusePattern(text_, "takes too long to match \"" + std::string(name) + "\"");
}

}  // namespace runahead

#include "text/tokenizer_regex.h"

#include <array>
#include <cctype>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "text/unicode.h"

namespace runahead {
namespace {

// Class contents, as Oniguruma has them for UTF-8. PCRE2's own \s adds U+180E and its \w (10.42)
// lacks marks and connectors; Oniguruma's \w adds the Latin-1 superscripts and fractions.
constexpr std::string_view kSpace =
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}"
    "\\x{202f}\\x{205f}\\x{3000}";
constexpr std::string_view kNotSpace =
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}"
    "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{"
    "10ffff}";
constexpr std::string_view kWord =
    "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}";
constexpr std::string_view kHexDigit = "0-9a-fA-F";  // \h is horizontal space to PCRE2

// The class content of \s, \w or \h (either case), or empty.
std::string_view ClassContent(char letter) {
  switch (std::tolower(static_cast<unsigned char>(letter))) {
    case 's':
      return kSpace;
    case 'w':
      return kWord;
    case 'h':
      return kHexDigit;
    default:
      return {};
  }
}

// The class content of a POSIX bracket, "[:punct:]", or empty.
std::string_view PosixContent(std::string_view name) {
  if (name == "[:space:]") return kSpace;
  if (name == "[:word:]") return kWord;
  if (name == "[:xdigit:]") return kHexDigit;
  if (name == "[:punct:]") return "\\p{P}\\p{S}";
  if (name == "[:alpha:]") return "\\p{Alphabetic}";
  if (name == "[:digit:]") return "\\p{Nd}";
  if (name == "[:alnum:]") return "\\p{Alphabetic}\\p{Nd}";
  if (name == "[:upper:]") return "\\p{Uppercase}";
  if (name == "[:lower:]") return "\\p{Lowercase}";
  return {};
}

Status Refuse(std::string_view pattern, std::string_view what) {
  return InvalidArgument("pattern '" + std::string(pattern) + "': " + std::string(what) +
                         " not supported");
}

bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }

// Translates the class that starts at `at`, which is left behind its ']'.
Status TranslateClass(std::string_view pattern, size_t* at, std::string* out) {
  size_t i = *at;
  out->push_back(pattern[i++]);  // '['
  if (i < pattern.size() && pattern[i] == '^') out->push_back(pattern[i++]);
  bool first = true;
  for (; i < pattern.size(); first = false) {
    const char c = pattern[i];
    if (c == ']' && !first) {
      out->push_back(c);
      *at = i + 1;
      return Status();
    }
    if (c == '&' && pattern.substr(i, 2) == "&&") return Refuse(pattern, "class intersections are");
    if (c == '[') {
      const size_t close = pattern.find(":]", i);
      const std::string_view name = pattern.substr(
          i, close == std::string_view::npos ? std::string_view::npos : close + 2 - i);
      if (!name.starts_with("[:")) return Refuse(pattern, "nested classes are");
      if (PosixContent(name).empty()) return Refuse(pattern, std::string(name) + " is");
      out->append(PosixContent(name));
      i = close + 2;
    } else if (c == '\\' && i + 1 < pattern.size()) {
      const char letter = pattern[i + 1];
      if (const std::string_view content = ClassContent(letter); content.empty()) {
        out->append(pattern.substr(i, 2));
      } else if (!IsUpper(letter)) {
        out->append(content);
      } else if (letter == 'S') {
        out->append(kNotSpace);
      } else {
        return Refuse(pattern, "a negated \\w or \\h inside a class is");
      }
      i += 2;
    } else {
      out->push_back(c);
      ++i;
    }
  }
  return Refuse(pattern, "an unterminated class is");
}

using MatchData = std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)>;
using MatchContext = std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)>;
using JitStack = std::unique_ptr<pcre2_jit_stack, decltype(&pcre2_jit_stack_free)>;

constexpr size_t kJitStackBytes = size_t{32} << 10;
constexpr size_t kMaxJitStackBytes = size_t{8} << 20;  // a long run that backtracks uses some

}  // namespace

Result<std::string> OnigurumaToPcre2(std::string_view pattern) {
  std::string out;
  for (size_t i = 0; i < pattern.size();) {
    const char c = pattern[i];
    if (c == '[') {
      RA_RETURN_IF_ERROR(TranslateClass(pattern, &i, &out));
    } else if (c == '\\' && i + 1 < pattern.size()) {
      const char letter = pattern[i + 1];
      if (const std::string_view content = ClassContent(letter); content.empty()) {
        out.append(pattern.substr(i, 2));
      } else {
        out.append(IsUpper(letter) ? "[^" : "[").append(content).append("]");
      }
      i += 2;
    } else if (pattern.substr(i, 3) == "(?m") {
      return Refuse(pattern, "(?m) is");  // dot-all to Oniguruma, ^ and $ to PCRE2
    } else {
      out.push_back(c);
      ++i;
    }
  }
  return out;
}

struct Regex::Compiled {
  std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> code{nullptr, pcre2_code_free};
};

Regex::Regex(std::unique_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

Result<Regex> Regex::Compile(std::string_view pattern) {
  if (!IsValidUtf8(pattern)) return InvalidArgument("a pattern is not valid UTF-8");
  RA_ASSIGN_OR_RETURN(const std::string translated, OnigurumaToPcre2(pattern));
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), 100);
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto compiled = std::make_unique<Compiled>();
  compiled->code.reset(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                    &offset, context.get()));
  if (compiled->code == nullptr) {
    std::array<PCRE2_UCHAR, 256> message = {};
    pcre2_get_error_message(error, message.data(), message.size());
    return InvalidArgument("pattern '" + std::string(pattern) +
                           "' does not compile: " + reinterpret_cast<const char*>(message.data()));
  }
  // Without JIT (some hardened kernels forbid it) the interpreter gives the same matches.
  static_cast<void>(pcre2_jit_compile(compiled->code.get(), PCRE2_JIT_COMPLETE));
  return Regex(std::move(compiled));
}

void Regex::FindAll(std::string_view text, std::vector<Stretch>* stretches) const {
  const MatchData match(pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
  MatchContext context(nullptr, pcre2_match_context_free);
  JitStack stack(nullptr, pcre2_jit_stack_free);
  const pcre2_code* code = compiled_->code.get();
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  size_t covered = 0;  // end of the last match
  bool matched_before = false;
  for (size_t at = 0; at <= text.size() && !text.empty();) {
    // The text is known to be valid; checking it again at every match would cost its square.
    int count =
        pcre2_match(code, subject, text.size(), at, PCRE2_NO_UTF_CHECK, match.get(), context.get());
    if (count == PCRE2_ERROR_JIT_STACKLIMIT && context == nullptr) {
      // The machine stack's 32 KiB do for nearly every text, so a larger one is made on demand.
      context.reset(pcre2_match_context_create(nullptr));
      stack.reset(pcre2_jit_stack_create(kJitStackBytes, kMaxJitStackBytes, nullptr));
      pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
      continue;
    }
    if (count == PCRE2_ERROR_JIT_STACKLIMIT) {
      count = pcre2_match(code, subject, text.size(), at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                          match.get(), context.get());
    }
    if (count < 0) break;
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match.get());
    const size_t begin = bounds[0];
    const size_t end = bounds[1];
    if (end < begin) break;  // \K inside a look-around
    if (begin == end && matched_before && end == covered) {
      // An empty match right behind the last one would not advance.
      at = end < text.size() ? end + DecodeUtf8(text, end).num_bytes : end + 1;
      continue;
    }
    if (covered < begin) stretches->push_back({covered, begin, false});
    stretches->push_back({begin, end, true});
    covered = end;
    matched_before = true;
    at = end;
  }
  if (covered < text.size()) stretches->push_back({covered, text.size(), false});
}

}  // namespace runahead

#include "text/tokenizer_regex.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

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

// One search through one text: what PCRE2 needs for it, made only as it is needed.
class Search {
 public:
  Search(const pcre2_code* code, std::string_view text)
      : code_(code), text_(text), match_(pcre2_match_data_create(1, nullptr)) {
    // PCRE2 allows 10 million steps back, which a run of that many spaces takes in all honesty.
    if (text.size() >= kLongTextBytes) {
      context_.reset(pcre2_match_context_create(nullptr));
      pcre2_set_match_limit(
          context_.get(), kDefaultMatchLimit + static_cast<uint32_t>(std::min<size_t>(
                                                   text.size(), UINT32_MAX - kDefaultMatchLimit)));
    }
  }

  // The first match from `at` on, or nothing. The text is known to be valid UTF-8; checking it
  // again at every match would cost its square.
  std::optional<Stretch> Next(size_t at) {
    int count = Match(at, PCRE2_NO_UTF_CHECK);
    if (count == PCRE2_ERROR_JIT_STACKLIMIT && stack_ == nullptr) {
      // The machine stack's 32 KiB do for nearly every text, so a larger one is made on demand.
      if (context_ == nullptr) context_.reset(pcre2_match_context_create(nullptr));
      stack_.reset(pcre2_jit_stack_create(kJitStackBytes, kMaxJitStackBytes, nullptr));
      pcre2_jit_stack_assign(context_.get(), nullptr, stack_.get());
      count = Match(at, PCRE2_NO_UTF_CHECK);
    }
    if (count == PCRE2_ERROR_JIT_STACKLIMIT) count = Match(at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT);
    if (count < 0) return {};
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match_.get());
    if (bounds[0] < at || bounds[1] < bounds[0]) return {};  // \K in odd places
    return Stretch{bounds[0], bounds[1], true};
  }

 private:
  struct Free {
    void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
    void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
    void operator()(pcre2_jit_stack* stack) const { pcre2_jit_stack_free(stack); }
  };
  static constexpr size_t kLongTextBytes = size_t{1} << 20;
  static constexpr uint32_t kDefaultMatchLimit = 10'000'000;
  static constexpr size_t kJitStackBytes = size_t{32} << 10;
  static constexpr size_t kMaxJitStackBytes = size_t{8} << 20;

  int Match(size_t at, uint32_t options) {
    return pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text_.data()), text_.size(), at, options,
                       match_.get(), context_.get());
  }

  const pcre2_code* code_;
  std::string_view text_;
  std::unique_ptr<pcre2_match_data, Free> match_;
  std::unique_ptr<pcre2_match_context, Free> context_;
  std::unique_ptr<pcre2_jit_stack, Free> stack_;
};

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
  if (text.empty()) return;
  Search search(compiled_->code.get(), text);
  size_t covered = 0;  // end of the last match
  bool matched_before = false;
  for (size_t at = 0; at <= text.size();) {
    const std::optional<Stretch> match = search.Next(at);
    if (!match) break;
    if (match->begin == match->end && matched_before && match->end == covered) {
      // An empty match right behind the last one would not advance.
      at = covered < text.size() ? covered + DecodeUtf8(text, covered).num_bytes : covered + 1;
      continue;
    }
    if (covered < match->begin) stretches->push_back({covered, match->begin, false});
    stretches->push_back(*match);
    covered = match->end;
    matched_before = true;
    at = covered;
  }
  if (covered < text.size()) stretches->push_back({covered, text.size(), false});
}

}  // namespace runahead

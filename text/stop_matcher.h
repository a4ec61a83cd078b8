// StopMatcher: finds the first stop string in a text that arrives in pieces. One I/O thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace runahead {

// The compiled strings (an Aho-Corasick automaton): shared by the choices of a request. Immutable.
class StopStrings {
 public:
  // Empty strings are ignored. Cost is linear in the strings' total length.
  explicit StopStrings(const std::vector<std::string>& strings);
  ~StopStrings();
  StopStrings(StopStrings&&) noexcept;
  StopStrings& operator=(StopStrings&&) noexcept;

  bool empty() const;

 private:
  friend class StopMatcher;
  struct Automaton;
  std::unique_ptr<const Automaton> automaton_;
};

// Text that could be the start of a stop string is held back. The match that *ends* first wins; of
// those ending at one byte, the longest.
class StopMatcher {
 public:
  explicit StopMatcher(const StopStrings& strings);  // outlives the matcher

  struct Output {
    std::string text;               // certain to come before any stop string
    std::optional<int> stop_index;  // the string that matched: nothing may follow
  };

  // Feeds `text`; once stop_index was returned, feed nothing more. With `include_stop` the matched
  // string is part of the returned text.
  Output Push(std::string_view text, bool include_stop);

  // What is held back, at the end of a stream that met no stop string.
  std::string Finish();

 private:
  const StopStrings& strings_;
  int state_ = 0;
  std::string held_;
};

}  // namespace runahead

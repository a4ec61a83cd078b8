#include "text/stop_matcher.h"

#include <ctime>
#include <random>

#include "gtest/gtest.h"

namespace runahead {
namespace {

// All that came out, and the stop string that ended it.
struct Outcome {
  std::string text;
  std::optional<int> stop_index;
  bool operator==(const Outcome&) const = default;
};

void PrintTo(const Outcome& outcome, std::ostream* out) {
  *out << '"' << outcome.text << "\" " << outcome.stop_index.value_or(-1);
}

// The definition: the match that ends first, of those that end together the longest.
Outcome Naive(const std::vector<std::string>& strings, const std::string& text, bool include_stop) {
  for (size_t end = 1; end <= text.size(); ++end) {
    int best = -1;
    for (size_t i = 0; i < strings.size(); ++i) {
      const std::string& s = strings[i];
      if (s.empty() || s.size() > end || text.compare(end - s.size(), s.size(), s) != 0) continue;
      if (best < 0 || s.size() > strings[static_cast<size_t>(best)].size())
        best = static_cast<int>(i);
    }
    if (best < 0) continue;
    const size_t kept = include_stop ? end : end - strings[static_cast<size_t>(best)].size();
    return {text.substr(0, kept), best};
  }
  return {text, std::nullopt};
}

Outcome Feed(const StopStrings& strings, const std::string& text, bool include_stop,
             std::mt19937& random) {
  StopMatcher matcher(strings);
  Outcome outcome;
  for (size_t at = 0; at < text.size();) {
    const size_t length = random() % 5;
    const StopMatcher::Output output =
        matcher.Push(std::string_view(text).substr(at, length), include_stop);
    outcome.text += output.text;
    if (output.stop_index) {
      outcome.stop_index = output.stop_index;
      return outcome;
    }
    at += length;
  }
  outcome.text += matcher.Finish();
  return outcome;
}

TEST(StopMatcher, HoldsBackWhatMayBeAStop) {
  const StopStrings strings({"\n\n", "END"});
  StopMatcher matcher(strings);
  EXPECT_EQ(matcher.Push("hello\n", false).text, "hello");
  EXPECT_EQ(matcher.Push("E", false).text, "\n");
  EXPECT_EQ(matcher.Push("N", false).text, "");
  EXPECT_EQ(matcher.Push("X", false).text, "ENX");
  EXPECT_EQ(matcher.Push("EN", false).text, "");
  const StopMatcher::Output last = matcher.Push("D more", false);
  EXPECT_EQ(last.text, "");
  EXPECT_EQ(last.stop_index, 1);
}

TEST(StopMatcher, IncludesTheStopOnRequest) {
  const StopStrings strings({"END"});
  StopMatcher matcher(strings);
  EXPECT_EQ(matcher.Push("a EN", true).text, "a ");
  const StopMatcher::Output last = matcher.Push("D more", true);
  EXPECT_EQ(last.text, "END");
  EXPECT_EQ(last.stop_index, 0);
}

TEST(StopMatcher, FinishGivesBackWhatIsHeld) {
  const StopStrings strings({"abcd"});
  StopMatcher matcher(strings);
  EXPECT_EQ(matcher.Push("xabc", false).text, "x");
  EXPECT_EQ(matcher.Finish(), "abc");
}

TEST(StopMatcher, TheMatchThatEndsFirstWinsThenTheLongest) {
  std::mt19937 random(1);
  EXPECT_EQ(Feed(StopStrings({"abcdef", "cd"}), "xabcdef", false, random), (Outcome{"xab", 1}));
  EXPECT_EQ(Feed(StopStrings({"d", "cd", "bcd"}), "abcd", false, random), (Outcome{"a", 2}));
  EXPECT_EQ(Feed(StopStrings({"x", "same", "same"}), "a same", false, random), (Outcome{"a ", 1}));
}

TEST(StopMatcher, EmptyStringsKeepTheirPlaceInTheCount) {
  std::mt19937 random(1);
  EXPECT_TRUE(StopStrings({}).empty());
  EXPECT_TRUE(StopStrings({"", ""}).empty());
  EXPECT_FALSE(StopStrings({"", "b"}).empty());
  EXPECT_EQ(Feed(StopStrings({"", "b"}), "ab", false, random), (Outcome{"a", 1}));
}

TEST(StopMatcher, AnySplitGivesWhatANaiveSearchFinds) {
  std::mt19937 random(11);
  const auto word = [&](size_t max_length) {
    std::string s(random() % (max_length + 1), 'a');
    for (char& c : s) c = static_cast<char>('a' + random() % 2);  // two letters: overlaps abound
    return s;
  };
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::string> strings(random() % 5);
    for (std::string& s : strings) s = word(5);
    const std::string text = word(24);
    const bool include_stop = round % 2 == 0;
    ASSERT_EQ(Feed(StopStrings(strings), text, include_stop, random),
              Naive(strings, text, include_stop))
        << testing::PrintToString(strings) << " in " << text;
  }
}

TEST(StopMatcher, TenThousandStringsAreFine) {
  std::mt19937 random(3);
  std::vector<std::string> strings;
  for (int i = 0; i < 10'000; ++i) {
    std::string s = "stop";
    for (int k = 0; k < 16; ++k) s.push_back(static_cast<char>(' ' + random() % 90));
    strings.push_back(std::move(s));
  }
  const std::clock_t start = std::clock();  // of the processor: a busy machine takes none away
  const StopStrings compiled(strings);
  const std::string text(1 << 20, 's');
  EXPECT_EQ(Feed(compiled, text + strings[1234], false, random), (Outcome{text, 1234}));
  EXPECT_LT((std::clock() - start) / CLOCKS_PER_SEC, 5);
}

}  // namespace
}  // namespace runahead

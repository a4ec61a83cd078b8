// Logger: the one-line log sink every folder may use; the server implements it. Thread-safe.
#pragma once

#include <string_view>

namespace runahead {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

class Logger {
 public:
  virtual ~Logger() = default;
  virtual void Log(LogLevel level, std::string_view message) = 0;
  // Something that happened, once as a line for people and once as JSON without braces
  // ("\"a\":1,\"b\":2"), whose message is `name`; a sink writes one of the two.
  virtual void LogEvent(LogLevel level, std::string_view name, std::string_view line,
                        std::string_view members) {
    (void)name;
    (void)members;
    Log(level, line);
  }
};

class NullLogger final : public Logger {
 public:
  void Log(LogLevel, std::string_view) override {}
};

}  // namespace runahead

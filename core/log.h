// Logger: the one-line log sink every folder may use; the server implements it. Thread-safe.
#pragma once

#include <string_view>

namespace runahead {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

class Logger {
 public:
  virtual ~Logger() = default;
  virtual void Log(LogLevel level, std::string_view message) = 0;
};

class NullLogger final : public Logger {
 public:
  void Log(LogLevel, std::string_view) override {}
};

}  // namespace runahead

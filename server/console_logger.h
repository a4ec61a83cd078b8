// ConsoleLogger: log lines with time and level on standard error. Thread-safe.
#pragma once

#include <memory>
#include <string_view>

#include "core/log.h"

namespace runahead {

enum class LogFormat {
  kText,  // 2026-05-04T03:02:01.000 info what happened
  kJson,  // {"time":"2026-05-04T03:02:01.000Z","level":"info","message":"what happened"}
};

class ConsoleLogger final : public Logger {
 public:
  explicit ConsoleLogger(LogLevel lowest, LogFormat format = LogFormat::kText);
  ~ConsoleLogger() override;
  void Log(LogLevel level, std::string_view message) override;
  void LogEvent(LogLevel level, std::string_view name, std::string_view line,
                std::string_view members) override;

 private:
  void Write(LogLevel level, std::string_view text);

  struct Sink;
  const LogFormat format_;
  std::unique_ptr<Sink> sink_;
};

}  // namespace runahead

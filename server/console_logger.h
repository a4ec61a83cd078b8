// ConsoleLogger: log lines with time and level on standard error. Thread-safe.
#pragma once

#include <memory>
#include <string_view>

#include "core/log.h"

namespace runahead {

class ConsoleLogger final : public Logger {
 public:
  explicit ConsoleLogger(LogLevel lowest);
  ~ConsoleLogger() override;
  void Log(LogLevel level, std::string_view message) override;

 private:
  struct Sink;
  std::unique_ptr<Sink> sink_;
};

}  // namespace runahead

#include "server/console_logger.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace runahead {
namespace {

spdlog::level::level_enum LevelOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

struct ConsoleLogger::Sink {
  spdlog::logger logger{"runahead", std::make_shared<spdlog::sinks::stderr_color_sink_mt>()};
};

ConsoleLogger::ConsoleLogger(LogLevel lowest) : sink_(std::make_unique<Sink>()) {
  sink_->logger.set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
  sink_->logger.set_level(LevelOf(lowest));
}

ConsoleLogger::~ConsoleLogger() = default;

void ConsoleLogger::Log(LogLevel level, std::string_view message) {
  // Not a format string: a message may hold braces a client sent.
  sink_->logger.log(LevelOf(level), spdlog::string_view_t(message.data(), message.size()));
}

}  // namespace runahead

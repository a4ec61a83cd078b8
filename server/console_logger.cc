#include "server/console_logger.h"

#include <string>

#include "nlohmann/json.hpp"
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

ConsoleLogger::ConsoleLogger(LogLevel lowest, LogFormat format)
    : format_(format), sink_(std::make_unique<Sink>()) {
  if (format == LogFormat::kText) {
    sink_->logger.set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
  } else {
    sink_->logger.set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","message":%v})",
                              spdlog::pattern_time_type::utc);
  }
  sink_->logger.set_level(LevelOf(lowest));
}

ConsoleLogger::~ConsoleLogger() = default;

// Not a format string: a message may hold braces a client sent.
void ConsoleLogger::Write(LogLevel level, std::string_view text) {
  sink_->logger.log(LevelOf(level), spdlog::string_view_t(text.data(), text.size()));
}

void ConsoleLogger::Log(LogLevel level, std::string_view message) {
  if (format_ == LogFormat::kText) return Write(level, message);
  using nlohmann::json;
  Write(level, json(message).dump(-1, ' ', false, json::error_handler_t::replace));
}

void ConsoleLogger::LogEvent(LogLevel level, std::string_view name, std::string_view line,
                             std::string_view members) {
  if (format_ == LogFormat::kText) return Write(level, line);
  Write(level, "\"" + std::string(name) + "\"," + std::string(members));
}

}  // namespace runahead

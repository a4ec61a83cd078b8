// A small report for the tests of those who write reports.
#pragma once

#include "server/loadgen/load_report.h"

namespace runahead {

inline LoadReport SampleReport(const std::string& name = "demo") {
  LoadRun run{.wall_s = 6, .client_cpu_s = 0.3, .num_connections = 2, .is_open_loop = true};
  for (int i = 0; i < 8; ++i) {
    run.records.push_back({.due_s = 0.5 * i,
                           .sent_s = 0.5 * i + 0.001,
                           .last_s = 0.5 * i + 2,
                           .ended_s = 0.5 * i + 2,
                           .text_s = {0.5 * i + 0.5 + 0.01 * i, 0.5 * i + 1, 0.5 * i + 2},
                           .usage = AnswerUsage{.prompt_tokens = 10,
                                                .completion_tokens = 6,
                                                .cached_tokens = 5,
                                                .target_steps = 4,
                                                .drafted_tokens = 3,
                                                .accepted_tokens = 2}});
  }
  run.records.push_back({.due_s = 4,
                         .sent_s = 4,
                         .ended_s = 6,
                         .error_kind = "http_429",
                         .error = "<full> & \"busy\""});
  LoadReport report = MakeLoadReport(run, {{SloMetric::kTtft, 0.53}});
  report.name = name;
  report.setting = {{"server", "http://127.0.0.1:8000"},
                    {"load", "open loop, 2 requests/s"},
                    {"started", "2026-01-02 03:04:05 UTC"},
                    {"extra body", ""}};
  return report;
}

}  // namespace runahead

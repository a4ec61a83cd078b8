// Slo: limits that each request of a load shall keep. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "server/loadgen/load_record.h"

namespace runahead {

enum class SloMetric { kTtft, kTpot, kItl, kE2e };

struct SloLimit {
  SloMetric metric = SloMetric::kTtft;
  double limit_s = 0;
};

using Slo = std::vector<SloLimit>;

std::string_view SloMetricName(SloMetric metric);  // "ttft"

// "ttft:200,tpot:50,itl:100,e2e:5000" in milliseconds, or a preset: relaxed (2 s to the first
// token, 200 ms for each other), server (2 s, 100 ms), interactive (500 ms, 40 ms). Empty: no
// limits.
Result<Slo> ParseSlo(std::string_view text);

// A failed request keeps no limit. A metric that an answer does not have (TPOT of one token) keeps
// its limit. itl is the longest of the request's gaps.
bool Keeps(const LoadRecord& record, const SloLimit& limit);
bool Keeps(const LoadRecord& record, const Slo& slo);

}  // namespace runahead

#include "server/loadgen/slo.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace runahead {
namespace {

constexpr std::pair<std::string_view, SloMetric> kMetrics[] = {{"ttft", SloMetric::kTtft},
                                                               {"tpot", SloMetric::kTpot},
                                                               {"itl", SloMetric::kItl},
                                                               {"e2e", SloMetric::kE2e}};
constexpr std::pair<std::string_view, std::string_view> kPresets[] = {
    {"relaxed", "ttft:2000,tpot:200"},
    {"server", "ttft:2000,tpot:100"},
    {"interactive", "ttft:500,tpot:40"}};

Status WrongLimit(std::string_view part) {
  return InvalidArgument("--slo: \"" + std::string(part) +
                         "\" is not ttft, tpot, itl or e2e with a colon and milliseconds, nor one "
                         "of relaxed, server and interactive");
}

Result<SloLimit> ParseLimit(std::string_view part) {
  const size_t colon = part.find(':');
  if (colon == part.npos) return WrongLimit(part);
  const auto metric = std::ranges::find(kMetrics, part.substr(0, colon),
                                        &std::pair<std::string_view, SloMetric>::first);
  const std::string_view number = part.substr(colon + 1);
  double limit_ms = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), limit_ms);
  const bool is_number = error == std::errc() && end == number.data() + number.size();
  if (metric == std::end(kMetrics) || !is_number || !(limit_ms > 0)) return WrongLimit(part);
  return SloLimit{metric->second, limit_ms / 1e3};
}

double LongestGap(const std::vector<double>& times) {
  double longest = 0;
  for (size_t i = 1; i < times.size(); ++i) longest = std::max(longest, times[i] - times[i - 1]);
  return longest;
}

}  // namespace

std::string_view SloMetricName(SloMetric metric) {
  return std::ranges::find(kMetrics, metric, &std::pair<std::string_view, SloMetric>::second)
      ->first;
}

Result<Slo> ParseSlo(std::string_view text) {
  for (const auto& [name, limits] : kPresets) {
    if (text == name) return ParseSlo(limits);
  }
  Slo slo;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    RA_ASSIGN_OR_RETURN(const SloLimit limit, ParseLimit(text.substr(0, comma)));
    slo.push_back(limit);
    text = comma == text.npos ? std::string_view() : text.substr(comma + 1);
  }
  return slo;
}

bool Keeps(const LoadRecord& record, const SloLimit& limit) {
  if (!record.ok()) return false;
  switch (limit.metric) {
    case SloMetric::kTtft:
      return record.Ttft().value_or(0) <= limit.limit_s;
    case SloMetric::kTpot:
      return record.Tpot().value_or(0) <= limit.limit_s;
    case SloMetric::kItl:
      return LongestGap(record.text_s) <= limit.limit_s;
    case SloMetric::kE2e:
      return record.E2e() <= limit.limit_s;
  }
  return false;
}

bool Keeps(const LoadRecord& record, const Slo& slo) {
  return record.ok() &&
         std::ranges::all_of(slo, [&](const SloLimit& limit) { return Keeps(record, limit); });
}

}  // namespace runahead

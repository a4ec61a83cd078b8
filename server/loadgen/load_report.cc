#include "server/loadgen/load_report.h"

#include <algorithm>
#include <cmath>

#include "server/printed.h"

namespace runahead {
namespace {

constexpr int kMaxBins = 120;

// Figures of all answers in full, before they become quantiles.
struct Values {
  std::vector<double> ttft, tpot, itl, e2e, lag;
};

RequestRow RowOf(const LoadRecord& record) {
  RequestRow row{.sent_s = record.sent_s, .error_kind = record.error_kind};
  if (!record.ok()) return row;
  row.ttft_s = record.Ttft();
  row.tpot_s = record.Tpot();
  row.e2e_s = record.E2e();
  if (record.usage) {
    row.prompt_tokens = record.usage->prompt_tokens;
    row.completion_tokens = record.usage->completion_tokens;
    row.cached_tokens = record.usage->cached_tokens;
  }
  return row;
}

void AddUsage(const LoadRecord& record, LoadReport& report) {
  if (!record.usage) {
    ++report.num_without_usage;
    return;
  }
  const AnswerUsage& usage = *record.usage;
  report.prompt_tokens += usage.prompt_tokens;
  report.cached_tokens += usage.cached_tokens;
  report.completion_tokens += usage.completion_tokens;
  report.num_chunks += std::ssize(record.text_s);
  if (!usage.target_steps) return;
  report.has_drafts = true;
  report.target_steps += *usage.target_steps;
  report.drafted_tokens += usage.drafted_tokens;
  report.accepted_tokens += usage.accepted_tokens;
}

void AddAnswer(const LoadRecord& record, Values& values, LoadReport& report) {
  ++report.num_ok;
  AddUsage(record, report);
  values.e2e.push_back(record.E2e());
  if (const auto ttft = record.Ttft()) values.ttft.push_back(*ttft);
  if (const auto tpot = record.Tpot()) values.tpot.push_back(*tpot);
  for (size_t i = 1; i < record.text_s.size(); ++i) {
    const double gap = record.text_s[i] - record.text_s[i - 1];
    values.itl.push_back(gap);
    ++report.gaps.counts[static_cast<size_t>(GapHistogram::BinOf(gap))];
  }
}

int PeakInFlight(const std::vector<LoadRecord>& records) {
  std::vector<std::pair<double, int>> changes;
  for (const LoadRecord& record : records) {
    changes.emplace_back(record.sent_s, 1);
    changes.emplace_back(record.ended_s, -1);
  }
  std::ranges::sort(changes);  // at one instant, ends come before beginnings
  int now = 0;
  int peak = 0;
  for (const auto& change : changes) peak = std::max(peak, now += change.second);
  return peak;
}

// 1, 2 or 5 times a power of ten, so that the run has at most kMaxBins slices.
double SliceLength(double wall_s) {
  const double least = std::max(wall_s / kMaxBins, 1e-3);
  const double decade = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1, 2, 5}) {
    if (factor * decade >= least) return factor * decade;
  }
  return 10 * decade;
}

class TimelineMaker {
 public:
  explicit TimelineMaker(double wall_s) {
    line_.bin_s = SliceLength(wall_s);
    const auto num_bins = static_cast<size_t>(std::max(1.0, std::ceil(wall_s / line_.bin_s)));
    line_.output_tokens_per_s.resize(num_bins);
    line_.in_flight.resize(num_bins);
    // The last slice is cut by the run's end; its means are over what there is of it.
    last_s_ = std::max(wall_s - line_.bin_s * static_cast<double>(num_bins - 1), 1e-9);
  }

  void Add(const LoadRecord& record) {
    for (size_t bin = BinAt(record.sent_s); bin <= BinAt(record.ended_s); ++bin) {
      const double begin = line_.bin_s * static_cast<double>(bin);
      const double inside =
          std::min(record.ended_s, begin + line_.bin_s) - std::max(record.sent_s, begin);
      line_.in_flight[bin] += std::max(0.0, inside) / Length(bin);
    }
    if (!record.ok() || !record.usage) return;
    // An answer that came whole came at its end.
    const std::vector<double> whole = {record.last_s};
    const std::vector<double>& times = record.text_s.empty() ? whole : record.text_s;
    const double each = record.usage->completion_tokens / static_cast<double>(times.size());
    for (const double time : times) {
      const size_t bin = BinAt(time);
      line_.output_tokens_per_s[bin] += each / Length(bin);
    }
  }

  Timeline Take() { return std::move(line_); }

 private:
  size_t BinAt(double time_s) const {
    const double bin = std::clamp(std::floor(time_s / line_.bin_s), 0.0,
                                  static_cast<double>(line_.in_flight.size() - 1));
    return static_cast<size_t>(bin);
  }
  double Length(size_t bin) const {
    return bin + 1 == line_.in_flight.size() ? last_s_ : line_.bin_s;
  }

  Timeline line_;
  double last_s_ = 0;
};

void SetRates(const LoadRun& run, const Slo& slo, LoadReport& report) {
  const double wall = std::max(run.wall_s, 1e-9);
  report.requests_per_s = report.num_ok / wall;
  report.output_tokens_per_s = static_cast<double>(report.completion_tokens) / wall;
  report.total_tokens_per_s =
      static_cast<double>(report.completion_tokens + report.prompt_tokens) / wall;
  report.client_busy = run.records.empty() ? 0 : run.client_cpu_s / wall;
  double in_flight_s = 0;
  int num_good = 0;
  for (const LoadRecord& record : run.records) {
    in_flight_s += record.ended_s - record.sent_s;
    num_good += Keeps(record, slo) ? 1 : 0;
  }
  report.mean_in_flight = in_flight_s / wall;
  report.goodput_per_s = num_good / wall;
  const double total = std::max<double>(1, static_cast<double>(run.records.size()));
  report.goodput_share = num_good / total;
  for (const SloLimit& limit : slo) {
    const auto kept = std::ranges::count_if(
        run.records, [&](const LoadRecord& record) { return Keeps(record, limit); });
    report.slo.push_back({limit, static_cast<double>(kept) / total});
  }
}

}  // namespace

double GapHistogram::LowerEdge(int bin) {
  return kLeast * std::pow(10, bin / static_cast<double>(kPerDecade));
}

int GapHistogram::BinOf(double gap_s) {
  if (!(gap_s > kLeast)) return 0;
  const double bin = std::floor(std::log10(gap_s / kLeast) * kPerDecade);
  return static_cast<int>(std::min<double>(bin, kNumBins - 1));
}

LoadReport MakeLoadReport(const LoadRun& run, const Slo& slo) {
  LoadReport report;
  report.is_open_loop = run.is_open_loop;
  report.is_interrupted = run.is_interrupted;
  report.num_requests = static_cast<int>(run.records.size());
  report.wall_s = run.wall_s;
  report.num_connections = run.num_connections;
  report.peak_in_flight = PeakInFlight(run.records);
  Values values;
  TimelineMaker timeline(run.wall_s);
  for (const LoadRecord& record : run.records) {
    report.rows.push_back(RowOf(record));
    timeline.Add(record);
    if (run.is_open_loop) values.lag.push_back(record.sent_s - record.due_s);
    if (record.ok()) {
      AddAnswer(record, values, report);
      continue;
    }
    ErrorCount& error = report.errors[record.error_kind];
    if (error.count++ == 0) error.example = record.error;
  }
  report.num_ttft = static_cast<int>(values.ttft.size());
  report.num_tpot = static_cast<int>(values.tpot.size());
  report.num_itl = static_cast<int>(values.itl.size());
  report.ttft = QuantilesOf(std::move(values.ttft));
  report.tpot = QuantilesOf(std::move(values.tpot));
  report.itl = QuantilesOf(std::move(values.itl));
  report.e2e = QuantilesOf(std::move(values.e2e));
  report.lag = QuantilesOf(std::move(values.lag));
  report.timeline = timeline.Take();
  SetRates(run, slo, report);
  return report;
}

std::vector<std::string> Warnings(const LoadReport& report) {
  // A client that works half of the time delays what it times by about as much as it works on.
  constexpr double kBusy = 0.5;
  constexpr double kLate_s = 0.010;
  std::vector<std::string> out;
  if (report.is_interrupted) out.push_back("The run was interrupted: its figures are of a part.");
  if (report.num_ok < report.num_requests) {
    out.push_back(std::to_string(report.num_requests - report.num_ok) + " of " +
                  std::to_string(report.num_requests) +
                  " requests failed; no latency and no token of theirs is counted.");
  }
  if (report.num_without_usage > 0) {
    out.push_back(std::to_string(report.num_without_usage) +
                  " answers came without usage: token figures and TPOT leave them out.");
  }
  if (report.client_busy > kBusy) {
    out.push_back(
        Printed("The client itself was busy %.0f %% of the time: it may have "
                "become what it measures.",
                100 * report.client_busy));
  }
  if (report.is_open_loop && report.lag.p99 > kLate_s) {
    out.push_back(
        Printed("Requests were sent late (p99 %.0f ms): the load is less than was asked for.",
                1e3 * report.lag.p99));
  }
  if (report.num_requests > 0 && report.num_requests < 3 * report.peak_in_flight) {
    out.push_back("Fewer than three requests for each of the " +
                  std::to_string(report.peak_in_flight) +
                  " in flight at once: ramp-up and drain weigh on the throughput.");
  }
  return out;
}

}  // namespace runahead

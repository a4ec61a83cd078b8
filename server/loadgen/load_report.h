// LoadReport: what a load came to, and how it is computed from the records of its requests. Pure
// functions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/loadgen/load_record.h"
#include "server/loadgen/slo.h"
#include "server/quantiles.h"

namespace runahead {

// What a run measured, before it is summed up.
struct LoadRun {
  std::vector<LoadRecord> records = {};  // of every request that was sent, warm-up excluded
  double wall_s = 0;                     // from the first request to the end of the last
  double client_cpu_s = 0;               // that the client itself used meanwhile
  int num_connections = 0;               // opened meanwhile
  bool is_open_loop = false;
  bool is_interrupted = false;
};

// Of one request, for plots and for whoever reads the JSON. Seconds.
struct RequestRow {
  double sent_s = 0;
  std::optional<double> ttft_s = {};
  std::optional<double> tpot_s = {};
  std::optional<double> e2e_s = {};  // of an answer in full
  int prompt_tokens = 0;
  int completion_tokens = 0;
  int cached_tokens = 0;
  std::string error_kind = {};  // empty: none
};

struct ErrorCount {
  int count = 0;
  std::string example = {};  // the first one's words
};

struct SloShare {
  SloLimit limit = {};
  double share = 0;  // of all requests, failed ones included
};

// How the gaps between chunks spread: kPerDecade bins to a factor of ten, the first from kLeast up;
// shorter gaps (chunks that came together) and longer ones count in the first and the last.
struct GapHistogram {
  static constexpr int kPerDecade = 12;
  static constexpr double kLeast = 1e-5;  // seconds
  static constexpr int kNumBins = 7 * kPerDecade;
  static double LowerEdge(int bin);
  static int BinOf(double gap_s);

  std::vector<int64_t> counts = std::vector<int64_t>(kNumBins);
};

// The run in slices of equal length.
struct Timeline {
  double bin_s = 0;
  std::vector<double> output_tokens_per_s = {};  // a request's tokens spread evenly over its chunks
  std::vector<double> in_flight = {};  // mean number of requests that had been sent, not ended
};

struct LoadReport {
  double CachedShare() const { return Share(cached_tokens, prompt_tokens); }
  double TokensPerChunk() const { return Share(completion_tokens, num_chunks); }
  double AcceptedShare() const { return Share(accepted_tokens, drafted_tokens); }
  double TokensPerStep() const { return Share(completion_tokens, target_steps); }
  static double Share(int64_t part, int64_t whole) {
    return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
  }

  std::string name = {};                                          // in comparisons
  std::vector<std::pair<std::string, std::string>> setting = {};  // what was asked for, in order
  bool is_open_loop = false;
  bool is_interrupted = false;

  int num_requests = 0;
  int num_ok = 0;
  std::map<std::string, ErrorCount> errors = {};  // by kind
  int num_without_usage = 0;                      // answers in full whose tokens nobody counted

  Quantiles ttft = {};  // seconds, of answers in full alone
  Quantiles tpot = {};
  Quantiles itl = {};
  Quantiles e2e = {};
  int num_ttft = 0;  // how many values each is of
  int num_tpot = 0;
  int num_itl = 0;

  double wall_s = 0;
  int64_t prompt_tokens = 0;  // of answers in full, by usage
  int64_t cached_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t num_chunks = 0;  // with text, of the answers that have usage
  double requests_per_s = 0;
  double output_tokens_per_s = 0;
  double total_tokens_per_s = 0;
  int peak_in_flight = 0;
  double mean_in_flight = 0;

  std::vector<SloShare> slo = {};
  double goodput_per_s = 0;  // requests/s that keep all limits
  double goodput_share = 0;

  bool has_drafts = false;  // the server told of speculation:
  int64_t target_steps = 0;
  int64_t drafted_tokens = 0;
  int64_t accepted_tokens = 0;

  double client_busy = 0;  // share of one core
  Quantiles lag = {};      // of an open loop: seconds by which requests were sent late
  int num_connections = 0;

  Timeline timeline = {};
  GapHistogram gaps = {};
  std::vector<RequestRow> rows = {};
};

LoadReport MakeLoadReport(const LoadRun& run, const Slo& slo);

// What a reader should know before believing the figures, in sentences.
std::vector<std::string> Warnings(const LoadReport& report);

}  // namespace runahead

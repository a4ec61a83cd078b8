// `runahead bench serve`: load for an OpenAI-compatible server, and a report of how it bore it.
// Start-up thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/status.h"

namespace runahead {

// As the flags say it; docs/benchmarking.md explains them.
struct ServeBenchOptions {
  std::string client_name = {};  // and version of this program

  std::string url = "http://127.0.0.1:8000";
  std::string api_key = {};
  std::vector<std::string> headers = {};  // "Name: value"
  std::string ca_file = {};
  bool is_insecure = false;
  std::string model = {};  // empty: the first that the server names
  std::string endpoint = "chat";
  double timeout_s = 600;

  int num_requests = 100;
  std::optional<int> concurrency =
      {};  // of a closed loop 8 by default, of an open one without limit
  double rate = 0;
  double burstiness = 1;
  uint64_t seed = 1;
  std::optional<int> num_warm_up = {};

  std::string prompts_file = {};
  bool shuffles = false;
  std::string input_tokens = "128";
  std::string output_tokens = "128";
  int shared_prefix = 0;
  int num_groups = 1;
  double temperature = 0;
  std::optional<bool> ignores_eos = {};  // by default with synthetic prompts
  bool streams = true;
  std::string extra_body = {};  // JSON

  std::string slo = {};
  std::string name = {};       // of the run, in reports
  std::string json_file = {};  // "-": on standard output instead of the table
  std::string html_file = {};
  std::vector<std::string> compare = {};  // JSON files; nothing is run
};

Status RunServeBench(const ServeBenchOptions& options);

}  // namespace runahead

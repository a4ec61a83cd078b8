#include "server/loadgen/serve_bench.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <utility>

#include "nlohmann/json.hpp"
#include <unistd.h>

#include "server/loadgen/load_client.h"
#include "server/loadgen/load_html.h"
#include "server/loadgen/load_json.h"
#include "server/loadgen/load_progress.h"
#include "server/loadgen/load_prompts.h"
#include "server/loadgen/load_table.h"
#include "server/loadgen/token_count.h"
#include "server/printed.h"

namespace runahead {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kDefaultClients = 8;
constexpr int kWarmUpTokens = 16;

// Everything that the flags say, understood.
struct Plan {
  ClientOptions client;
  LoadSpec load;
  PromptSpec prompts;
  BodySpec body;
  Slo slo;
  int num_warm_up = 0;
};

bool HasLineBreak(const std::string& text) { return text.find_first_of("\r\n") != text.npos; }

Result<ClientOptions> MakeClientOptions(const ServeBenchOptions& o) {
  ClientOptions client{.api_key = o.api_key, .ca_file = o.ca_file, .is_insecure = o.is_insecure};
  RA_ASSIGN_OR_RETURN(client.url, ParseServerUrl(o.url));
  if (HasLineBreak(o.api_key)) return InvalidArgument("--api-key: has a line break");
  for (const std::string& header : o.headers) {
    const size_t colon = header.find(':');
    if (colon == 0 || colon == header.npos || HasLineBreak(header)) {
      return InvalidArgument("--header: \"" + header + "\" is not \"Name: value\"");
    }
    const size_t value = header.find_first_not_of(' ', colon + 1);
    client.headers.emplace_back(header.substr(0, colon),
                                value == header.npos ? "" : header.substr(value));
  }
  if (!(o.timeout_s > 0 && o.timeout_s < 1e6)) {
    return InvalidArgument("--timeout: must be more than 0 seconds");
  }
  client.timeout = std::chrono::milliseconds(std::lround(std::max(1.0, 1e3 * o.timeout_s)));
  return client;
}

Result<LoadSpec> MakeLoadSpec(const ServeBenchOptions& o) {
  if (o.num_requests < 1) return InvalidArgument("--num-requests: must be at least 1");
  if (o.concurrency && *o.concurrency < 1) {
    return InvalidArgument("--concurrency: must be at least 1");
  }
  if (!(o.rate >= 0) || std::isinf(o.rate)) {
    return InvalidArgument("--rate: must be a number of requests per second");
  }
  if (!(o.burstiness > 0)) return InvalidArgument("--burstiness: must be more than 0");
  if (o.burstiness != 1 && o.rate == 0) {
    return InvalidArgument(
        "--burstiness: says how requests of a --rate are spread, and there is "
        "none");
  }
  return LoadSpec{.path = o.endpoint == "chat" ? "/v1/chat/completions" : "/v1/completions",
                  .concurrency = o.concurrency.value_or(o.rate > 0 ? 0 : kDefaultClients),
                  .rate = o.rate,
                  .burstiness = o.burstiness,
                  .seed = o.seed};
}

Result<PromptSpec> MakePromptSpec(const ServeBenchOptions& o) {
  PromptSpec prompts{.endpoint = o.endpoint == "chat" ? Endpoint::kChat : Endpoint::kCompletions,
                     .num_requests = o.num_requests,
                     .file = o.prompts_file,
                     .shuffles = o.shuffles,
                     .shared_prefix = o.shared_prefix,
                     .num_groups = o.num_groups,
                     .seed = o.seed};
  RA_ASSIGN_OR_RETURN(prompts.input, ParseTokenRange("--input-tokens", o.input_tokens));
  if (o.num_groups < 1) return InvalidArgument("--prefix-groups: must be at least 1");
  if (o.shared_prefix < 0 || o.shared_prefix > prompts.input.min) {
    return InvalidArgument(
        "--shared-prefix: must be between 0 and --input-tokens, of which it is "
        "a part");
  }
  if (!o.prompts_file.empty() && o.shared_prefix > 0) {
    return InvalidArgument("--shared-prefix: is of synthetic prompts, not of those of --prompts");
  }
  return prompts;
}

Result<BodySpec> MakeBodySpec(const ServeBenchOptions& o) {
  BodySpec body{.model = o.model,
                .temperature = o.temperature,
                .ignores_eos = o.ignores_eos.value_or(o.prompts_file.empty()),
                .streams = o.streams,
                .seed = o.seed};
  RA_ASSIGN_OR_RETURN(body.output, ParseTokenRange("--output-tokens", o.output_tokens));
  if (!(o.temperature >= 0)) return InvalidArgument("--temperature: must not be negative");
  if (o.extra_body.empty()) return body;
  body.extra = Json::parse(o.extra_body, nullptr, false);
  if (body.extra.is_object()) return body;
  return InvalidArgument("--extra-body: is not a JSON object such as '{\"top_p\": 0.9}'");
}

Result<Plan> MakePlan(const ServeBenchOptions& o) {
  if (o.endpoint != "chat" && o.endpoint != "completions") {
    return InvalidArgument("--endpoint: must be chat or completions");
  }
  Plan plan;
  RA_ASSIGN_OR_RETURN(plan.client, MakeClientOptions(o));
  RA_ASSIGN_OR_RETURN(plan.load, MakeLoadSpec(o));
  RA_ASSIGN_OR_RETURN(plan.prompts, MakePromptSpec(o));
  RA_ASSIGN_OR_RETURN(plan.body, MakeBodySpec(o));
  RA_ASSIGN_OR_RETURN(plan.slo, ParseSlo(o.slo));
  const int clients = plan.load.concurrency > 0 ? plan.load.concurrency : kDefaultClients;
  plan.num_warm_up = o.num_warm_up.value_or(std::min(clients, o.num_requests));
  if (plan.num_warm_up < 0) return InvalidArgument("--warm-up: must not be negative");
  return plan;
}

// The model to ask for, and whether it is Runahead that serves it.
Status AskForModel(LoadClient& client, const std::string& url, BodySpec& body) {
  const Result<std::string> answer = client.Call("GET", "/v1/models", "");
  if (!answer.ok()) {
    if (!body.model.empty()) return {};  // some peers list none
    return {answer.status().code(), "cannot ask " + url + " for its models: " +
                                        answer.status().message() + "; --model names one"};
  }
  const Json models = Json::parse(*answer, nullptr, false);
  const Json list = models.is_object() ? models.value("data", Json::array()) : Json::array();
  for (const Json& model : list) {
    if (!model.is_object()) continue;
    if (model.value("owned_by", Json()) == "runahead") body.asks_for_drafts = true;
    const Json id = model.value("id", Json());
    if (body.model.empty() && id.is_string()) body.model = id;
  }
  if (!body.model.empty()) return {};
  return {StatusCode::kNotFound, url + "/v1/models names no model; --model names one"};
}

std::string LoadText(const LoadSpec& load) {
  if (load.rate == 0) {
    return Printed("closed loop, %d client%s", load.concurrency, load.concurrency == 1 ? "" : "s");
  }
  std::string out = Printed("open loop, %g requests/s, ", load.rate);
  if (std::isinf(load.burstiness)) {
    out += "evenly spaced";
  } else if (load.burstiness == 1) {
    out += "Poisson";
  } else {
    out += Printed("gamma of burstiness %g", load.burstiness);
  }
  if (load.concurrency > 0) out += Printed(", at most %d in flight", load.concurrency);
  return out + ", seed " + std::to_string(load.seed);
}

std::string OutputText(const BodySpec& body) {
  std::string out = body.output.min == body.output.max
                        ? Printed("%d tokens", body.output.max)
                        : Printed("%d to %d tokens", body.output.min, body.output.max);
  out += body.ignores_eos ? ", whatever the model would like" : " at most";
  out += Printed(", temperature %g", body.temperature);
  return out + (body.streams ? ", streamed" : ", whole");
}

std::string UtcNow() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &utc);
  return text;
}

Status WriteFile(const std::string& path, const std::string& text) {
  errno = 0;
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (file) return {};
  const std::string cause = errno != 0 ? std::string(": ") + std::strerror(errno) : "";
  return {StatusCode::kInternal, "cannot write " + path + cause};
}

Status WarmUp(LoadClient& client, const Plan& plan, const std::vector<Json>& prompts) {
  if (plan.num_warm_up == 0) return {};
  BodySpec body = plan.body;
  body.output.min = body.output.max = std::min(plan.body.output.max, kWarmUpTokens);
  LoadSpec load = plan.load;
  load.rate = 0;
  load.concurrency = plan.load.concurrency > 0 ? plan.load.concurrency : kDefaultClients;
  const LoadRun run = client.Run(
      load, FinishBodies(body, WarmUpPrompts(plan.prompts, prompts, plan.num_warm_up)), nullptr);
  if (run.is_interrupted) return {StatusCode::kCancelled, "interrupted during the warm-up"};
  const auto failed = std::ranges::find_if(run.records, [](const auto& r) { return !r.ok(); });
  if (failed == run.records.end()) return {};
  const bool all = std::ranges::none_of(run.records, [](const auto& r) { return r.ok(); });
  const std::string why = failed->error_kind + ": " + failed->error;
  if (all) return {StatusCode::kUnavailable, "no request of the warm-up was answered: " + why};
  std::cerr << "runahead: a request of the warm-up failed: " << why << std::endl;
  return {};
}

LoadWatch MakeWatch() {
  if (isatty(STDERR_FILENO) == 0) return nullptr;
  return
      [](const LoadProgress& progress) { std::cerr << LoadProgressLine(progress) << std::flush; };
}

Status Print(const LoadReport& report, const ServeBenchOptions& options) {
  if (options.json_file == "-") {
    std::cout << ToJsonText(report) << std::flush;
  } else {
    std::cout << ToTable(report) << std::flush;
    if (!options.json_file.empty()) {
      RA_RETURN_IF_ERROR(WriteFile(options.json_file, ToJsonText(report)));
    }
  }
  if (!options.html_file.empty())
    RA_RETURN_IF_ERROR(WriteFile(options.html_file, ToHtml({report})));
  if (report.num_ok > 0) return {};
  return {StatusCode::kUnavailable, "no request was answered"};
}

Status Compare(const ServeBenchOptions& options) {
  std::vector<LoadReport> reports;
  for (const std::string& path : options.compare) {
    errno = 0;
    std::ifstream in(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    if (!in) return InvalidArgument("cannot read " + path + ": " + std::strerror(errno));
    Result<LoadReport> report = ParseLoadReport(text);
    if (!report.ok()) return InvalidArgument(path + " " + report.status().message());
    reports.push_back(std::move(*report));
  }
  std::cout << ToComparison(reports) << std::flush;
  return options.html_file.empty() ? Status() : WriteFile(options.html_file, ToHtml(reports));
}

}  // namespace

Status RunServeBench(const ServeBenchOptions& options) {
  if (!options.compare.empty()) return Compare(options);
  RA_ASSIGN_OR_RETURN(Plan plan, MakePlan(options));
  RA_ASSIGN_OR_RETURN(const auto client, LoadClient::Make(plan.client));
  RA_RETURN_IF_ERROR(AskForModel(*client, options.url, plan.body));
  TokenCounter counter;
  if (options.prompts_file.empty()) {
    counter = MakeTokenCounter(*client, plan.body.model, plan.prompts.endpoint);
  }
  RA_ASSIGN_OR_RETURN(const Prompts prompts, MakePrompts(plan.prompts, std::move(counter)));
  const std::vector<std::string> bodies = FinishBodies(plan.body, prompts.bodies);
  RA_RETURN_IF_ERROR(WarmUp(*client, plan, prompts.bodies));

  const std::string started = UtcNow();
  const LoadWatch watch = MakeWatch();
  const LoadRun run = client->Run(plan.load, bodies, watch);
  if (watch) std::cerr << "\n";
  LoadReport report = MakeLoadReport(run, plan.slo);
  report.name = options.name.empty() ? plan.body.model : options.name;
  report.setting = {{"server", options.url},
                    {"model", plan.body.model},
                    {"endpoint", plan.load.path},
                    {"load", LoadText(plan.load)},
                    {"prompts", prompts.description},
                    {"output", OutputText(plan.body)},
                    {"extra body", options.extra_body},
                    {"warm-up", std::to_string(plan.num_warm_up) + " requests, not counted"},
                    {"started", started},
                    {"client", options.client_name}};
  return Print(report, options);
}

}  // namespace runahead

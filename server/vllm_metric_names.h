// vLLM's series that --metrics-compat vllm adds, and those it leaves out: the one list behind
// /metrics and docs/metrics.md. Immutable.
#pragma once

#include <array>

#include "server/metric_names.h"

namespace runahead {

// A series of vLLM's that we could only fill with something that is not so.
struct OmittedMetric {
  const char* name;  // without _total; `*` stands for any ending
  const char* reason;
};

// `labels` lists what a series carries beside `model_name` and `engine`.
namespace vllm_metric {

using enum MetricKind;

inline constexpr MetricInfo kRunning = {"vllm:num_requests_running", kGauge, "",
                                        "Requests in the running set"};
inline constexpr MetricInfo kWaiting = {"vllm:num_requests_waiting", kGauge, "",
                                        "Requests in the queue"};
inline constexpr MetricInfo kWaitingByReason = {
    "vllm:num_requests_waiting_by_reason", kGauge, "reason",
    "The same by reason; all wait for capacity, none is deferred"};
inline constexpr MetricInfo kUsage = {"vllm:kv_cache_usage_perc", kGauge, "",
                                      "Blocks held by sequences over all blocks, 0 to 1"};
inline constexpr MetricInfo kCacheConfig = {
    "vllm:cache_config_info", kGauge,
    "block_size, num_gpu_blocks, cache_dtype, enable_prefix_caching; without model_name",
    "Always 1: the labels say how the KV cache is cut; num_gpu_blocks counts blocks on any device"};
inline constexpr MetricInfo kLora = {
    "vllm:lora_requests_info", kGauge,
    "max_lora, running_lora_adapters, waiting_lora_adapters; without model_name and engine",
    "Unix time of the last change: there are no adapters, so the start of serving"};

inline constexpr MetricInfo kPreemptions = {"vllm:num_preemptions_total", kCounter, "",
                                            "Sequences put back into the queue"};
inline constexpr MetricInfo kPrefixQueries = {"vllm:prefix_cache_queries_total", kCounter, "",
                                              "Tokens looked up in the prefix cache"};
inline constexpr MetricInfo kPrefixHits = {"vllm:prefix_cache_hits_total", kCounter, "",
                                           "Tokens found in the prefix cache"};
inline constexpr MetricInfo kPromptTokens = {
    "vllm:prompt_tokens_total", kCounter, "",
    "Prompt tokens, counted when a request is first scheduled (vLLM: at its first token)"};
inline constexpr MetricInfo kPromptTokensCached = {"vllm:prompt_tokens_cached_total", kCounter, "",
                                                   "Of these, served from the prefix cache"};
inline constexpr MetricInfo kPromptTokensBySource = {
    "vllm:prompt_tokens_by_source_total", kCounter, "source",
    "The same by source; external_kv_transfer stays 0"};
inline constexpr MetricInfo kGenerationTokens = {
    "vllm:generation_tokens_total", kCounter, "",
    "Tokens generated, those past a stop included (vLLM: only until it stops the request)"};
inline constexpr MetricInfo kRequestSuccess = {
    "vllm:request_success_total", kCounter, "finished_reason",
    "Requests that ended, by reason: stop, length, abort (cancelled or expired), error (failed), "
    "repetition (never)"};
inline constexpr MetricInfo kAdmissionRejections = {
    "vllm:admission_rejections_total", kCounter, "reason",
    "Requests refused because the queue was full: max_num_queued_reqs"};
inline constexpr MetricInfo kDrafts = {"vllm:spec_decode_num_drafts_total", kCounter, "",
                                       "Drafts judged, of all drafters"};
inline constexpr MetricInfo kDraftTokens = {"vllm:spec_decode_num_draft_tokens_total", kCounter, "",
                                            "Tokens of those drafts"};
inline constexpr MetricInfo kAcceptedTokens = {"vllm:spec_decode_num_accepted_tokens_total",
                                               kCounter, "",
                                               "Tokens of drafts that the target agreed with"};
inline constexpr MetricInfo kAcceptedTokensAt = {
    "vllm:spec_decode_num_accepted_tokens_per_pos_total", kCounter, "position",
    "The same by position in the draft, 0 to 15"};

inline constexpr MetricInfo kTtft = {"vllm:time_to_first_token_seconds", kHistogram, "",
                                     "From arrival to the first token"};
inline constexpr MetricInfo kInterToken = {
    "vllm:inter_token_latency_seconds", kHistogram, "",
    "From the tokens of one step to those of the next: one entry however many tokens came"};
inline constexpr MetricInfo kTokenSeconds = {
    "vllm:request_time_per_output_token_seconds", kHistogram, "",
    "Decode time of a finished request over its tokens after the first"};
inline constexpr MetricInfo kE2e = {"vllm:e2e_request_latency_seconds", kHistogram, "",
                                    "From arrival to the end of a finished request"};
inline constexpr MetricInfo kQueue = {
    "vllm:request_queue_time_seconds", kHistogram, "",
    "From arrival to the first step, entered at that step (vLLM: at the request's end)"};
inline constexpr MetricInfo kInference = {"vllm:request_inference_time_seconds", kHistogram, "",
                                          "From the first step to the last token"};
inline constexpr MetricInfo kPrefill = {
    "vllm:request_prefill_time_seconds", kHistogram, "",
    "From the first step to the first token, entered at that token (vLLM: at the request's end)"};
inline constexpr MetricInfo kDecode = {"vllm:request_decode_time_seconds", kHistogram, "",
                                       "From the first token to the last"};
inline constexpr MetricInfo kPromptSize = {"vllm:request_prompt_tokens", kHistogram, "",
                                           "Prompt length of one finished request"};
inline constexpr MetricInfo kGenerationSize = {
    "vllm:request_generation_tokens", kHistogram, "",
    "Tokens of one finished request, of all its choices together (vLLM: an entry for each choice)"};
inline constexpr MetricInfo kLongestSize = {"vllm:request_max_num_generation_tokens", kHistogram,
                                            "", "Tokens of a finished request's longest choice"};
inline constexpr MetricInfo kMaxTokens = {"vllm:request_params_max_tokens", kHistogram, "",
                                          "max_tokens of one finished request"};
inline constexpr MetricInfo kComputedSize = {"vllm:request_prefill_kv_computed_tokens", kHistogram,
                                             "",
                                             "Prompt tokens of one finished request that were "
                                             "computed, not served from the prefix cache"};
inline constexpr MetricInfo kStepTokens = {
    "vllm:iteration_tokens_total", kHistogram, "",
    "Tokens (rows) in one step; rejected drafts are rows, cached prompt tokens are not"};
inline constexpr MetricInfo kChoices = {"vllm:request_params_n", kHistogram, "",
                                        "n of one finished request"};

inline constexpr std::array kAll = {kRunning,
                                    kWaiting,
                                    kWaitingByReason,
                                    kUsage,
                                    kCacheConfig,
                                    kLora,
                                    kPreemptions,
                                    kPrefixQueries,
                                    kPrefixHits,
                                    kPromptTokens,
                                    kPromptTokensCached,
                                    kPromptTokensBySource,
                                    kGenerationTokens,
                                    kRequestSuccess,
                                    kAdmissionRejections,
                                    kDrafts,
                                    kDraftTokens,
                                    kAcceptedTokens,
                                    kAcceptedTokensAt,
                                    kTtft,
                                    kInterToken,
                                    kTokenSeconds,
                                    kE2e,
                                    kQueue,
                                    kInference,
                                    kPrefill,
                                    kDecode,
                                    kPromptSize,
                                    kGenerationSize,
                                    kLongestSize,
                                    kMaxTokens,
                                    kComputedSize,
                                    kStepTokens,
                                    kChoices};

inline constexpr std::array kOmitted = {
    OmittedMetric{"vllm:engine_sleep_state", "the engine has no sleep mode"},
    OmittedMetric{"vllm:external_prefix_cache_*", "there is no cache outside the process"},
    OmittedMetric{"vllm:mm_cache_*", "prompts are text"},
    OmittedMetric{"vllm:corrupted_requests", "logits are not searched for NaNs"},
    OmittedMetric{"vllm:estimated_*_per_gpu", "operations and bytes are not counted in a step"},
    OmittedMetric{"vllm:request_num_preemptions",
                  "preemptions are counted for the server, not by request"},
    OmittedMetric{"vllm:kv_block_*", "no block's age is kept"},
};

}  // namespace vllm_metric
}  // namespace runahead

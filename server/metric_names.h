// The names, types and help of every exported series: the one list behind /metrics and
// docs/metrics.md. Immutable.
#pragma once

#include <array>
#include <cstdint>

namespace runahead {

enum class MetricKind : uint8_t { kCounter, kGauge, kHistogram };

// Units are in the name (_seconds, _tokens, _ratio). `labels` lists what a series carries beside
// `model`.
struct MetricInfo {
  const char* name;
  MetricKind kind;
  const char* labels;
  const char* help;
};

namespace metric {

using enum MetricKind;

inline constexpr MetricInfo kReceived = {
    "runahead_requests_received_total", kCounter, "",
    "Requests received: finished + rejected + cancelled + expired + failed + waiting + running"};
inline constexpr MetricInfo kFinished = {"runahead_requests_finished_total", kCounter, "reason",
                                         "Requests that finished, by reason (stop, length)"};
inline constexpr MetricInfo kRejected = {"runahead_requests_rejected_total", kCounter, "reason",
                                         "Requests refused before they were queued, by reason"};
inline constexpr MetricInfo kCancelled = {
    "runahead_requests_cancelled_total", kCounter, "phase",
    "Requests whose client went away, by phase (queued, running)"};
inline constexpr MetricInfo kExpired = {"runahead_requests_expired_total", kCounter, "phase",
                                        "Requests past their deadline, by phase (queued, running)"};
inline constexpr MetricInfo kFailed = {"runahead_requests_failed_total", kCounter, "",
                                       "Requests that ended because the engine failed"};
inline constexpr MetricInfo kWaiting = {"runahead_requests_waiting", kGauge, "",
                                        "Requests in the queue, counted from it"};
inline constexpr MetricInfo kRunning = {"runahead_requests_running", kGauge, "",
                                        "Requests in the running set, counted from it"};
inline constexpr MetricInfo kPromptTokens = {"runahead_prompt_tokens_total", kCounter, "",
                                             "Prompt tokens of requests that were scheduled"};
inline constexpr MetricInfo kCachedTokens = {"runahead_cached_prompt_tokens_total", kCounter, "",
                                             "Prompt tokens served from the prefix cache"};
inline constexpr MetricInfo kGeneratedTokens = {"runahead_generated_tokens_total", kCounter, "",
                                                "Tokens generated, the discarded ones included"};
inline constexpr MetricInfo kDiscardedTokens = {
    "runahead_discarded_tokens_total", kCounter, "",
    "Tokens computed past a stop, a cancel or a deadline"};
inline constexpr MetricInfo kPrefixQueries = {"runahead_prefix_cache_query_tokens_total", kCounter,
                                              "", "Tokens looked up in the prefix cache"};
inline constexpr MetricInfo kPrefixHits = {"runahead_prefix_cache_hit_tokens_total", kCounter, "",
                                           "Tokens found in the prefix cache"};
inline constexpr MetricInfo kPreemptions = {"runahead_preemptions_total", kCounter, "",
                                            "Sequences put back into the queue for want of blocks"};
inline constexpr MetricInfo kSteps = {"runahead_engine_steps_total", kCounter, "",
                                      "Steps of the engine that ran a batch"};
inline constexpr MetricInfo kBlocks = {"runahead_kv_cache_blocks", kGauge, "state",
                                       "KV-cache blocks by state (used, cached, free)"};
inline constexpr MetricInfo kUtilization = {"runahead_kv_cache_utilization_ratio", kGauge, "",
                                            "Blocks held by sequences over all blocks, 0 to 1"};
inline constexpr MetricInfo kQueueSeconds = {"runahead_request_queue_seconds", kHistogram, "",
                                             "From arrival to the first step that ran the request"};
inline constexpr MetricInfo kPrefillSeconds = {"runahead_request_prefill_seconds", kHistogram, "",
                                               "From the first step to the first token"};
inline constexpr MetricInfo kDecodeSeconds = {"runahead_request_decode_seconds", kHistogram, "",
                                              "From the first token to the last"};
inline constexpr MetricInfo kTtftSeconds = {"runahead_time_to_first_token_seconds", kHistogram, "",
                                            "From arrival to the first token"};
inline constexpr MetricInfo kInterTokenSeconds = {
    "runahead_inter_token_seconds", kHistogram, "",
    "Time per token after the first; the tokens of one step share its gap"};
inline constexpr MetricInfo kInterChunkSeconds = {
    "runahead_inter_chunk_seconds", kHistogram, "",
    "Time from a choice's tokens of one step to those of the next: what a stream waits"};
inline constexpr MetricInfo kTokenSeconds = {
    "runahead_request_time_per_token_seconds", kHistogram, "",
    "Decode time of a finished request over the tokens of its longest choice after the first"};
inline constexpr MetricInfo kInferenceSeconds = {
    "runahead_request_inference_seconds", kHistogram, "",
    "From the first step to the last token of a finished request"};
inline constexpr MetricInfo kE2eSeconds = {"runahead_request_e2e_seconds", kHistogram, "",
                                           "From arrival to the end of the request"};
inline constexpr MetricInfo kStepSeconds = {"runahead_step_seconds", kHistogram, "",
                                            "Wall time of one engine step"};
inline constexpr MetricInfo kHostSeconds = {"runahead_step_host_seconds", kHistogram, "",
                                            "Part of a step spent outside the model"};
inline constexpr MetricInfo kBatchSequences = {"runahead_step_batch_sequences", kHistogram, "",
                                               "Sequences in one step"};
inline constexpr MetricInfo kBatchTokens = {"runahead_step_batch_tokens", kHistogram, "",
                                            "Tokens (rows) in one step"};
inline constexpr MetricInfo kPromptSize = {"runahead_request_prompt_tokens", kHistogram, "",
                                           "Prompt length of one request"};
inline constexpr MetricInfo kGeneratedSize = {"runahead_request_generated_tokens", kHistogram, "",
                                              "Tokens generated for one request"};
inline constexpr MetricInfo kComputedSize = {
    "runahead_request_computed_prompt_tokens", kHistogram, "",
    "Prompt tokens of one request that no cached prefix served"};
inline constexpr MetricInfo kLongestSize = {"runahead_request_longest_choice_tokens", kHistogram,
                                            "", "Tokens of one request's longest choice"};
inline constexpr MetricInfo kMaxTokens = {"runahead_request_max_tokens", kHistogram, "",
                                          "Most tokens one request allowed a choice"};
inline constexpr MetricInfo kChoices = {"runahead_request_choices", kHistogram, "",
                                        "Choices one request asked for"};
inline constexpr MetricInfo kQueueLimit = {"runahead_queue_limit_requests", kGauge, "",
                                           "Waiting requests at which new ones are refused"};
inline constexpr MetricInfo kEngineState = {
    "runahead_engine_state", kGauge, "state",
    "1 for the state the engine is in (serving, draining, stuck, failed, stopped), else 0"};
inline constexpr MetricInfo kDrafts = {
    "runahead_spec_decode_drafts_total", kCounter, "drafter",
    "Drafts: what one sequence had the target judge in one step, by who proposed it"};
inline constexpr MetricInfo kDraftTokens = {"runahead_spec_decode_draft_tokens_total", kCounter,
                                            "drafter", "Tokens of those drafts"};
inline constexpr MetricInfo kAcceptedTokens = {"runahead_spec_decode_accepted_tokens_total",
                                               kCounter, "drafter",
                                               "Tokens of drafts that the target agreed with"};
inline constexpr MetricInfo kDraftTokensAt = {
    "runahead_spec_decode_draft_tokens_per_position_total", kCounter, "drafter, position",
    "Tokens of drafts by their position in the draft, 0 to 15"};
inline constexpr MetricInfo kAcceptedTokensAt = {
    "runahead_spec_decode_accepted_tokens_per_position_total", kCounter, "drafter, position",
    "Accepted tokens by their position in the draft, 0 to 15"};
inline constexpr MetricInfo kAcceptedLength = {"runahead_spec_decode_acceptance_length_tokens",
                                               kHistogram, "drafter",
                                               "Accepted tokens of one draft"};
inline constexpr MetricInfo kTokensPerRun = {
    "runahead_spec_decode_tokens_per_step", kHistogram, "",
    "Tokens one target step gave one sequence: 1 without drafts, accepted drafts and 1 with them"};
inline constexpr MetricInfo kDraftSeconds = {"runahead_spec_decode_draft_seconds", kHistogram, "",
                                             "Drafters' part of a step that drafted or caught up"};
inline constexpr MetricInfo kVerifySeconds = {"runahead_spec_decode_verify_seconds", kHistogram, "",
                                              "Target's part of a step that judged drafts"};
inline constexpr MetricInfo kCatchUpTokens = {
    "runahead_spec_decode_catch_up_tokens_total", kCounter, "",
    "Tokens the draft model ran to come level with the target"};
inline constexpr MetricInfo kDraftLength = {
    "runahead_spec_decode_draft_length_tokens", kGauge, "",
    "Current k: mean draft length over the sequences of the last decode step"};
inline constexpr MetricInfo kLossSeconds = {
    "runahead_spec_decode_loss_seconds", kGauge, "",
    "Balance of the ledger: time speculation has cost over time it saved, negative when it gained"};
inline constexpr MetricInfo kBookedSeconds = {
    "runahead_spec_decode_booked_seconds_total", kCounter, "",
    "Decode time in the ledger: what its balance is a share of"};
inline constexpr MetricInfo kResting = {"runahead_spec_decode_resting", kGauge, "",
                                        "1 while the ledger forbids drafts, else 0"};
inline constexpr MetricInfo kBuildInfo = {"runahead_build_info", kGauge,
                                          "version, backend, quantization",
                                          "Always 1; the labels say what runs"};

inline constexpr std::array kAll = {
    kReceived,       kFinished,         kRejected,          kCancelled,
    kExpired,        kFailed,           kWaiting,           kRunning,
    kPromptTokens,   kCachedTokens,     kGeneratedTokens,   kDiscardedTokens,
    kPrefixQueries,  kPrefixHits,       kPreemptions,       kSteps,
    kBlocks,         kUtilization,      kQueueSeconds,      kPrefillSeconds,
    kDecodeSeconds,  kTtftSeconds,      kInterTokenSeconds, kInterChunkSeconds,
    kTokenSeconds,   kInferenceSeconds, kE2eSeconds,        kStepSeconds,
    kHostSeconds,    kBatchSequences,   kBatchTokens,       kPromptSize,
    kGeneratedSize,  kComputedSize,     kLongestSize,       kMaxTokens,
    kChoices,        kQueueLimit,       kEngineState,       kDrafts,
    kDraftTokens,    kAcceptedTokens,   kDraftTokensAt,     kAcceptedTokensAt,
    kAcceptedLength, kTokensPerRun,     kDraftSeconds,      kVerifySeconds,
    kCatchUpTokens,  kDraftLength,      kLossSeconds,       kBookedSeconds,
    kResting,        kBuildInfo};

}  // namespace metric
}  // namespace runahead

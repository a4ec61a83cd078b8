#include "server/explain_format.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "nlohmann/json.hpp"

#include "core/speculation.h"
#include "server/request_segments.h"

namespace runahead {
namespace {

using Json = nlohmann::ordered_json;

// To the microsecond; a sum of 22 such numbers is off by 11 us at most.
double Ms(Duration time) {
  return std::round(static_cast<double>(time / std::chrono::nanoseconds(1)) / 1000) / 1000;
}

std::string Text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string UtcTime(std::chrono::system_clock::time_point time) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch());
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 32> text{};
  const size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::array<char, 8> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%03dZ", static_cast<int>(ms.count() % 1000));
  return std::string(text.data(), length) + fraction.data();
}

const char* DoorName(Door door) { return door == Door::kHttp ? "http" : "grpc"; }

Json FinishName(FinishReason finish) {
  switch (finish) {
    case FinishReason::kNone:
      return nullptr;
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kExpired:
      return "expired";
    case FinishReason::kFailed:
      return "failed";
  }
  return nullptr;
}

Json TraceOf(const RequestFacts& facts) {
  if (!facts.origin.trace) return nullptr;
  const TraceContext& trace = *facts.origin.trace;
  return {{"trace_id", trace.trace_id},
          {"parent_id", trace.parent_id},
          {"span_id", trace.span_id},
          {"sampled", trace.sampled()}};
}

Json TextOrNull(std::string_view text) { return text.empty() ? Json(nullptr) : Json(text); }

// What the answer's last prompt went through; an empty timeline where there was none.
struct Shown {
  PromptRecord prompt;
  RequestTimeline timeline;
};
Shown ShownOf(const RequestFacts& facts) {
  Shown shown;
  if (!facts.prompts.empty()) shown.prompt = facts.prompts.front();
  if (shown.prompt.timeline != nullptr) shown.timeline = *shown.prompt.timeline;
  return shown;
}

Json SegmentsJson(const RequestSegments& segments) {
  Json json = Json::object();
  for (int i = 0; i < kNumWallSegments; ++i) {
    const auto segment = static_cast<WallSegment>(i);
    json[std::string(WallSegmentName(segment))] = Ms(segments.of(segment));
  }
  return json;
}

Json PrefillJson(const RequestTimeline& timeline) {
  Json chunks = Json::array();
  for (int i = 0; i < std::min(timeline.num_chunks, kMaxTimelineChunks); ++i) {
    const RequestTimeline::Chunk& chunk = timeline.chunks[static_cast<size_t>(i)];
    chunks.push_back({{"choice", chunk.choice},
                      {"tokens", chunk.num_tokens},
                      {"batch_sequences", chunk.num_sequences},
                      {"recompute", chunk.is_again},
                      {"at_ms", Ms(chunk.at)},
                      {"ms", Ms(chunk.time)}});
  }
  return {{"tokens", timeline.num_prefill_tokens},
          {"num_chunks", timeline.num_chunks},
          {"chunks", std::move(chunks)}};
}

Json DecodeJson(const RequestTimeline& timeline) {
  Json batch = nullptr;
  if (timeline.num_decode_steps > 0) {
    const double mean =
        static_cast<double>(timeline.sum_batch) / static_cast<double>(timeline.num_decode_steps);
    batch = {{"min", timeline.min_batch},
             {"mean", std::round(mean * 100) / 100},
             {"max", timeline.max_batch}};
  }
  return {{"steps", timeline.num_decode_steps},
          {"batch_sequences", std::move(batch)},
          {"steps_beside_prefill", timeline.num_steps_beside_prefill},
          {"ms_beside_prefill", Ms(timeline.time_beside_prefill)}};
}

RequestTimeline::Drafts TotalDrafts(const RequestTimeline& timeline) {
  RequestTimeline::Drafts total;
  for (const RequestTimeline::Drafts& drafts : timeline.drafts) {
    total.num_drafted += drafts.num_drafted;
    total.num_accepted += drafts.num_accepted;
  }
  return total;
}

Json SpeculationJson(const RequestTimeline& timeline) {
  Json drafters = Json::object();
  for (int kind = 1; kind < kNumDrafterKinds; ++kind) {
    const RequestTimeline::Drafts& drafts = timeline.drafts[static_cast<size_t>(kind)];
    if (drafts.num_drafted == 0) continue;
    drafters[std::string(DrafterName(static_cast<DrafterKind>(kind)))] = {
        {"drafted_tokens", drafts.num_drafted}, {"accepted_tokens", drafts.num_accepted}};
  }
  const RequestTimeline::Drafts total = TotalDrafts(timeline);
  return {{"drafted_tokens", total.num_drafted},
          {"accepted_tokens", total.num_accepted},
          {"drafters", std::move(drafters)},
          {"catch_up_tokens", timeline.num_caught_up_tokens}};
}

Json PreemptionsJson(const RequestTimeline& timeline) {
  return {{"for_blocks", timeline.num_preempted_for_blocks},
          {"for_priority", timeline.num_preempted_for_priority},
          {"recomputed_tokens", timeline.num_recomputed_tokens},
          {"tokens_found_again", timeline.num_refound_tokens}};
}

Json ChoicesJson(const RequestFacts& facts) {
  Json choices = Json::array();
  for (const PromptRecord& prompt : facts.prompts) {
    for (const FinishReason finish : prompt.finishes) {
      choices.push_back({{"index", choices.size()}, {"finish_reason", FinishName(finish)}});
    }
  }
  return choices;
}

Json EngineJson(const RequestFacts& facts) {
  const RequestTimeline timeline = ShownOf(facts).timeline;
  Json first_token_ms = nullptr;
  if (timeline.first_token != TimePoint()) {
    first_token_ms = Ms(timeline.first_token - facts.origin.first_byte);
  }
  return {
      {"queue", {{"requests_ahead", timeline.num_ahead}}},
      {"prefix", {{"tokens", timeline.num_cached_tokens}, {"blocks", timeline.num_cached_blocks}}},
      {"prefill", PrefillJson(timeline)},
      {"first_token_ms", std::move(first_token_ms)},
      {"decode", DecodeJson(timeline)},
      {"speculation", SpeculationJson(timeline)},
      {"preemptions", PreemptionsJson(timeline)},
      {"discarded_tokens", timeline.num_discarded_tokens}};
}

}  // namespace

std::string FormatExplain(const RequestFacts& facts, std::string_view key_name, TimePoint now) {
  const RequestSegments segments = SegmentsOf(facts, now);
  const Shown shown = ShownOf(facts);
  Json json = {
      {"object", "request.explain"},
      {"id", TextOrNull(facts.response_id)},
      {"request_id", facts.origin.id},
      {"status", StatusName(StatusOf(facts))},
      {"http_status", facts.status == 0 ? Json(nullptr) : Json(facts.status)},
      {"delivered", facts.was_delivered},
      {"door", DoorName(facts.origin.door)},
      {"model", TextOrNull(facts.model)},
      {"client", facts.origin.client},
      {"api_key", TextOrNull(key_name)},
      {"trace", TraceOf(facts)},
      {"received_at", UtcTime(facts.began)},
      {"wall_ms", Ms(segments.wall)},
      {"segments_ms", SegmentsJson(segments)},
      {"beside_ms", {{"detokenize", Ms(shown.prompt.in_text)}, {"socket", Ms(facts.stalled)}}},
      {"usage",
       {{"prompts", facts.num_prompts},
        {"prompt_tokens", facts.prompt_tokens},
        {"cached_tokens", facts.cached_tokens},
        {"completion_tokens", facts.completion_tokens}}},
      {"choices", ChoicesJson(facts)}};
  json.update(EngineJson(facts));
  return Text(json);
}

std::string FormatAccessMembers(const RequestFacts& facts, std::string_view key_name) {
  const RequestSegments segments = SegmentsOf(facts, facts.ended);
  Json json = {{"request_id", facts.origin.id},
               {"door", DoorName(facts.origin.door)},
               {"method", facts.origin.method}};
  if (facts.origin.door == Door::kHttp) json["path"] = facts.origin.path;
  json["http_status"] = facts.status;
  json["status"] = StatusName(StatusOf(facts));
  json["client"] = facts.origin.client;
  json["api_key"] = TextOrNull(key_name);
  if (facts.origin.trace) {
    json["trace_id"] = facts.origin.trace->trace_id;
    json["parent_id"] = facts.origin.trace->parent_id;
    json["span_id"] = facts.origin.trace->span_id;
  }
  if (facts.is_generation) {
    const RequestTimeline timeline = ShownOf(facts).timeline;
    const RequestTimeline::Drafts drafts = TotalDrafts(timeline);
    json["response_id"] = TextOrNull(facts.response_id);
    json["model"] = facts.model;
    json["finish_reason"] = nullptr;
    const Json choices = ChoicesJson(facts);
    if (!choices.empty()) json["finish_reason"] = choices.front()["finish_reason"];
    json["prompt_tokens"] = facts.prompt_tokens;
    json["cached_tokens"] = facts.cached_tokens;
    json["completion_tokens"] = facts.completion_tokens;
    json["drafted_tokens"] = drafts.num_drafted;
    json["accepted_tokens"] = drafts.num_accepted;
    json["preemptions"] = timeline.num_preempted_for_blocks + timeline.num_preempted_for_priority;
    json["queue_ms"] = Ms(segments.queue());
    json["prefill_ms"] = Ms(segments.of(WallSegment::kPrefill));
    json["decode_ms"] = Ms(segments.of(WallSegment::kDecode) + segments.of(WallSegment::kDraft));
    json["socket_ms"] = Ms(segments.of(WallSegment::kSocket));
  }
  json["total_ms"] = Ms(segments.wall);
  const std::string object = Text(json);
  return object.substr(1, object.size() - 2);
}

std::string FormatAccessText(const RequestFacts& facts, std::string_view key_name) {
  const RequestSegments segments = SegmentsOf(facts, facts.ended);
  const auto ms = [](Duration time) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f", Ms(time));
    return std::string(text.data());
  };
  std::string line = facts.origin.method + " ";
  if (facts.origin.door == Door::kHttp) line += facts.origin.path + " ";
  line += std::to_string(facts.status) + " " + std::string(StatusName(StatusOf(facts))) + " " +
          ms(segments.wall) + " ms";
  if (facts.is_generation) {
    line += " (queue " + ms(segments.queue()) + ", prefill " +
            ms(segments.of(WallSegment::kPrefill)) + ", decode " +
            ms(segments.of(WallSegment::kDecode) + segments.of(WallSegment::kDraft)) + "), " +
            std::to_string(facts.prompt_tokens) + "+" + std::to_string(facts.completion_tokens) +
            " tokens";
  }
  line += ", request " + facts.origin.id + " of " + facts.origin.client;
  if (!key_name.empty()) line += " (" + std::string(key_name) + ")";
  if (facts.origin.trace) line += ", trace " + facts.origin.trace->trace_id;
  // One line, whatever a client called itself.
  std::ranges::replace_if(
      line, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return line;
}

}  // namespace runahead

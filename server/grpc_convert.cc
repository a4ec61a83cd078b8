#include "server/grpc_convert.h"

#include <algorithm>
#include <utility>

#include "server/request_limits.h"

namespace runahead {
namespace {

void ReadSampling(const v1::SamplingOptions& options, GenerationRequest& out) {
  SamplingParams& sampling = out.sampling;
  if (options.has_temperature()) sampling.temperature = options.temperature();
  // As over HTTP: top_p 0 leaves the most likely token alone, top_k -1 is off.
  if (options.has_top_p()) sampling.top_p = std::max(options.top_p(), 1e-6f);
  if (options.has_top_k()) sampling.top_k = options.top_k() == -1 ? 0 : options.top_k();
  if (options.has_min_p()) sampling.min_p = options.min_p();
  if (options.has_repetition_penalty()) sampling.repetition_penalty = options.repetition_penalty();
  if (options.has_presence_penalty()) sampling.presence_penalty = options.presence_penalty();
  if (options.has_frequency_penalty()) sampling.frequency_penalty = options.frequency_penalty();
  if (options.has_seed()) out.seed = options.seed();
  for (const auto& [token, bias] : options.logit_bias())
    sampling.logit_bias.emplace_back(token, bias);
  std::ranges::sort(sampling.logit_bias);  // a protobuf map has no order
  sampling.allowed_token_ids.assign(options.allowed_token_ids().begin(),
                                    options.allowed_token_ids().end());
  std::ranges::sort(sampling.allowed_token_ids);
  sampling.banned_token_ids.assign(options.banned_token_ids().begin(),
                                   options.banned_token_ids().end());
  if (options.has_logprobs()) sampling.num_logprobs = options.logprobs();
  if (options.has_prompt_logprobs()) sampling.num_prompt_logprobs = options.prompt_logprobs();
}

Status ReadSpeculation(const v1::SpeculationOptions& options, SpeculationRequest& out) {
  switch (options.mode()) {
    case v1::SPECULATION_MODE_UNSPECIFIED:
      break;
    case v1::SPECULATION_MODE_AUTO:
      out.mode = SpeculationMode::kAuto;
      break;
    case v1::SPECULATION_MODE_OFF:
      out.mode = SpeculationMode::kOff;
      break;
    case v1::SPECULATION_MODE_FIXED:
      out.mode = SpeculationMode::kFixed;
      break;
    default:
      return InvalidArgument("'speculation.mode' must be auto, off or fixed.", "speculation.mode");
  }
  if (options.has_max_tokens()) out.max_tokens = options.max_tokens();
  out.include_usage = options.include_usage();
  out.include_drafter = options.include_drafter();
  return {};
}

// Fields of both calls; the model's own sampling defaults apply where a field is absent.
// Generation::Start checks the ranges.
Status ReadOptions(const v1::GenerationOptions& options, const ServedModel& model,
                   GenerationRequest& out) {
  out.model = model.name;
  ApplyDefaults(model.defaults, out.sampling);
  ReadSampling(options.sampling(), out);
  if (options.has_max_tokens()) out.max_tokens = options.max_tokens();
  out.min_tokens = options.min_tokens();
  if (options.has_n()) out.num_choices = options.n();
  out.stop.assign(options.stop().begin(), options.stop().end());
  out.stop_token_ids.assign(options.stop_token_ids().begin(), options.stop_token_ids().end());
  out.include_stop_in_output = options.include_stop_in_output();
  out.ignore_eos = options.ignore_eos();
  if (options.has_skip_special_tokens()) out.skip_special_tokens = options.skip_special_tokens();
  out.priority = options.priority();
  out.cache_salt = options.cache_salt();
  if (options.has_prediction()) out.prediction = EncodePrediction(model, options.prediction());
  return ReadSpeculation(options.speculation(), out.speculation);
}

v1::TopLogprob ToProto(const TokenLogprob& logprob, const Tokenizer& tokenizer) {
  v1::TopLogprob out;
  out.set_token_id(logprob.token);
  out.set_token(std::string(tokenizer.TokenBytes(logprob.token)));
  out.set_logprob(logprob.logprob);
  return out;
}

v1::Drafter ToProto(DrafterKind kind) {
  switch (kind) {
    case DrafterKind::kNone:
      return v1::DRAFTER_UNSPECIFIED;
    case DrafterKind::kModel:
      return v1::DRAFTER_MODEL;
    case DrafterKind::kNgram:
      return v1::DRAFTER_NGRAM;
    case DrafterKind::kPrediction:
      return v1::DRAFTER_PREDICTION;
    case DrafterKind::kSelf:
      return v1::DRAFTER_SELF;
  }
  return v1::DRAFTER_UNSPECIFIED;
}

v1::SpeculationUsage ToProto(const DraftUsage& drafts) {
  v1::SpeculationUsage out;
  out.set_target_steps(drafts.target_steps);
  out.set_drafted_tokens(drafts.total().drafted_tokens);
  out.set_accepted_tokens(drafts.total().accepted_tokens);
  for (int i = 0; i < kNumDrafterKinds; ++i) {
    const auto kind = static_cast<DrafterKind>(i);
    const DraftUsage::Counts& counts = drafts.of(kind);
    if (counts.drafted_tokens == 0) continue;
    v1::DrafterUsage& drafter = *out.add_drafters();
    drafter.set_drafter(ToProto(kind));
    drafter.set_drafted_tokens(counts.drafted_tokens);
    drafter.set_accepted_tokens(counts.accepted_tokens);
  }
  return out;
}

v1::FinishReason ToProto(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return v1::FINISH_REASON_STOP;
    case FinishReason::kLength:
      return v1::FINISH_REASON_LENGTH;
    default:
      return v1::FINISH_REASON_UNSPECIFIED;
  }
}

grpc::StatusCode ToGrpcCode(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return grpc::StatusCode::OK;
    case StatusCode::kInvalidArgument:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case StatusCode::kUnauthenticated:
      return grpc::StatusCode::UNAUTHENTICATED;
    case StatusCode::kNotFound:
      return grpc::StatusCode::NOT_FOUND;
    case StatusCode::kPayloadTooLarge:
    case StatusCode::kResourceExhausted:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case StatusCode::kCancelled:
      return grpc::StatusCode::CANCELLED;
    case StatusCode::kInternal:
      return grpc::StatusCode::INTERNAL;
    case StatusCode::kUnimplemented:
      return grpc::StatusCode::UNIMPLEMENTED;
    case StatusCode::kUnavailable:
      return grpc::StatusCode::UNAVAILABLE;
    case StatusCode::kDeadlineExceeded:
      return grpc::StatusCode::DEADLINE_EXCEEDED;
  }
  return grpc::StatusCode::UNKNOWN;
}

}  // namespace

Result<nlohmann::ordered_json> MessagesFromProto(
    const google::protobuf::RepeatedPtrField<v1::Message>& messages) {
  auto out = nlohmann::ordered_json::array();
  for (const v1::Message& message : messages) {
    nlohmann::ordered_json item;
    item["role"] = message.role();
    item["content"] = message.content();
    if (!message.name().empty()) item["name"] = message.name();
    out.push_back(std::move(item));
  }
  RA_RETURN_IF_ERROR(CheckMessages(out));
  return out;
}

Result<GenerationRequest> FromProto(const v1::ChatRequest& request, const ServedModel& model) {
  GenerationRequest out;
  out.id = request.request_id();
  RA_ASSIGN_OR_RETURN(auto messages, MessagesFromProto(request.messages()));
  ChatPrompt prompt{.messages = std::move(messages)};
  if (request.has_add_generation_prompt()) {
    prompt.add_generation_prompt = request.add_generation_prompt();
  }
  out.prompt = std::move(prompt);
  RA_RETURN_IF_ERROR(ReadOptions(request.options(), model, out));
  return out;
}

Result<GenerationRequest> FromProto(const v1::GenerateRequest& request, const ServedModel& model) {
  GenerationRequest out;
  out.id = request.request_id();
  out.echo = request.echo();
  switch (request.prompt_case()) {
    case v1::GenerateRequest::kText:
      out.prompt = TextPrompt{.text = request.text()};
      break;
    case v1::GenerateRequest::kTokens:
      out.prompt =
          TokenPrompt{.ids = {request.tokens().ids().begin(), request.tokens().ids().end()}};
      break;
    case v1::GenerateRequest::PROMPT_NOT_SET:
      return InvalidArgument("a prompt is required: text or tokens", "prompt");
  }
  RA_RETURN_IF_ERROR(ReadOptions(request.options(), model, out));
  return out;
}

v1::Token ToProto(const TokenDetail& token, const Tokenizer& tokenizer) {
  v1::Token out;
  out.set_id(token.id);
  out.set_bytes(token.bytes);
  if (token.drafted_by) out.set_drafted_by(ToProto(*token.drafted_by));
  if (token.logprobs.has_value()) {
    out.set_logprob(token.logprobs->chosen.logprob);
    out.set_rank(token.logprobs->chosen.rank);
    for (const TokenLogprob& top : token.logprobs->top) *out.add_top() = ToProto(top, tokenizer);
  }
  return out;
}

v1::GenerateResponse ToProto(const Delta& delta, const Tokenizer& tokenizer) {
  v1::GenerateResponse out;
  out.set_index(delta.choice);
  out.set_text(delta.text);
  for (const TokenDetail& token : delta.tokens) *out.add_tokens() = ToProto(token, tokenizer);
  out.set_finish_reason(ToProto(delta.finish));
  if (delta.stop_reason.has_value()) {
    if (const auto* text = std::get_if<std::string>(&*delta.stop_reason)) {
      out.set_stop_string(*text);
    } else {
      out.set_stop_token_id(std::get<int32_t>(*delta.stop_reason));
    }
  }
  return out;
}

v1::Usage ToProto(const Usage& usage) {
  v1::Usage out;
  out.set_prompt_tokens(usage.prompt_tokens);
  out.set_completion_tokens(usage.completion_tokens);
  out.set_cached_tokens(usage.cached_tokens);
  const DraftUsage::Counts& predicted = usage.drafts.of(DrafterKind::kPrediction);
  out.set_accepted_prediction_tokens(predicted.accepted_tokens);
  out.set_rejected_prediction_tokens(predicted.drafted_tokens - predicted.accepted_tokens);
  if (usage.includes_drafts) *out.mutable_speculation() = ToProto(usage.drafts);
  return out;
}

grpc::Status ToGrpc(const Status& status) { return {ToGrpcCode(status.code()), status.message()}; }

}  // namespace runahead

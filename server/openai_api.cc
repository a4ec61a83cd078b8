#include "server/openai_api.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "server/http_error.h"
#include "server/json_fields.h"
#include "server/openai_format.h"
#include "server/openai_parse.h"
#include "server/openai_reply.h"
#include "server/rejection.h"

namespace runahead {
namespace {

int64_t UnixSeconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

// Of the request's id, so that a log line, the answer and the client's own record name one thing.
std::string AnswerId(OpenAiRoute route, const std::string& request_id) {
  return (route == OpenAiRoute::kChat ? "chatcmpl-" : "cmpl-") + request_id;
}

TimePoint DeadlineOf(const ServedModel& model, const HttpRequest& request,
                     const OpenAiRequest& parsed) {
  if (!parsed.timeout_seconds) return request.deadline;
  const auto timeout =
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*parsed.timeout_seconds));
  return std::min(request.deadline, model.clock->Now() + timeout);
}

HttpReply JsonReply(const Result<Json>& result) {
  if (!result.ok()) return ErrorResponse(result.status());
  HttpResponse response;
  response.body = Dump(*result);
  return response;
}

Json ModelObject(const ServedModel& model) {
  return {{"id", model.name},
          {"object", "model"},
          {"created", model.created_unix_seconds},
          {"owned_by", "runahead"},
          {"root", model.name},
          {"parent", nullptr},
          {"max_model_len", model.max_context}};
}

Result<Prompt> SidePrompt(const Json& body) {
  FieldReader fields(body);
  const bool add_special = fields.Bool("add_special_tokens").value_or(true);
  if (fields.Find("messages") != nullptr) {
    ChatPrompt prompt;
    RA_ASSIGN_OR_RETURN(prompt.messages, ParseMessages(body));
    prompt.add_generation_prompt = fields.Bool("add_generation_prompt").value_or(true);
    prompt.template_kwargs = Json::object();
    if (const Json* kwargs = fields.Object("chat_template_kwargs"))
      prompt.template_kwargs = *kwargs;
    if (!fields.status().ok()) return fields.status();
    return Prompt(std::move(prompt));
  }
  std::optional<std::string> text = fields.String("prompt", std::string::npos);
  if (!fields.status().ok()) return fields.status();
  if (!text) return InvalidArgument("'prompt' or 'messages' is required.", "prompt");
  return Prompt(TextPrompt{*std::move(text), add_special});
}

}  // namespace

OpenAiApi::OpenAiApi(const ModelRegistry& models, Generation::Post post, RequestLog* log)
    : models_(models), post_(std::move(post)), log_(log) {}

HttpReply OpenAiApi::ChatCompletions(const HttpRequest& request) const {
  return Generate(request, OpenAiRoute::kChat);
}

HttpReply OpenAiApi::Completions(const HttpRequest& request) const {
  return Generate(request, OpenAiRoute::kCompletion);
}

HttpReply OpenAiApi::Generate(const HttpRequest& request, OpenAiRoute route) const {
  Metrics* metrics = models_.models().front()->metrics;
  if (log_ != nullptr && request.record != nullptr) {
    log_->Keep(request.record);
    request.record->OnGeneration(request.id, AnswerId(route, request.id), "");
  }
  Result<std::unique_ptr<PendingReply>> reply = TryGenerate(request, route, metrics);
  if (reply.ok()) return std::move(*reply);
  if (metrics != nullptr) CountRejection(*metrics, reply.status());
  return ErrorResponse(reply.status());
}

// Sets `metrics` to null once refusals are counted by Generation::Start.
Result<std::unique_ptr<PendingReply>> OpenAiApi::TryGenerate(const HttpRequest& request,
                                                             OpenAiRoute route,
                                                             Metrics*& metrics) const {
  RA_ASSIGN_OR_RETURN(const Json body, ParseJsonBody(request.body));
  RA_ASSIGN_OR_RETURN(const std::string name, ParseModelName(body));
  RA_ASSIGN_OR_RETURN(ServedModel* const model, models_.Find(name));
  metrics = model->metrics;
  RA_ASSIGN_OR_RETURN(OpenAiRequest parsed, ParseOpenAiRequest(body, route, model->defaults));
  parsed.base.deadline = DeadlineOf(*model, request, parsed);
  parsed.base.id = parsed.request_id.empty() ? request.id : parsed.request_id;
  if (request.record != nullptr) {
    request.record->OnGeneration(parsed.base.id, AnswerId(route, parsed.base.id), model->name);
    parsed.base.record = request.record;
  }
  if (parsed.prediction) parsed.base.prediction = EncodePrediction(*model, *parsed.prediction);
  metrics = nullptr;

  std::vector<std::shared_ptr<Generation>> generations;
  for (Prompt& prompt : parsed.prompts) {
    parsed.base.prompt = std::move(prompt);
    RA_ASSIGN_OR_RETURN(std::shared_ptr<Generation> generation,
                        Generation::Start(*model, parsed.base, post_));
    generations.push_back(std::move(generation));
  }
  OpenAiReply::Options options;
  options.head = {.route = route,
                  .id = AnswerId(route, parsed.base.id),
                  .created_unix_seconds = UnixSeconds(),
                  .model = model->name,
                  .system_fingerprint = model->fingerprint,
                  .wants_logprobs = parsed.wants_logprobs,
                  .include_usage = parsed.include_usage,
                  .continuous_usage_stats = parsed.continuous_usage_stats};
  options.stream = parsed.stream;
  options.wants_prompt_logprobs = parsed.wants_prompt_logprobs;
  options.num_choices = parsed.base.num_choices;
  options.shows_drafters = parsed.base.speculation.include_drafter;
  return std::unique_ptr<PendingReply>(
      std::make_unique<OpenAiReply>(*model, std::move(options), std::move(generations)));
}

HttpReply OpenAiApi::ListModels(const HttpRequest&) const {
  Json data = Json::array();
  for (const ServedModel* model : models_.models()) data.push_back(ModelObject(*model));
  return JsonReply(Json({{"object", "list"}, {"data", std::move(data)}}));
}

HttpReply OpenAiApi::GetModel(const HttpRequest& request) const {
  constexpr std::string_view kPrefix = "/v1/models/";
  const Result<ServedModel*> model = models_.Find(request.path.substr(kPrefix.size()));
  if (!model.ok()) return ErrorResponse(model.status());
  return JsonReply(ModelObject(**model));
}

Result<ServedModel*> OpenAiApi::SideModel(const Json& body) const {
  if (!body.is_object()) return InvalidArgument("The request body must be a JSON object.");
  if (FindMember(body, "model") == nullptr) return models_.models().front();
  RA_ASSIGN_OR_RETURN(const std::string name, ParseModelName(body));
  return models_.Find(name);
}

Result<Json> OpenAiApi::TryTokenize(const HttpRequest& request) const {
  RA_ASSIGN_OR_RETURN(const Json body, ParseJsonBody(request.body));
  RA_ASSIGN_OR_RETURN(ServedModel* const model, SideModel(body));
  RA_ASSIGN_OR_RETURN(const Prompt prompt, SidePrompt(body));
  RA_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, EncodePrompt(*model, prompt));
  Json out = {{"count", ids.size()}, {"max_model_len", model->max_context}, {"tokens", ids}};
  FieldReader fields(body);
  out["token_strs"] = nullptr;
  if (fields.Bool("return_token_strs").value_or(false)) {
    out["token_strs"] = Json::array();
    for (const int32_t id : ids) {
      out["token_strs"].push_back(model->tokenizer->IdToToken(id).value_or(""));
    }
  }
  if (!fields.status().ok()) return fields.status();
  return out;
}

HttpReply OpenAiApi::Tokenize(const HttpRequest& request) const {
  return JsonReply(TryTokenize(request));
}

Result<Json> OpenAiApi::TryDetokenize(const HttpRequest& request) const {
  RA_ASSIGN_OR_RETURN(const Json body, ParseJsonBody(request.body));
  RA_ASSIGN_OR_RETURN(ServedModel* const model, SideModel(body));
  FieldReader fields(body);
  if (fields.Find("tokens") == nullptr) fields.Fail("tokens", "is required");
  TokenPrompt prompt{fields.TokenIds("tokens", 1'000'000)};
  if (!fields.status().ok()) return fields.status();
  const Result<std::vector<int32_t>> ids = EncodePrompt(*model, prompt);
  if (!ids.ok()) return InvalidArgument(ids.status().message(), "tokens");
  return Json({{"prompt", model->tokenizer->Decode(*ids, false)}});
}

HttpReply OpenAiApi::Detokenize(const HttpRequest& request) const {
  return JsonReply(TryDetokenize(request));
}

}  // namespace runahead

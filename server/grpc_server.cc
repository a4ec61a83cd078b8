#include "server/grpc_server.h"

#include <fstream>
#include <future>
#include <iterator>
#include <utility>

#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/health_check_service_interface.h"

#include "grpc/grpc.h"
#include "runahead/v1/inference.grpc.pb.h"
#include "server/api_keys.h"
#include "server/grpc_convert.h"
#include "server/grpc_stream.h"
#include "server/http_error.h"
#include "server/http_gate.h"
#include "server/rejection.h"

namespace runahead {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

// The call's deadline on the clock the engine goes by.
TimePoint DeadlineOf(const CallbackServerContext& context, const Clock& clock) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return kNoDeadline;
  const auto left = deadline - std::chrono::system_clock::now();
  if (left > std::chrono::hours(24 * 365)) return kNoDeadline;
  return clock.Now() + std::chrono::duration_cast<Duration>(left);
}

class InferenceService final : public v1::InferenceService::CallbackService {
 public:
  InferenceService(ModelRegistry& models, ApiKeys keys, Generation::Post post, RequestLog* log)
      : models_(models), keys_(std::move(keys)), post_(std::move(post)), log_(log) {}

  grpc::ServerWriteReactor<v1::GenerateResponse>* Chat(CallbackServerContext* context,
                                                       const v1::ChatRequest* request) override {
    return StartStream(*context, *request, "Chat");
  }

  grpc::ServerWriteReactor<v1::GenerateResponse>* Generate(
      CallbackServerContext* context, const v1::GenerateRequest* request) override {
    return StartStream(*context, *request, "Generate");
  }

  ServerUnaryReactor* Tokenize(CallbackServerContext* context, const v1::TokenizeRequest* request,
                               v1::TokenizeResponse* response) override {
    return Answer(*context, "Tokenize", [&] { return DoTokenize(*context, *request, *response); });
  }

  ServerUnaryReactor* Detokenize(CallbackServerContext* context,
                                 const v1::DetokenizeRequest* request,
                                 v1::DetokenizeResponse* response) override {
    return Answer(*context, "Detokenize",
                  [&] { return DoDetokenize(*context, *request, *response); });
  }

  ServerUnaryReactor* ListModels(CallbackServerContext* context, const v1::ListModelsRequest*,
                                 v1::ListModelsResponse* response) override {
    return Answer(*context, "ListModels", [&] { return DoListModels(*context, *response); });
  }

 private:
  static std::string_view Metadata(const CallbackServerContext& context, const char* name) {
    const auto& metadata = context.client_metadata();
    const auto header = metadata.find(name);
    if (header == metadata.end()) return {};
    return {header->second.data(), header->second.size()};
  }

  Status Authenticate(const CallbackServerContext& context) const {
    if (keys_.Allow(Metadata(context, "authorization"))) return {};
    return {StatusCode::kUnauthenticated, "a valid API key is required: authorization: Bearer KEY",
            "", "invalid_api_key"};
  }

  // An empty name means the first model, so that simple clients need not know it.
  Result<ServedModel*> FindModel(const CallbackServerContext& context,
                                 const std::string& name) const {
    RA_RETURN_IF_ERROR(Authenticate(context));
    return models_.Find(name.empty() ? models_.models().front()->name : name);
  }

  template <typename RequestT>
  Result<std::pair<GenerationRequest, ServedModel*>> Read(const CallbackServerContext& context,
                                                          const RequestT& request) const {
    RA_ASSIGN_OR_RETURN(ServedModel * model, FindModel(context, request.model()));
    RA_ASSIGN_OR_RETURN(GenerationRequest generation, FromProto(request, *model));
    generation.deadline = DeadlineOf(context, *model->clock);
    return std::pair(std::move(generation), model);
  }

  // A request's record, kept to be explained; null where nobody wants it. Its message is here
  // already: when it began to arrive, gRPC does not say.
  std::shared_ptr<RequestRecord> Record(CallbackServerContext& context, const char* call,
                                        const std::string& id) const {
    auto trace = context.client_metadata().count("traceparent") == 1
                     ? ParseTraceparent(Metadata(context, "traceparent"))
                     : std::nullopt;
    if (trace) context.AddInitialMetadata("traceresponse", FormatTraceresponse(*trace));
    if (log_ == nullptr) return nullptr;
    auto record = log_->Begin({.door = Door::kGrpc,
                               .method = call,
                               .id = id,
                               .client = context.peer(),
                               .trace = std::move(trace),
                               .key = keys_.Find(Metadata(context, "authorization")).value_or(-1)});
    record->OnReceived();
    record->OnHandled();
    return record;
  }

  template <typename RequestT>
  GenerateReactor* StartStream(CallbackServerContext& context, const RequestT& request,
                               const char* call) {
    const std::string id = request.request_id().empty() ? NewRequestId() : request.request_id();
    const auto record = Record(context, call, id);
    auto read = Read(context, request);
    if (!read.ok()) {
      CountRejection(*models_.models().front()->metrics, read.status());
      return GenerateReactor::Fail(read.status(), record);
    }
    auto& [generation_request, model] = *read;
    generation_request.id = id;
    if (record != nullptr) {
      log_->Keep(record);
      record->OnGeneration(id, id, model->name);
      generation_request.record = record;
    }
    auto generation = Generation::Start(*model, generation_request, post_);
    if (!generation.ok()) return GenerateReactor::Fail(generation.status(), record);
    return GenerateReactor::Start(*model, generation_request, std::move(generation).value());
  }

  template <typename Work>
  ServerUnaryReactor* Answer(CallbackServerContext& context, const char* call,
                             const Work& work) const {
    const auto record = Record(context, call, log_ == nullptr ? "" : NewRequestId());
    const Status status = work();
    if (record != nullptr) {
      record->OnAnswered(HttpStatusOf(status.code()));
      record->OnEnd(true);
    }
    ServerUnaryReactor* reactor = context.DefaultReactor();
    reactor->Finish(ToGrpc(status));
    return reactor;
  }

  Status DoListModels(const CallbackServerContext& context,
                      v1::ListModelsResponse& response) const {
    RA_RETURN_IF_ERROR(Authenticate(context));
    for (const ServedModel* model : models_.models()) {
      v1::Model& item = *response.add_models();
      item.set_id(model->name);
      item.set_created(model->created_unix_seconds);
      item.set_max_model_len(model->max_context);
    }
    return {};
  }

  Status DoTokenize(const CallbackServerContext& context, const v1::TokenizeRequest& request,
                    v1::TokenizeResponse& response) const {
    RA_ASSIGN_OR_RETURN(const ServedModel* model, FindModel(context, request.model()));
    std::string text = request.text();
    bool add_special = true;
    if (request.has_chat()) {
      RA_ASSIGN_OR_RETURN(const auto messages, MessagesFromProto(request.chat().messages()));
      if (model->chat_template == nullptr) {
        return InvalidArgument("the model has no chat template", "chat");
      }
      ChatTemplate::Options options;
      if (request.chat().has_add_generation_prompt()) {
        options.add_generation_prompt = request.chat().add_generation_prompt();
      }
      RA_ASSIGN_OR_RETURN(text, model->chat_template->Render(messages, options));
      add_special = false;
    }
    if (request.has_add_special_tokens()) add_special = request.add_special_tokens();
    for (const int32_t id : model->tokenizer->Encode(text, {.add_special_tokens = add_special})) {
      response.add_ids(id);
    }
    response.set_max_model_len(model->max_context);
    return {};
  }

  Status DoDetokenize(const CallbackServerContext& context, const v1::DetokenizeRequest& request,
                      v1::DetokenizeResponse& response) const {
    RA_ASSIGN_OR_RETURN(const ServedModel* model, FindModel(context, request.model()));
    const std::vector<int32_t> ids(request.ids().begin(), request.ids().end());
    response.set_text(model->tokenizer->Decode(ids, /*skip_special_tokens=*/false));
    return {};
  }

  ModelRegistry& models_;
  const ApiKeys keys_;
  const Generation::Post post_;
  RequestLog* const log_;
};

Result<std::string> ReadPem(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file || bytes.empty()) return InvalidArgument("cannot read the PEM file " + path);
  return bytes;
}

Result<std::shared_ptr<grpc::ServerCredentials>> Credentials(const GrpcOptions& options) {
  if (options.tls_cert_file.empty() && options.tls_key_file.empty()) {
    return grpc::InsecureServerCredentials();
  }
  RA_ASSIGN_OR_RETURN(std::string cert, ReadPem(options.tls_cert_file));
  RA_ASSIGN_OR_RETURN(std::string key, ReadPem(options.tls_key_file));
  grpc::SslServerCredentialsOptions tls;
  tls.pem_key_cert_pairs.push_back({std::move(key), std::move(cert)});
  return grpc::SslServerCredentials(tls);
}

}  // namespace

struct GrpcServer::State {
  std::unique_ptr<InferenceService> service;
  std::unique_ptr<grpc::Server> server;
  int port = 0;
  std::future<void> drained;  // valid once draining
};

Result<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcOptions& options,
                                                      ModelRegistry& models, Generation::Post post,
                                                      RequestLog* log) {
  RA_CHECK(!models.models().empty());
  RA_ASSIGN_OR_RETURN(auto credentials, Credentials(options));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();

  auto state = std::make_unique<State>();
  state->service =
      std::make_unique<InferenceService>(models, ApiKeys(options.api_keys), std::move(post), log);
  grpc::ServerBuilder builder;
  const std::string address = options.host + ":" + std::to_string(options.port);
  builder.AddListeningPort(address, credentials, &state->port);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // a port in use is an error, not shared
  builder.SetMaxReceiveMessageSize(options.max_message_bytes);
  builder.RegisterService(state->service.get());
  state->server = builder.BuildAndStart();
  if (state->server == nullptr || state->port == 0) {
    return Status(StatusCode::kUnavailable,
                  "cannot listen for gRPC on " + address +
                      ": the port is in use or not ours to take (--grpc-port chooses another)");
  }
  return std::unique_ptr<GrpcServer>(new GrpcServer(std::move(state)));
}

GrpcServer::GrpcServer(std::unique_ptr<State> state) : state_(std::move(state)) {
  SetServing(true);
}

GrpcServer::~GrpcServer() { Shutdown(std::chrono::system_clock::now()); }

int GrpcServer::port() const { return state_->port; }

void GrpcServer::SetServing(bool serving) {
  grpc::HealthCheckServiceInterface* health = state_->server->GetHealthCheckService();
  health->SetServingStatus(serving);
  health->SetServingStatus(v1::InferenceService::service_full_name(), serving);
}

void GrpcServer::StartDraining() {
  SetServing(false);
  // Waits for all calls, those who watch health among them; Shutdown() ends what does not end.
  state_->drained = std::async(std::launch::async, [server = state_->server.get()] {
    server->Shutdown();
    server->Wait();
  });
}

void GrpcServer::Shutdown(std::chrono::system_clock::time_point deadline) {
  if (!state_->drained.valid()) StartDraining();
  if (state_->drained.wait_until(deadline) != std::future_status::ready) {
    grpc_server_cancel_all_calls(state_->server->c_server());
    state_->drained.wait();
  }
}

}  // namespace runahead

// OpenAiApi: the handlers of /v1/* and of /tokenize and /detokenize. Thread-safe.
#pragma once

#include <string>

#include "server/generation.h"
#include "server/http_message.h"
#include "server/json_body.h"
#include "server/openai_fields.h"
#include "server/request_log.h"
#include "server/served_model.h"

namespace runahead {

class OpenAiApi {
 public:
  // `models` and `log` outlive the object; generations run their pumps through `post`.
  // `log` keeps what can be explained; null: nothing can.
  OpenAiApi(const ModelRegistry& models, Generation::Post post, RequestLog* log = nullptr);

  HttpReply ChatCompletions(const HttpRequest& request) const;
  HttpReply Completions(const HttpRequest& request) const;
  HttpReply ListModels(const HttpRequest& request) const;
  HttpReply GetModel(const HttpRequest& request) const;  // /v1/models/{id}
  HttpReply Tokenize(const HttpRequest& request) const;
  HttpReply Detokenize(const HttpRequest& request) const;

 private:
  HttpReply Generate(const HttpRequest& request, OpenAiRoute route) const;
  Result<std::unique_ptr<PendingReply>> TryGenerate(const HttpRequest& request, OpenAiRoute route,
                                                    Metrics*& metrics) const;
  Result<Json> TryTokenize(const HttpRequest& request) const;
  Result<Json> TryDetokenize(const HttpRequest& request) const;
  // The model a side request names, or the first where it names none.
  Result<ServedModel*> SideModel(const Json& body) const;

  const ModelRegistry& models_;
  Generation::Post post_;
  RequestLog* const log_;
};

}  // namespace runahead

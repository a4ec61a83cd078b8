// Between protobuf messages and the requests, deltas and statuses both doors share. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "grpcpp/support/status.h"

#include "core/status.h"
#include "runahead/v1/inference.grpc.pb.h"
#include "server/generation.h"
#include "server/served_model.h"

namespace runahead {

Result<GenerationRequest> FromProto(const v1::ChatRequest& request, const ServedModel& model);
Result<GenerationRequest> FromProto(const v1::GenerateRequest& request, const ServedModel& model);

// Chat messages as the template reads them. Errors name the message.
Result<nlohmann::ordered_json> MessagesFromProto(
    const google::protobuf::RepeatedPtrField<v1::Message>& messages);

v1::GenerateResponse ToProto(const Delta& delta, const Tokenizer& tokenizer);
v1::Usage ToProto(const Usage& usage);
v1::Token ToProto(const TokenDetail& token, const Tokenizer& tokenizer);

// The gRPC code that means what the HTTP status of `status` means.
grpc::Status ToGrpc(const Status& status);

}  // namespace runahead

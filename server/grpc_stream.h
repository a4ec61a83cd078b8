// GenerateReactor: one server stream of generated text over gRPC's callback API. gRPC's and the I/O
// pool's threads; its mutex orders them.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "grpcpp/support/server_callback.h"

#include "runahead/v1/inference.grpc.pb.h"
#include "server/generation.h"
#include "server/request_record.h"
#include "server/served_model.h"

namespace runahead {

// At most one write is out at a time; while it is, deltas wait (merged) in the Generation, so a
// slow reader stalls only itself. Owns itself from Start until gRPC's OnDone.
class GenerateReactor final : public grpc::ServerWriteReactor<v1::GenerateResponse>,
                              public std::enable_shared_from_this<GenerateReactor> {
 public:
  // A stream that ends at once with `status`; `record` may be null.
  static GenerateReactor* Fail(const Status& status, std::shared_ptr<RequestRecord> record);
  // `model` outlives the stream.
  static GenerateReactor* Start(const ServedModel& model, const GenerationRequest& request,
                                std::shared_ptr<Generation> generation);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  GenerateReactor() = default;

  // All with the mutex held.
  void Pump();
  void TakeDeltas();
  void Write();
  void WriteUsage();
  void StartNoted();
  void End(const grpc::Status& status);
  void AddPromptLogprobs(v1::GenerateResponse& first) const;

  std::shared_ptr<GenerateReactor> self_;
  const ServedModel* model_ = nullptr;
  std::string request_id_;
  TimePoint deadline_ = kNoDeadline;
  std::shared_ptr<RequestRecord> record_;  // null: nobody wants it
  bool was_delivered_ = false;

  std::mutex mutex_;
  std::shared_ptr<Generation> generation_;     // null once cancelled or over
  std::vector<v1::GenerateResponse> waiting_;  // taken, not yet written; front first
  size_t next_ = 0;                            // of waiting_
  v1::GenerateResponse current_;               // the write that is out
  Status failure_;  // of a choice: ends the stream after what was written
  bool writing_ = false;
  bool first_ = true;
  bool usage_sent_ = false;
  bool ended_ = false;
};

}  // namespace runahead

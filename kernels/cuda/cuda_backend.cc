#include "kernels/cuda/cuda_backend.h"

#include <utility>

#include "core/check.h"
#include "kernels/cuda/ops.h"

namespace runahead::RA_CUDA {
namespace {

// Ids, positions, slots and sampling parameters of a step, several times over.
constexpr int64_t kStagingBytes = int64_t{16} << 20;

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(std::unique_ptr<DeviceRuntime> runtime)
      : runtime_(std::move(runtime)),
        staging_(*runtime_, kStagingBytes),
        context_{*runtime_, staging_} {
    const DeviceProperties& device = runtime_->properties();
    info_.name = "cuda";
    info_.detail = device.name + ", compute capability " +
                   std::to_string(device.compute_capability / 10) + "." +
                   std::to_string(device.compute_capability % 10);
    info_.memory_bytes = device.memory_bytes;
    info_.activation_dtype = DType::kBF16;
  }

  const DeviceInfo& info() const override { return info_; }

  DeviceBuffer Allocate(int64_t bytes, MemoryKind kind) override {
    return runtime_->Allocate(bytes, kind);
  }
  std::unique_ptr<LinearWeight> PackLinear(const HostLinear& canonical) override {
    RA_CHECK(!canonical.format.is_quantized(), "quantized weights have no CUDA kernels yet");
    return PackPlainLinear(canonical, *runtime_);
  }
  int64_t PackedLinearBytes(int64_t n, int64_t k, WeightFormat format) const override {
    RA_CHECK(!format.is_quantized(), "quantized weights have no CUDA kernels yet");
    return n * k * (format == WeightFormat::kBF16 ? 2 : 4) + n * 4;
  }
  std::unique_ptr<AttentionPlan> MakeAttentionPlan(const AttentionLimits& /*limits*/) override {
    return NotYet("attention"), nullptr;
  }
  std::unique_ptr<Graph> Capture(const std::function<void()>& forward) override {
    return runtime_->Capture(forward);
  }

  void CopyToDevice(void* to, const void* from, int64_t bytes) override {
    if (bytes > 0) runtime_->CopyToDevice(to, from, bytes);
  }
  void CopyToHost(void* to, const void* from, int64_t bytes) override {
    if (bytes > 0) runtime_->CopyToHost(to, from, bytes);
  }
  Ticket Record() override { return runtime_->Record(); }
  // Waits for all there is, the ticket's work included: what is staged is then free.
  void Wait(Ticket /*ticket*/) override {
    runtime_->Wait(runtime_->Record());
    staging_.Drain();
  }

  void PlanAttention(const BatchShape& /*shape*/, AttentionPlan& /*plan*/) override {
    NotYet("attention");
  }
  void Embed(const EmbedArgs& args) override { RA_CUDA::Embed(args, context_); }
  void RmsNorm(const RmsNormArgs& args) override { RA_CUDA::RmsNorm(args, context_); }
  void AddRmsNorm(const AddRmsNormArgs& args) override { RA_CUDA::AddRmsNorm(args, context_); }
  void Linear(const LinearArgs& args) override { PlainLinear(args, context_); }
  void RopeAndStoreKv(const RopeStoreKvArgs& args) override {
    RA_CUDA::RopeAndStoreKv(args, context_);
  }
  void PagedAttention(const PagedAttentionArgs& /*args*/) override { NotYet("attention"); }
  void SiluMul(const SiluMulArgs& args) override { RA_CUDA::SiluMul(args, context_); }
  void GatherRows(const GatherRowsArgs& args) override { RA_CUDA::GatherRows(args, context_); }
  void ProcessLogits(const ProcessLogitsArgs& /*args*/) override { NotYet("logits"); }
  void SampleAndVerify(const SampleVerifyArgs& /*args*/) override { NotYet("sampling"); }
  void TopLogprobs(const TopLogprobsArgs& /*args*/) override { NotYet("logprobs"); }
  void CopyBlocks(const CopyBlocksArgs& args) override { RA_CUDA::CopyBlocks(args, context_); }

 private:
  // No registry offers this backend until the last of these is gone.
  static void NotYet(const char* what) {
    RA_CHECK(false, std::string("no CUDA kernel yet: ") + what);
  }

  std::unique_ptr<DeviceRuntime> runtime_;
  SpanStaging staging_;
  OpContext context_;
  DeviceInfo info_;
};

}  // namespace

std::unique_ptr<Backend> MakeBackend(std::unique_ptr<DeviceRuntime> runtime) {
  return std::make_unique<CudaBackend>(std::move(runtime));
}

}  // namespace runahead::RA_CUDA

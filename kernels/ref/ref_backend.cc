#include "kernels/ref/ref_backend.h"

#include <cstring>

#include "kernels/host_memory.h"
#include "kernels/ref/ops.h"

namespace runahead {
namespace {

class RefBackend final : public Backend {
 public:
  RefBackend() {
    info_.name = "ref";
    info_.detail = "scalar reference, 1 thread";
    info_.memory_bytes = HostMemoryBytes();
    info_.has_f16 = true;
  }

  const DeviceInfo& info() const override { return info_; }

  DeviceBuffer Allocate(int64_t bytes, MemoryKind /*kind*/) override {
    return AllocateHostMemory(bytes);
  }
  std::unique_ptr<LinearWeight> PackLinear(const HostLinear& canonical) override {
    return ref::PackLinear(canonical);
  }
  int64_t PackedLinearBytes(int64_t n, int64_t k, WeightFormat /*format*/) const override {
    return (n * k + n) * int64_t{sizeof(float)};  // f32 and a bias, whatever the format
  }
  std::unique_ptr<AttentionPlan> MakeAttentionPlan(const AttentionLimits& limits) override {
    return ref::MakeAttentionPlan(limits);
  }
  std::unique_ptr<Graph> Capture(const std::function<void()>& /*forward*/) override {
    return nullptr;
  }

  void CopyToDevice(void* to, const void* from, int64_t bytes) override { Copy(to, from, bytes); }
  void CopyToHost(void* to, const void* from, int64_t bytes) override { Copy(to, from, bytes); }
  Ticket Record() override { return 0; }  // every op is done when it returns
  void Wait(Ticket /*ticket*/) override {}

  void PlanAttention(const BatchShape& shape, AttentionPlan& plan) override {
    ref::PlanAttention(shape, plan);
  }
  void Embed(const EmbedArgs& args) override { ref::Embed(args); }
  void RmsNorm(const RmsNormArgs& args) override { ref::RmsNorm(args); }
  void AddRmsNorm(const AddRmsNormArgs& args) override { ref::AddRmsNorm(args); }
  void Linear(const LinearArgs& args) override { ref::Linear(args); }
  void RopeAndStoreKv(const RopeStoreKvArgs& args) override { ref::RopeAndStoreKv(args); }
  void PagedAttention(const PagedAttentionArgs& args) override { ref::PagedAttention(args); }
  void SiluMul(const SiluMulArgs& args) override { ref::SiluMul(args); }
  void GatherRows(const GatherRowsArgs& args) override { ref::GatherRows(args); }
  void ProcessLogits(const ProcessLogitsArgs& args) override { ref::ProcessLogits(args); }
  void SampleAndVerify(const SampleVerifyArgs& args) override { ref::SampleAndVerify(args); }
  void TopLogprobs(const TopLogprobsArgs& args) override { ref::TopLogprobs(args); }
  void CopyBlocks(const CopyBlocksArgs& args) override { ref::CopyBlocks(args); }

 private:
  static void Copy(void* to, const void* from, int64_t bytes) {
    if (bytes > 0) std::memcpy(to, from, static_cast<size_t>(bytes));
  }

  DeviceInfo info_;
};

}  // namespace

std::unique_ptr<Backend> MakeRefBackend() { return std::make_unique<RefBackend>(); }

}  // namespace runahead

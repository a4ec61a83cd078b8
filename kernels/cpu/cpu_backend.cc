#include "kernels/cpu/cpu_backend.h"

#include <cstring>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/packed_linear.h"
#include "kernels/cpu/sampling.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/host_memory.h"

namespace runahead {
namespace {

class CpuBackend final : public Backend {
 public:
  CpuBackend(const cpu::Isa& isa, int num_threads, bool pin)
      : kernels_(isa.kernels()),
        pool_(num_threads, pin),
        scratch_(static_cast<size_t>(pool_.num_threads())) {
    info_.name = "cpu";
    info_.num_threads = pool_.num_threads();
    info_.detail = std::string(isa.name) + " (" + std::string(isa.description) + "), " +
                   std::to_string(info_.num_threads) +
                   (info_.num_threads == 1 ? " thread" : " threads");
    info_.memory_bytes = HostMemoryBytes();
  }

  const DeviceInfo& info() const override { return info_; }

  DeviceBuffer Allocate(int64_t bytes, MemoryKind /*kind*/) override {
    return AllocateHostMemory(bytes);
  }
  std::unique_ptr<LinearWeight> PackLinear(const HostLinear& canonical) override {
    return cpu::PackLinear(canonical, pool_);
  }
  int64_t PackedLinearBytes(int64_t n, int64_t k, WeightFormat format) const override {
    return cpu::PackedLinearBytes(n, k, format);
  }
  std::unique_ptr<AttentionPlan> MakeAttentionPlan(const AttentionLimits& limits) override {
    return cpu::MakeAttentionPlan(limits, pool_.num_threads());
  }
  std::unique_ptr<Graph> Capture(const std::function<void()>& /*forward*/) override {
    return nullptr;
  }

  void CopyToDevice(void* to, const void* from, int64_t bytes) override { Copy(to, from, bytes); }
  void CopyToHost(void* to, const void* from, int64_t bytes) override { Copy(to, from, bytes); }
  Ticket Record() override { return 0; }  // every op is done when it returns
  void Wait(Ticket /*ticket*/) override {}

  void PlanAttention(const BatchShape& shape, AttentionPlan& plan) override {
    cpu::PlanAttention(shape, plan);
  }
  void Embed(const EmbedArgs& args) override { cpu::Embed(args, kernels_, pool_); }
  void RmsNorm(const RmsNormArgs& args) override { cpu::RmsNorm(args, kernels_, pool_); }
  void AddRmsNorm(const AddRmsNormArgs& args) override { cpu::AddRmsNorm(args, kernels_, pool_); }
  void Linear(const LinearArgs& args) override { cpu::Linear(args, kernels_, pool_); }
  void RopeAndStoreKv(const RopeStoreKvArgs& args) override {
    cpu::RopeAndStoreKv(args, kernels_, pool_);
  }
  void PagedAttention(const PagedAttentionArgs& args) override {
    cpu::PagedAttention(args, kernels_, pool_);
  }
  void SiluMul(const SiluMulArgs& args) override { cpu::SiluMul(args, kernels_, pool_); }
  void GatherRows(const GatherRowsArgs& args) override { cpu::GatherRows(args, kernels_, pool_); }
  void ProcessLogits(const ProcessLogitsArgs& args) override {
    cpu::ProcessLogits(args, sampling());
  }
  void SampleAndVerify(const SampleVerifyArgs& args) override {
    cpu::SampleAndVerify(args, sampling());
  }
  void TopLogprobs(const TopLogprobsArgs& args) override { cpu::TopLogprobs(args, sampling()); }
  void CopyBlocks(const CopyBlocksArgs& args) override { cpu::CopyBlocks(args, pool_); }

 private:
  static void Copy(void* to, const void* from, int64_t bytes) {
    if (bytes > 0) std::memcpy(to, from, static_cast<size_t>(bytes));
  }

  cpu::SamplingContext sampling() { return {kernels_, pool_, scratch_}; }

  DeviceInfo info_;
  const cpu::KernelTable& kernels_;
  cpu::ThreadPool pool_;
  std::vector<cpu::SamplingScratch> scratch_;  // [threads]
};

}  // namespace

Result<std::unique_ptr<Backend>> MakeCpuBackend(const CpuOptions& options) {
  const cpu::Isa* isa = cpu::FindIsa(options.isa);
  if (isa == nullptr) {
    std::string known;
    for (const std::string& name : SupportedCpuIsas()) known += (known.empty() ? "" : ", ") + name;
    return Status(StatusCode::kNotFound,
                  "no instruction set '" + options.isa + "' on this machine; it runs: " + known,
                  "isa");
  }
  const int num_threads = options.num_threads > 0 ? options.num_threads : cpu::DefaultNumThreads();
  return std::unique_ptr<Backend>(
      std::make_unique<CpuBackend>(*isa, num_threads, options.pin_threads));
}

std::vector<std::string> SupportedCpuIsas() {
  std::vector<std::string> names;
  for (const cpu::Isa& isa : cpu::BuiltIsas()) {
    if (isa.is_supported()) names.emplace_back(isa.name);
  }
  return names;
}

}  // namespace runahead

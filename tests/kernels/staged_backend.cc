#include "tests/kernels/staged_backend.h"

#include <deque>
#include <utility>
#include <vector>

#include "kernels/quantized_rows.h"

namespace runahead {
namespace {

// Bytes from a view's first element to its last, quantized rows and their tails included.
int64_t SpanBytes(const TensorView& view) {
  if (view.rank == 0 || view.dim(0) == 0 || view.data == nullptr) return 0;
  const int64_t unit = DTypeBytes(view.dtype);
  const bool is_quantized = view.dtype == DType::kI8 && view.rank == 2;
  const int64_t last = is_quantized ? QuantizedRowLayout(view.dim(1), view.group).row_bytes
                                    : view.RowElements() * unit;
  return (view.dim(0) - 1) * view.row_stride * unit + last;
}

// Device copies of one op's arguments, for the time of the op.
class Stage {
 public:
  explicit Stage(Backend& device) : device_(device) {}

  TensorView View(TensorView view) {
    view.data = Array(view.data, SpanBytes(view));
    return view;
  }
  const float* Floats(const float* values, int64_t count) {
    return static_cast<const float*>(Array(const_cast<float*>(values), count * 4));
  }
  int32_t* Ids(const int32_t* ids, int64_t count) {
    return static_cast<int32_t*>(Array(const_cast<int32_t*>(ids), count * 4));
  }
  KvLayerView Cache(KvLayerView cache) {
    cache.k = View(cache.k);
    cache.v = View(cache.v);
    return cache;
  }
  SurvivorsView Survivors(SurvivorsView survivors, int64_t rows) {
    survivors.ids = static_cast<int32_t*>(Array(survivors.ids, rows * survivors.capacity * 4));
    survivors.counts = static_cast<int32_t*>(Array(survivors.counts, rows * 4));
    return survivors;
  }

  // Waits, then brings everything home.
  void Finish() {
    for (const Copy& copy : copies_) {
      device_.CopyToHost(copy.host, copy.buffer.data(), copy.buffer.bytes());
    }
    device_.Wait(device_.Record());
  }

 private:
  struct Copy {
    void* host;
    DeviceBuffer buffer;
  };

  void* Array(void* host, int64_t bytes) {
    if (host == nullptr || bytes == 0) return host == nullptr ? nullptr : this;  // never read
    for (const Copy& copy : copies_) {
      if (copy.host == host && copy.buffer.bytes() == bytes) return copy.buffer.data();
    }
    copies_.push_back({host, device_.Allocate(bytes, MemoryKind::kDevice)});
    device_.CopyToDevice(copies_.back().buffer.data(), host, bytes);
    return copies_.back().buffer.data();
  }

  Backend& device_;
  std::deque<Copy> copies_;
};

class StagedBackend final : public Backend {
 public:
  explicit StagedBackend(std::unique_ptr<Backend> device) : device_(std::move(device)) {}

  const DeviceInfo& info() const override { return device_->info(); }
  DeviceBuffer Allocate(int64_t bytes, MemoryKind kind) override {
    return device_->Allocate(bytes, kind);
  }
  std::unique_ptr<LinearWeight> PackLinear(const HostLinear& canonical) override {
    return device_->PackLinear(canonical);
  }
  int64_t PackedLinearBytes(int64_t n, int64_t k, WeightFormat format) const override {
    return device_->PackedLinearBytes(n, k, format);
  }
  std::unique_ptr<AttentionPlan> MakeAttentionPlan(const AttentionLimits& limits) override {
    return device_->MakeAttentionPlan(limits);
  }
  std::unique_ptr<Graph> Capture(const std::function<void()>& forward) override {
    return device_->Capture(forward);
  }
  void CopyToDevice(void* to, const void* from, int64_t bytes) override {
    device_->CopyToDevice(to, from, bytes);
  }
  void CopyToHost(void* to, const void* from, int64_t bytes) override {
    device_->CopyToHost(to, from, bytes);
  }
  Ticket Record() override { return device_->Record(); }
  void Wait(Ticket ticket) override { device_->Wait(ticket); }
  void PlanAttention(const BatchShape& shape, AttentionPlan& plan) override {
    device_->PlanAttention(shape, plan);
  }

  void Embed(const EmbedArgs& args) override {
    Stage stage(*device_);
    const int64_t rows = args.out.dim(0);
    device_->Embed(
        {stage.View(args.table), args.ids, stage.View(args.out), stage.Ids(args.drawn_ids, rows)});
    stage.Finish();
  }
  void RmsNorm(const RmsNormArgs& args) override {
    Stage stage(*device_);
    RmsNormArgs on_device = args;
    on_device.x = stage.View(args.x);
    on_device.gain = stage.Floats(args.gain, args.x.RowElements());
    on_device.y = stage.View(args.y);
    device_->RmsNorm(on_device);
    stage.Finish();
  }
  void AddRmsNorm(const AddRmsNormArgs& args) override {
    Stage stage(*device_);
    AddRmsNormArgs on_device = args;
    on_device.residual = stage.View(args.residual);
    on_device.x = stage.View(args.x);
    on_device.gain = stage.Floats(args.gain, args.x.RowElements());
    on_device.y = stage.View(args.y);
    device_->AddRmsNorm(on_device);
    stage.Finish();
  }
  void Linear(const LinearArgs& args) override {
    Stage stage(*device_);
    device_->Linear({stage.View(args.x), args.weight, stage.View(args.y)});
    stage.Finish();
  }
  void SiluMul(const SiluMulArgs& args) override {
    Stage stage(*device_);
    device_->SiluMul({stage.View(args.gate_up), stage.View(args.out)});
    stage.Finish();
  }
  void GatherRows(const GatherRowsArgs& args) override {
    Stage stage(*device_);
    device_->GatherRows({stage.View(args.x), args.rows, stage.View(args.out)});
    stage.Finish();
  }
  void RopeAndStoreKv(const RopeStoreKvArgs& args) override {
    Stage stage(*device_);
    RopeStoreKvArgs on_device = args;
    on_device.qkv = stage.View(args.qkv);
    on_device.q_norm = stage.Floats(args.q_norm, args.head_dim);
    on_device.k_norm = stage.Floats(args.k_norm, args.head_dim);
    on_device.rope = stage.View(args.rope);
    on_device.cache = stage.Cache(args.cache);
    device_->RopeAndStoreKv(on_device);
    stage.Finish();
  }
  void PagedAttention(const PagedAttentionArgs& args) override {
    Stage stage(*device_);
    PagedAttentionArgs on_device = args;
    on_device.q = stage.View(args.q);
    on_device.cache = stage.Cache(args.cache);
    on_device.out = stage.View(args.out);
    device_->PagedAttention(on_device);
    stage.Finish();
  }
  void ProcessLogits(const ProcessLogitsArgs& args) override {
    Stage stage(*device_);
    ProcessLogitsArgs on_device = args;
    on_device.logits = stage.View(args.logits);
    on_device.survivors = stage.Survivors(args.survivors, args.logits.dim(0));
    device_->ProcessLogits(on_device);
    stage.Finish();
  }
  void SampleAndVerify(const SampleVerifyArgs& args) override {
    Stage stage(*device_);
    SampleVerifyArgs on_device = args;
    on_device.logits = stage.View(args.logits);
    on_device.survivors = stage.Survivors(args.survivors, args.logits.dim(0));
    on_device.draft_logits = stage.View(args.draft_logits);
    on_device.last_tokens =
        stage.Ids(args.last_tokens, static_cast<int64_t>(args.num_accepted.size()));
    device_->SampleAndVerify(on_device);
    stage.Finish();
  }
  void TopLogprobs(const TopLogprobsArgs& args) override {
    Stage stage(*device_);
    TopLogprobsArgs on_device = args;
    on_device.logits = stage.View(args.logits);
    on_device.drawn = stage.Ids(args.drawn, args.logits.dim(0));
    device_->TopLogprobs(on_device);
    stage.Finish();
  }
  void CopyBlocks(const CopyBlocksArgs& args) override {
    Stage stage(*device_);
    std::vector<KvLayerView> layers;
    for (const KvLayerView& layer : args.layers) layers.push_back(stage.Cache(layer));
    device_->CopyBlocks({layers, args.from, args.to});
    stage.Finish();
  }

 private:
  std::unique_ptr<Backend> device_;
};

}  // namespace

std::unique_ptr<Backend> MakeStagedBackend(std::unique_ptr<Backend> device) {
  return std::make_unique<StagedBackend>(std::move(device));
}

}  // namespace runahead

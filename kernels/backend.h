// Backend: the fused ops a transformer step is made of, and the memory they run on. Engine thread
// only.
//
// Views, gains and what buffers hold are the device's memory: the host reaches them by CopyToHost
// and CopyToDevice alone, even where its own would do. Spans are the host's memory: what an op
// reads from them may change as soon as it returns, what it writes to them is there after a Wait.
//
// Ops run in program order. They never allocate, throw, or wait for the device; outputs are
// caller-owned views; T == 0 does nothing. A row's result depends on that row alone, never on which
// rows share the batch (docs/numerics.md). Preconditions are RA_CHECKed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "core/tensor_view.h"
#include "kernels/attention_args.h"
#include "kernels/device.h"
#include "kernels/linear_weight.h"
#include "kernels/sampling_args.h"

namespace runahead {

// Activations are f32, bf16 or, where DeviceInfo::has_f16, f16; norm gains and biases are f32. An
// op accumulates in f32 and rounds once, when it stores.
struct EmbedArgs {
  TensorView table;                   // [V, H] f32, bf16, f16 or quantized rows
  std::span<const int32_t> ids = {};  // [T], all in [0, V)
  TensorView out;                     // [T, H] activation dtype
  // [T] on the device, instead of `ids`: what SampleAndVerify left in last_tokens.
  const int32_t* drawn_ids = nullptr;
};

struct RmsNormArgs {
  TensorView x;                 // [T, H]
  const float* gain = nullptr;  // [H]
  float eps = 0;
  TensorView y;  // [T, H] in the next layer's input format
};

// residual += x, then y = norm(residual).
struct AddRmsNormArgs {
  TensorView residual;          // [T, H] in and out
  TensorView x;                 // [T, H]
  const float* gain = nullptr;  // [H]
  float eps = 0;
  TensorView y;  // [T, H]
};

struct LinearArgs {
  TensorView x;  // [T, K] in weight->input_format()
  const LinearWeight* weight = nullptr;
  TensorView y;  // [T, N] activation dtype, or f32 for logits
};

struct SiluMulArgs {
  TensorView gate_up;  // [T, 2 I]: gate, then up
  TensorView out;      // [T, I] silu(gate) * up, in the down-projection's input format
};

struct GatherRowsArgs {
  TensorView x;                   // [T, H]
  std::span<const int32_t> rows;  // [R]
  TensorView out;                 // [R, H], same dtype as x
};

// A point in the device's stream of work.
using Ticket = uint64_t;

// A captured sequence of ops. A launch enqueues them with the same views and what the same spans
// hold by then.
class Graph {
 public:
  virtual ~Graph() = default;
  virtual void Launch() = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual const DeviceInfo& info() const = 0;

  // Set-up only; throws std::bad_alloc.
  virtual DeviceBuffer Allocate(int64_t bytes, MemoryKind kind) = 0;
  virtual std::unique_ptr<LinearWeight> PackLinear(const HostLinear& canonical) = 0;
  // What a packed [n, k] weight's bytes() will be, without packing one.
  virtual int64_t PackedLinearBytes(int64_t n, int64_t k, WeightFormat format) const = 0;
  virtual std::unique_ptr<AttentionPlan> MakeAttentionPlan(const AttentionLimits& limits) = 0;

  // Enqueues nothing: what `forward` would is what each launch of the graph will. It calls the ops
  // from Embed to SampleAndVerify below and TopLogprobs of drawn ids (no copies between host and
  // device, no PlanAttention), whose spans keep their address and size as long as the graph lives.
  // A launch reads them, and the next wait fills them, as the ops would. Null where there is none
  // to be had: the caller then runs `forward` itself each time.
  virtual std::unique_ptr<Graph> Capture(const std::function<void()>& forward) = 0;

  virtual void CopyToDevice(void* to, const void* from, int64_t bytes) = 0;
  virtual void CopyToHost(void* to, const void* from, int64_t bytes) = 0;
  virtual Ticket Record() = 0;  // after all work enqueued so far
  // Until that work is done. Throws std::runtime_error where the device has failed, with its first
  // error: it stays failed, and what is enqueued on it does nothing.
  virtual void Wait(Ticket ticket) = 0;

  virtual void PlanAttention(const BatchShape& shape, AttentionPlan& plan) = 0;
  virtual void Embed(const EmbedArgs& args) = 0;
  virtual void RmsNorm(const RmsNormArgs& args) = 0;
  virtual void AddRmsNorm(const AddRmsNormArgs& args) = 0;
  virtual void Linear(const LinearArgs& args) = 0;
  virtual void RopeAndStoreKv(const RopeStoreKvArgs& args) = 0;
  virtual void PagedAttention(const PagedAttentionArgs& args) = 0;
  virtual void SiluMul(const SiluMulArgs& args) = 0;
  virtual void GatherRows(const GatherRowsArgs& args) = 0;
  virtual void ProcessLogits(const ProcessLogitsArgs& args) = 0;
  virtual void SampleAndVerify(const SampleVerifyArgs& args) = 0;
  virtual void TopLogprobs(const TopLogprobsArgs& args) = 0;
  virtual void CopyBlocks(const CopyBlocksArgs& args) = 0;
};

}  // namespace runahead

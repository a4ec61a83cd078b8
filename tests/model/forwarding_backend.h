// A backend that hands every op to another one, and counts what it allocates and how long its ops
// take. One thread.
#pragma once

#include <chrono>
#include <memory>
#include <utility>

#include "kernels/backend.h"

namespace runahead {

class ForwardingBackend : public Backend {
 public:
  explicit ForwardingBackend(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}

  int64_t allocated_bytes() const { return allocated_bytes_; }
  int64_t num_allocations() const { return num_allocations_; }
  std::chrono::nanoseconds op_time() const { return op_time_; }

  const DeviceInfo& info() const override { return inner_->info(); }
  DeviceBuffer Allocate(int64_t bytes, MemoryKind kind) override {
    allocated_bytes_ += bytes;
    ++num_allocations_;
    return inner_->Allocate(bytes, kind);
  }
  std::unique_ptr<LinearWeight> PackLinear(const HostLinear& linear) override {
    return inner_->PackLinear(linear);
  }
  int64_t PackedLinearBytes(int64_t n, int64_t k, WeightFormat format) const override {
    return inner_->PackedLinearBytes(n, k, format);
  }
  std::unique_ptr<AttentionPlan> MakeAttentionPlan(const AttentionLimits& limits) override {
    return inner_->MakeAttentionPlan(limits);
  }
  std::unique_ptr<Graph> Capture(const std::function<void()>& forward) override {
    return inner_->Capture(forward);
  }
  void CopyToDevice(void* to, const void* from, int64_t bytes) override {
    inner_->CopyToDevice(to, from, bytes);
  }
  void CopyToHost(void* to, const void* from, int64_t bytes) override {
    inner_->CopyToHost(to, from, bytes);
  }
  Ticket Record() override { return inner_->Record(); }
  void Wait(Ticket ticket) override {
    Timed([&] { inner_->Wait(ticket); });
  }
  void PlanAttention(const BatchShape& shape, AttentionPlan& plan) override {
    inner_->PlanAttention(shape, plan);  // host work: not an op's time
  }
  void Embed(const EmbedArgs& a) override {
    Timed([&] { inner_->Embed(a); });
  }
  void RmsNorm(const RmsNormArgs& a) override {
    Timed([&] { inner_->RmsNorm(a); });
  }
  void AddRmsNorm(const AddRmsNormArgs& a) override {
    Timed([&] { inner_->AddRmsNorm(a); });
  }
  void Linear(const LinearArgs& a) override {
    Timed([&] { inner_->Linear(a); });
  }
  void RopeAndStoreKv(const RopeStoreKvArgs& a) override {
    Timed([&] { inner_->RopeAndStoreKv(a); });
  }
  void PagedAttention(const PagedAttentionArgs& a) override {
    Timed([&] { inner_->PagedAttention(a); });
  }
  void SiluMul(const SiluMulArgs& a) override {
    Timed([&] { inner_->SiluMul(a); });
  }
  void GatherRows(const GatherRowsArgs& a) override {
    Timed([&] { inner_->GatherRows(a); });
  }
  void ProcessLogits(const ProcessLogitsArgs& a) override {
    Timed([&] { inner_->ProcessLogits(a); });
  }
  void SampleAndVerify(const SampleVerifyArgs& a) override {
    Timed([&] { inner_->SampleAndVerify(a); });
  }
  void TopLogprobs(const TopLogprobsArgs& a) override {
    Timed([&] { inner_->TopLogprobs(a); });
  }
  void CopyBlocks(const CopyBlocksArgs& a) override {
    Timed([&] { inner_->CopyBlocks(a); });
  }

 private:
  template <typename Op>
  void Timed(const Op& op) {
    const auto start = std::chrono::steady_clock::now();
    op();
    op_time_ += std::chrono::steady_clock::now() - start;
  }

  std::unique_ptr<Backend> inner_;
  int64_t allocated_bytes_ = 0;
  int64_t num_allocations_ = 0;
  std::chrono::nanoseconds op_time_ = {};
};

}  // namespace runahead

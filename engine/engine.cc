#include "engine/engine.h"

#include <random>
#include <thread>
#include <utility>

#include "core/check.h"
#include "engine/engine_door.h"
#include "engine/engine_loop.h"

namespace runahead {
namespace {

uint64_t SystemEntropy() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

}  // namespace

class Engine::Impl {
 public:
  Impl(const EngineConfig& config, StepRunner& runner, const Clock& clock, Metrics& metrics,
       Logger& logger, const SpeculationParts& speculation)
      : config_(config),
        clock_(clock),
        door_(config, clock, metrics),
        loop_(config,
              {runner, clock, metrics, logger, door_.mailbox(), door_.gate(), door_.status(),
               speculation},
              config.seed ? *config.seed : SystemEntropy()),
        thread_([this] { Serve(); }) {}

  ~Impl() {
    door_.Stop();
    thread_.join();
  }

  EngineDoor& door() { return door_; }
  const EngineConfig& config() const { return config_; }

 private:
  // The engine thread.
  void Serve() {
    for (;;) {
      const bool has_more = loop_.RunOnce();
      if (loop_.stop_asked()) break;
      if (!has_more) WaitForMail(loop_.wait_until());
    }
    loop_.Shutdown();
  }

  void WaitForMail(TimePoint until) {
    // The mailbox waits by the system's clock, whatever ours says.
    if (until != kNoDeadline) until = std::chrono::steady_clock::now() + (until - clock_.Now());
    door_.mailbox().WaitUntil(until);
  }

  const EngineConfig config_;
  const Clock& clock_;
  EngineDoor door_;
  EngineLoop loop_;
  std::thread thread_;
};

Engine::Engine(const EngineConfig& config, StepRunner& runner, const Clock& clock, Metrics& metrics,
               Logger& logger, const SpeculationParts& speculation)
    : impl_(std::make_unique<Impl>(config, runner, clock, metrics, logger, speculation)) {}

Engine::~Engine() = default;

Result<std::unique_ptr<ResponseStream>> Engine::Submit(std::unique_ptr<Request> request) {
  RA_CHECK(request != nullptr);
  return impl_->door().Submit(std::move(request));
}

void Engine::Drain(TimePoint deadline) { impl_->door().Drain(deadline); }
void Engine::WaitUntilDrained() { impl_->door().status().WaitUntilEnded(); }
EngineHealth Engine::health() const { return impl_->door().health(); }
const EngineConfig& Engine::config() const { return impl_->config(); }

}  // namespace runahead

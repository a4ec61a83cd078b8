#include "server/bench_load.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace runahead {
namespace {

// Tokens that look like text to nobody, but cost what text costs. splitmix64 over (seed, stream,
// index).
int32_t RandomToken(uint64_t seed, uint64_t stream, int index, int vocab_size) {
  uint64_t z = seed * 0x9E3779B97F4A7C15ull + stream * 0xBF58476D1CE4E5B9ull +
               static_cast<uint64_t>(index) + 1;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return static_cast<int32_t>((z ^ (z >> 31)) % static_cast<uint64_t>(vocab_size));
}

std::unique_ptr<Request> MakeRequest(const LoadPlan& plan, size_t index, int vocab_size) {
  auto request = std::make_unique<Request>();
  request->id = "bench-" + std::to_string(index);
  for (int i = 0; i < plan.input_tokens; ++i) {
    const uint64_t stream = i < plan.shared_prefix ? 0 : index + 1;
    request->prompt.push_back(RandomToken(plan.seed, stream, i, vocab_size));
  }
  request->sampling.temperature = plan.temperature;
  request->seed = plan.seed + index;
  request->max_tokens = plan.output_tokens;
  request->ignore_eos = true;
  return request;
}

// Which streams have events: filled by the engine's wakers, emptied by the load's thread.
class ReadyList {
 public:
  void Add(size_t index) {
    {
      const std::lock_guard lock(mutex_);
      ready_.push_back(index);
    }
    arrived_.notify_one();
  }

  std::vector<size_t> Wait() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return !ready_.empty(); });
    return std::exchange(ready_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<size_t> ready_;
};

struct InFlight {
  std::unique_ptr<ResponseStream> stream;
  TimePoint sent;
  TimePoint last_token;
};

class Load {
 public:
  Load(Engine& engine, int num_requests, const RequestMaker& make, const Clock& clock)
      : engine_(engine), make_(make), clock_(clock), flights_(static_cast<size_t>(num_requests)) {
    result_.requests.resize(NumRequests());
  }

  Result<LoadResult> Run(int concurrency) {
    const TimePoint start = clock_.Now();
    const size_t first_wave = std::min(NumRequests(), static_cast<size_t>(concurrency));
    for (size_t i = 0; i < first_wave; ++i) RA_RETURN_IF_ERROR(Send());
    while (num_done_ < NumRequests()) {
      for (const size_t index : ready_.Wait()) RA_RETURN_IF_ERROR(Receive(index));
    }
    result_.wall = clock_.Now() - start;
    return std::move(result_);
  }

 private:
  size_t NumRequests() const { return flights_.size(); }

  Status Send() {
    const size_t index = num_sent_++;
    InFlight& flight = flights_[index];
    flight.sent = clock_.Now();
    RA_ASSIGN_OR_RETURN(flight.stream, engine_.Submit(make_(index)));
    flight.stream->Arm([this, index] { ready_.Add(index); });
    return {};
  }

  Status Receive(size_t index) {
    InFlight& flight = flights_[index];
    const TimePoint now = clock_.Now();
    for (const TokenEvent& event : flight.stream->Take()) {
      if (!event.error.ok()) return event.error;
      result_.requests[index].num_cached_tokens += event.num_cached_tokens;
      if (event.token >= 0) BookToken(index, event, now);
    }
    if (!flight.stream->finished()) {
      flight.stream->Arm([this, index] { ready_.Add(index); });
      return {};
    }
    flight.stream.reset();
    ++num_done_;
    return num_sent_ < NumRequests() ? Send() : Status();
  }

  void BookToken(size_t index, const TokenEvent& event, TimePoint now) {
    InFlight& flight = flights_[index];
    RequestTimes& times = result_.requests[index];
    times.tokens.push_back(event.token);
    if (event.starts_step) times.drafts.push_back(event.num_drafted);
    if (times.num_tokens++ == 0) {
      times.ttft = now - flight.sent;
    } else {
      times.gaps.push_back(now - flight.last_token);
    }
    flight.last_token = now;
    times.e2e = now - flight.sent;
  }

  Engine& engine_;
  const RequestMaker& make_;
  const Clock& clock_;
  ReadyList ready_;
  std::vector<InFlight> flights_;
  LoadResult result_;
  size_t num_sent_ = 0;
  size_t num_done_ = 0;
};

}  // namespace

Result<LoadResult> RunRequests(Engine& engine, int num_requests, int concurrency,
                               const RequestMaker& make, const Clock& clock) {
  return Load(engine, num_requests, make, clock).Run(concurrency);
}

Result<LoadResult> RunLoad(Engine& engine, const LoadPlan& plan, const Clock& clock) {
  const int vocab_size = engine.config().vocab_size;
  const RequestMaker make = [&plan, vocab_size](size_t index) {
    return MakeRequest(plan, index, vocab_size);
  };
  return RunRequests(engine, plan.num_requests, plan.concurrency, make, clock);
}

}  // namespace runahead

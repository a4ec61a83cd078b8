#include "server/loadgen/load_runner.h"

#include <algorithm>
#include <csignal>
#include <ctime>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "server/loadgen/answer_reader.h"
#include "server/loadgen/arrivals.h"

namespace runahead {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr auto kReportEvery = std::chrono::milliseconds(200);
constexpr const char* kInterrupted = "interrupted";

double ThreadCpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

Duration FromSeconds(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

LoadRunner::LoadRunner(ClientPool& pool, const LoadSpec& spec,
                       const std::vector<std::string>& bodies)
    : pool_(pool), spec_(spec), bodies_(bodies), due_(pool.io()), slot_(pool.io()) {
  run_.is_open_loop = spec.rate > 0;
  run_.records.resize(bodies.size());
}

LoadRun LoadRunner::Run(const LoadWatch& watch) {
  asio::io_context& io = pool_.io();
  io.restart();
  asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([this, &signals](const error_code& error, int) {
    if (error) return;
    Interrupt();
    signals.clear();  // a second one ends the process
  });
  const int num_connections = pool_.num_connections();
  const double cpu_s = ThreadCpuSeconds();
  pool_.StartClock();
  if (run_.is_open_loop) {
    Spawn(OpenLoop());
  } else {
    const int num_clients = std::min(spec_.concurrency, static_cast<int>(bodies_.size()));
    for (int i = 0; i < num_clients; ++i) Spawn(Client());
  }
  asio::steady_timer report(io);
  if (watch) asio::co_spawn(io, Report(watch, report), asio::detached);
  while (num_tasks_ > 0) io.run_one();
  run_.client_cpu_s = ThreadCpuSeconds() - cpu_s;
  run_.num_connections = pool_.num_connections() - num_connections;
  signals.cancel();
  report.cancel();
  io.run();
  if (failure_) std::rethrow_exception(failure_);
  run_.records.resize(num_sent_);
  std::erase_if(run_.records, [](const auto& record) { return record.error_kind == kInterrupted; });
  for (const LoadRecord& record : run_.records) {
    run_.wall_s = std::max(run_.wall_s, record.ended_s);
  }
  return std::move(run_);
}

bool LoadRunner::MaySend() const { return !run_.is_interrupted && num_sent_ < bodies_.size(); }

LoadProgress LoadRunner::Progress() const {
  return {.num_total = static_cast<int>(bodies_.size()),
          .num_done = num_done_,
          .num_failed = num_failed_,
          .num_in_flight = num_in_flight_,
          .elapsed_s = pool_.Now()};
}

void LoadRunner::Spawn(Task task) {
  ++num_tasks_;
  asio::co_spawn(pool_.io(), std::move(task), [this](const std::exception_ptr& failure) {
    --num_tasks_;
    if (failure) failure_ = failure;
  });
}

void LoadRunner::Interrupt() {
  run_.is_interrupted = true;
  due_.cancel();
  slot_.cancel();
  pool_.CloseAll();
}

LoadRunner::Task LoadRunner::Client() {
  while (MaySend()) co_await SendOne(num_sent_++);
}

LoadRunner::Task LoadRunner::OpenLoop() {
  Arrivals arrivals({.rate = spec_.rate, .burstiness = spec_.burstiness, .seed = spec_.seed});
  error_code ignored;
  double due_s = 0;
  while (MaySend()) {
    due_.expires_at(pool_.start() + FromSeconds(due_s));
    co_await due_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    while (spec_.concurrency > 0 && num_in_flight_ >= spec_.concurrency && !run_.is_interrupted) {
      slot_.expires_at(TimePoint::max());
      co_await slot_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    if (!MaySend()) co_return;
    run_.records[num_sent_].due_s = due_s;
    Spawn(SendOne(num_sent_++));
    due_s += arrivals.NextGap();
  }
}

LoadRunner::Task LoadRunner::SendOne(size_t index) {
  const std::string request = pool_.MakeRequest("POST", spec_.path, bodies_[index]);
  LoadRecord& record = run_.records[index];
  AnswerReader reader(record);
  ++num_in_flight_;
  record.sent_s = pool_.Now();
  co_await pool_.Ask(request, reader);
  record.ended_s = pool_.Now();
  if (run_.is_interrupted && !record.ok()) record.error_kind = kInterrupted;
  --num_in_flight_;
  ++num_done_;
  if (!record.ok()) ++num_failed_;
  slot_.cancel();
}

LoadRunner::Task LoadRunner::Report(const LoadWatch& watch, asio::steady_timer& timer) {
  error_code error;
  while (!error) {
    watch(Progress());
    timer.expires_after(kReportEvery);
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
  }
  watch(Progress());
}

}  // namespace runahead

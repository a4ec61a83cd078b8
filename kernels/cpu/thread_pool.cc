#include "kernels/cpu/thread_pool.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <string>
#include <utility>

#include <pthread.h>
#include <sched.h>

namespace runahead::cpu {
namespace {

// About 20 us of pauses at 4 GHz: longer than the gap between two ops of a step, far shorter than a
// scheduler tick.
constexpr int kSpins = 1000;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// CPUs this process may use, ascending.
std::vector<int> AllowedCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  return cpus;
}

void PinTo(pthread_t thread, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  pthread_setaffinity_np(thread, sizeof(set), &set);  // advice: a refusal changes no result
}

int ReadTopology(int cpu, const char* name) {
  std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/" + name);
  int value = -1;
  file >> value;
  return value;
}

}  // namespace

ThreadPool::ThreadPool(int num_threads, bool pin)
    : num_threads_(std::max(1, num_threads)), shares_(static_cast<size_t>(num_threads_)) {
  const std::vector<int> cpus = pin ? AllowedCpus() : std::vector<int>();
  for (int i = 1; i < num_threads_; ++i) {
    workers_.emplace_back([this, i] { Work(i); });
    if (cpus.empty()) continue;
    PinTo(workers_.back().native_handle(), cpus[static_cast<size_t>(i) % cpus.size()]);
  }
}

ThreadPool::~ThreadPool() {
  stopping_ = true;
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::RunErased(Task task, void* context) {
  if (num_threads_ == 1) {
    task(context, 0);
    return;
  }
  task_ = task;
  context_ = context;
  num_running_.store(num_threads_ - 1, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  task(context, 0);
  for (int spin = 0; spin < kSpins; ++spin) {
    if (num_running_.load(std::memory_order_acquire) == 0) return;
    Pause();
  }
  for (int left = num_running_.load(std::memory_order_acquire); left != 0;
       left = num_running_.load(std::memory_order_acquire)) {
    num_running_.wait(left, std::memory_order_acquire);
  }
}

uint32_t ThreadPool::AwaitEpoch(uint32_t seen) const {
  for (int spin = 0; spin < kSpins; ++spin) {
    const uint32_t now = epoch_.load(std::memory_order_acquire);
    if (now != seen) return now;
    Pause();
  }
  epoch_.wait(seen, std::memory_order_acquire);
  return epoch_.load(std::memory_order_acquire);
}

void ThreadPool::Work(int thread) {
  uint32_t seen = 0;
  while (true) {
    seen = AwaitEpoch(seen);
    if (stopping_) return;
    task_(context_, thread);
    if (num_running_.fetch_sub(1, std::memory_order_acq_rel) == 1) num_running_.notify_one();
  }
}

int DefaultNumThreads() {
  std::set<std::pair<int, int>> cores;
  for (const int cpu : AllowedCpus()) {
    const int core = ReadTopology(cpu, "core_id");
    // Without a topology (some containers) every CPU counts as a core.
    cores.emplace(ReadTopology(cpu, "physical_package_id"), core < 0 ? 1'000'000 + cpu : core);
  }
  return std::max(1, static_cast<int>(cores.size()));
}

}  // namespace runahead::cpu

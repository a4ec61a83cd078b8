#include "tests/cuda_emulator/emulator.h"

#include <algorithm>
#include <map>
#include <utility>

#include "tests/cuda_emulator/machine.h"

namespace runahead::emulator {
namespace {

// What AllowSharedMemory has granted.
std::map<const void*, int64_t>& Allowed() {
  static std::map<const void*, int64_t> allowed;
  return allowed;
}

}  // namespace

BugCollector::BugCollector() { Machine::Get().SetCollector(this); }
BugCollector::~BugCollector() { Machine::Get().SetCollector(nullptr); }

bool BugCollector::Has(BugKind kind) const {
  return std::any_of(bugs_.begin(), bugs_.end(), [&](const Bug& bug) { return bug.kind == kind; });
}

void SetSeed(uint64_t seed) { Machine::Get().Seed(seed); }
void SetAccessChecks(bool are_on) { Machine::Get().SetAccessChecks(are_on); }

bool HasAccessChecks() {
#if defined(RA_EMULATOR_ACCESS_CHECKS)
  return true;
#else
  return false;
#endif
}

void AddMemory(const void* base, int64_t bytes) { Machine::Get().memory().Add(base, bytes); }
void RemoveMemory(const void* base) { Machine::Get().memory().Remove(base); }

const LaunchShape& LastLaunch() { return Machine::Get().last_shape(); }

void Run(const LaunchShape& shape, void (*entry)(void*), void* argument, int64_t argument_bytes) {
  Machine::Get().Run(shape, entry, argument, argument_bytes);
}

void AllowSharedMemory(const void* kernel, int64_t bytes) { Allowed()[kernel] = bytes; }

bool CheckSharedMemory(const void* kernel, const LaunchShape& shape) {
  const auto allowed = Allowed().find(kernel);
  const int64_t limit = allowed == Allowed().end() ? kDefaultSharedBytes : allowed->second;
  if (shape.shared_bytes <= limit) return true;
  Machine::Get().ReportBug(BugKind::kLaunch, shape.name + ": " +
                                                 std::to_string(shape.shared_bytes) +
                                                 " bytes of shared memory, allowed are " +
                                                 std::to_string(limit) + " (AllowSharedMemory)");
  return false;
}

void Stream::Synchronize() {
  for (const auto& work : TakeWork()) work();
}

std::vector<std::function<void()>> Stream::TakeWork() { return std::exchange(work_, {}); }

}  // namespace runahead::emulator

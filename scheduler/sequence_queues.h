// SequenceQueues: who waits and who runs, each in scheduling order. Engine thread only.
#pragma once

#include <cstddef>
#include <set>
#include <span>
#include <vector>

#include "scheduler/sequence.h"

namespace runahead {

// Scheduling order: lower priority value first; within it by arrival of the request; then by
// choice. A preempted sequence arrived before everyone who has never run, so the order alone puts
// it back at the head of its priority.
struct RunsEarlier {
  bool operator()(const Sequence* a, const Sequence* b) const;
};

// Borrows the sequences; each is in at most one of the two. The status of a sequence says where it
// is.
class SequenceQueues {
 public:
  std::span<Sequence* const> running() const { return running_; }
  int num_running() const { return static_cast<int>(running_.size()); }
  bool HasRunning() const { return !running_.empty(); }
  Sequence& last_running() const { return *running_.back(); }  // the first to be preempted

  const std::set<Sequence*, RunsEarlier>& waiting() const { return waiting_; }
  int num_waiting() const { return static_cast<int>(waiting_.size()); }
  bool HasWaiting() const { return !waiting_.empty(); }
  Sequence& first_waiting() const { return **waiting_.begin(); }

  void Wait(Sequence& sequence);     // from outside
  void Run(Sequence& sequence);      // from waiting
  void Preempt(Sequence& sequence);  // from running to waiting
  void Remove(Sequence& sequence);   // from either, or none

  void CheckIntegrity() const;

 private:
  void RemoveRunning(Sequence& sequence);

  std::set<Sequence*, RunsEarlier> waiting_;
  std::vector<Sequence*>
      running_;  // sorted; a few hundred at most, so moving pointers beats a tree
};

}  // namespace runahead

// TaskThread: one thread that runs posted tasks in order; the I/O pool of programs without sockets.
// Thread-safe.
#pragma once

#include <functional>
#include <thread>
#include <utility>

#include "core/mailbox.h"

namespace runahead {

class TaskThread {
 public:
  TaskThread() : thread_([this] { Run(); }) {}
  ~TaskThread() {
    Post(nullptr);  // after all that was posted before
    thread_.join();
  }
  TaskThread(const TaskThread&) = delete;
  TaskThread& operator=(const TaskThread&) = delete;

  void Post(std::function<void()> task) { tasks_.Send(std::move(task)); }

 private:
  void Run() {
    while (tasks_.WaitUntil(kNoDeadline)) {
      for (const std::function<void()>& task : tasks_.Take()) {
        if (task == nullptr) return;
        task();
      }
    }
  }

  Mailbox<std::function<void()>> tasks_;
  std::thread thread_;
};

}  // namespace runahead

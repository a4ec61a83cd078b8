// LoadRunner: who sends when, and what came of it. I/O thread only. Internal to server/loadgen.
#pragma once

#include <exception>
#include <functional>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "server/loadgen/client_pool.h"
#include "server/loadgen/load_client.h"

namespace runahead {

// One run. In a closed loop `concurrency` clients each send their next request when the last has
// ended; in an open loop requests are sent when they are due, whatever became of others.
class LoadRunner {
 public:
  // All outlive the run.
  LoadRunner(ClientPool& pool, const LoadSpec& spec, const std::vector<std::string>& bodies);

  LoadRun Run(const LoadWatch& watch);

 private:
  using Task = boost::asio::awaitable<void>;

  bool MaySend() const;
  LoadProgress Progress() const;
  void Spawn(Task task);
  void Interrupt();
  Task Client();
  Task OpenLoop();
  Task SendOne(size_t index);
  Task Report(const LoadWatch& watch, boost::asio::steady_timer& timer);

  ClientPool& pool_;
  const LoadSpec& spec_;
  const std::vector<std::string>& bodies_;
  LoadRun run_;
  size_t num_sent_ = 0;
  int num_done_ = 0;
  int num_failed_ = 0;
  int num_in_flight_ = 0;
  int num_tasks_ = 0;               // that send, or may
  boost::asio::steady_timer due_;   // of the open loop's next request
  boost::asio::steady_timer slot_;  // cancelled when a request ends
  std::exception_ptr failure_;
};

}  // namespace runahead

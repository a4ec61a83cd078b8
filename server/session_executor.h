// SessionExecutor: where a session's steps run. Immutable, thread-safe. Internal to
// server/http_*.cc.
#pragma once

#include <type_traits>
#include <utility>

#include <boost/asio/execution.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/require.hpp>

namespace runahead {

// Under a strand, two kinds of threads drive a session: the sockets' own, when bytes come, and the
// streams', when there is something to send. What may run at once runs on the thread that asks, so
// that neither waits for the other to wake up; what is posted runs on the sockets'.
class SessionExecutor {
 public:
  explicit SessionExecutor(boost::asio::io_context& sockets) : sockets_(&sockets) {}

  // What Asio asks of an executor (boost::asio::execution).
  boost::asio::execution_context& query(boost::asio::execution::context_t) const noexcept {
    return *sockets_;
  }
  boost::asio::execution::blocking_t query(boost::asio::execution::blocking_t) const noexcept {
    if (runs_here_) return boost::asio::execution::blocking.possibly;
    return boost::asio::execution::blocking.never;
  }
  SessionExecutor require(boost::asio::execution::blocking_t::possibly_t) const noexcept {
    return SessionExecutor(*sockets_);
  }
  SessionExecutor require(boost::asio::execution::blocking_t::never_t) const noexcept {
    SessionExecutor posting(*sockets_);
    posting.runs_here_ = false;
    return posting;
  }
  template <typename Function>
  void execute(Function&& function) const {
    if (runs_here_) {
      std::decay_t<Function> here(std::forward<Function>(function));
      std::move(here)();
      return;
    }
    boost::asio::require(sockets_->get_executor(), boost::asio::execution::blocking.never)
        .execute(std::forward<Function>(function));
  }
  bool operator==(const SessionExecutor&) const noexcept = default;

 private:
  boost::asio::io_context* sockets_;
  bool runs_here_ = true;
};

}  // namespace runahead

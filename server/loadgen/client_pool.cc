#include "server/loadgen/client_pool.h"

#include <array>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace runahead {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using boost::system::error_code;

std::string HeadersOf(const ClientOptions& options) {
  std::string out = " HTTP/1.1\r\nHost: " + options.url.Authority() +
                    "\r\nUser-Agent: runahead-bench\r\nAccept: application/json, "
                    "text/event-stream\r\nContent-Type: application/json\r\n";
  if (!options.api_key.empty()) out += "Authorization: Bearer " + options.api_key + "\r\n";
  for (const auto& [name, value] : options.headers) out += name + ": " + value + "\r\n";
  return out + "Content-Length: ";
}

Result<std::unique_ptr<asio::ssl::context>> MakeTlsContext(const ClientOptions& options) {
  if (!options.url.is_tls) return std::unique_ptr<asio::ssl::context>();
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_client);
  context->set_verify_mode(options.is_insecure ? asio::ssl::verify_none : asio::ssl::verify_peer);
  error_code error;
  if (options.ca_file.empty()) {
    context->set_default_verify_paths(error);
  } else {
    context->load_verify_file(options.ca_file, error);
  }
  if (error) return InvalidArgument("--ca-file: cannot read it: " + error.message());
  return context;
}

}  // namespace

// Ends a request that takes too long by closing its connection under it.
class ClientPool::Deadline {
 public:
  Deadline(asio::io_context& io, Duration after) : state_(std::make_shared<State>(io)) {
    state_->timer.expires_after(after);
    state_->timer.async_wait([state = state_](const error_code& error) {
      if (error || state->is_over) return;
      state->has_passed = true;
      if (state->connection != nullptr) state->connection->Close();
    });
  }
  ~Deadline() {
    state_->is_over = true;  // the timer's handler may be on its way already
    state_->timer.cancel();
  }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  // The connection in use, borrowed; null while there is none.
  void Guard(ClientConnection* connection) { state_->connection = connection; }
  bool has_passed() const { return state_->has_passed; }

 private:
  // Shared with the timer's handler, which may run after the request's end.
  struct State {
    explicit State(asio::io_context& io) : timer(io) {}
    asio::steady_timer timer;
    ClientConnection* connection = nullptr;
    bool has_passed = false;
    bool is_over = false;
  };
  std::shared_ptr<State> state_;
};

ClientPool::ClientPool(const ClientOptions& options)
    : options_(options), headers_(HeadersOf(options)) {}

Result<std::unique_ptr<ClientPool>> ClientPool::Make(const ClientOptions& options) {
  std::unique_ptr<ClientPool> pool(new ClientPool(options));
  RA_ASSIGN_OR_RETURN(pool->tls_, MakeTlsContext(options));
  error_code error;
  tcp::resolver resolver(pool->io_);
  pool->endpoints_ =
      resolver.resolve(options.url.host, options.url.port, tcp::resolver::numeric_service, error);
  if (error) {
    return Status(StatusCode::kUnavailable,
                  "cannot resolve " + options.url.host + " of --url: " + error.message());
  }
  return pool;
}

std::string ClientPool::MakeRequest(const std::string& method, const std::string& path,
                                    const std::string& body) const {
  return method + " " + options_.url.base + path + headers_ + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

ClientPool::Connection ClientPool::TakeIdle() {
  if (idle_.empty()) return nullptr;
  Connection connection = std::move(idle_.back());
  idle_.pop_back();
  return connection;
}

void ClientPool::CloseAll() {
  is_closed_ = true;
  for (ClientConnection* connection : in_use_) connection->Close();
}

asio::awaitable<void> ClientPool::Ask(const std::string& request, ReplySink& sink) {
  Deadline deadline(io_, options_.timeout);
  Connection connection = TakeIdle();
  bool is_kept = connection != nullptr;
  for (bool is_answered = false; !is_answered; is_kept = false) {
    if (is_closed_) co_return sink.Fail("closed", "the run was interrupted");
    if (!is_kept) {
      connection = std::make_unique<ClientConnection>(io_, tls_.get());
      ++num_connections_;
    }
    in_use_.insert(connection.get());
    deadline.Guard(connection.get());
    error_code error;
    if (!is_kept) error = co_await connection->Connect(endpoints_, options_.url.host);
    if (error && deadline.has_passed()) sink.Fail("timeout", "not connected in time");
    if (error) sink.Fail("connect", "cannot connect: " + error.message());
    is_answered = co_await Exchange(*connection, is_kept, request, deadline, sink);
    deadline.Guard(nullptr);
    in_use_.erase(connection.get());
  }
  if (sink.keeps_connection()) idle_.push_back(std::move(connection));
}

asio::awaitable<bool> ClientPool::Exchange(ClientConnection& connection, bool is_kept,
                                           const std::string& request, const Deadline& deadline,
                                           ReplySink& sink) {
  if (sink.finished()) co_return true;
  bool is_stale = is_kept;
  error_code error = co_await connection.Write(request);
  std::array<char, 32 << 10> buffer;
  while (!sink.finished()) {
    size_t count = 0;
    if (!error) count = co_await connection.ReadSome(asio::buffer(buffer), error);
    const double now_s = Now();
    if (count > 0) sink.Feed({buffer.data(), count}, now_s);
    is_stale = is_stale && count == 0;
    if (!error) continue;
    if (deadline.has_passed()) {
      sink.Fail("timeout",
                "no whole answer within " + std::to_string(options_.timeout.count()) + " ms");
    } else if (is_stale) {
      co_return false;
    } else {
      sink.FeedEnd(now_s);
    }
  }
  co_return true;
}

}  // namespace runahead

#include "server/http_server.h"

#include <algorithm>
#include <atomic>
#include <future>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "server/http_error.h"
#include "server/http_session.h"
#include "server/session_executor.h"
#include "server/thread_priority.h"

namespace runahead {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using boost::system::error_code;

Result<std::unique_ptr<asio::ssl::context>> MakeTlsContext(const HttpOptions& options) {
  if (options.tls_cert_file.empty() && options.tls_key_file.empty()) {
    return std::unique_ptr<asio::ssl::context>();
  }
  if (options.tls_cert_file.empty() || options.tls_key_file.empty()) {
    return InvalidArgument("TLS needs both a certificate and a key file.");
  }
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  context->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                       asio::ssl::context::no_tlsv1_1);
  error_code error;
  context->use_certificate_chain_file(options.tls_cert_file, error);
  if (error) {
    return InvalidArgument("Cannot read the TLS certificate " + options.tls_cert_file + ": " +
                           error.message() + ".");
  }
  context->use_private_key_file(options.tls_key_file, asio::ssl::context::pem, error);
  if (error) {
    return InvalidArgument("Cannot read the TLS key " + options.tls_key_file + ": " +
                           error.message() + ".");
  }
  return context;
}

// "192.0.2.1:4711" or "[2001:db8::1]:4711"; empty where the peer has gone already.
std::string ClientOf(const tcp::socket& socket) {
  error_code error;
  const tcp::endpoint peer = socket.remote_endpoint(error);
  if (error) return "";
  const std::string address = peer.address().to_string();
  const std::string port = ":" + std::to_string(peer.port());
  return peer.address().is_v6() ? "[" + address + "]" + port : address + port;
}

}  // namespace

struct HttpServer::State {
  explicit State(HttpOptions o)
      : options(std::move(o)),
        workers(static_cast<size_t>(options.num_threads)),
        control(asio::make_strand(io)),
        acceptor(control),
        work(asio::make_work_guard(io)),
        streams_work(asio::make_work_guard(streams)) {
    context.options = &options;
    context.workers = &workers;
  }

  Status Bind();
  asio::awaitable<void> AcceptLoop();
  void Admit(tcp::socket socket);
  void TurnAway(tcp::socket socket);
  void Join();

  HttpOptions options;
  std::unique_ptr<asio::ssl::context> tls;  // null: plain
  // A step of the engine wakes every stream at once. What that sets off (text, format, one write
  // each) has threads of its own, so that a socket that asks for something never stands behind 256
  // streams, nor behind a thread of the pool that has lost its core amid them.
  asio::io_context io;       // sockets
  asio::io_context streams;  // what Post gives
  asio::thread_pool workers;
  asio::strand<asio::io_context::executor_type> control;  // owns acceptor and sessions
  tcp::acceptor acceptor;
  int port = 0;
  SessionContext context;
  std::set<std::shared_ptr<HttpSession>> sessions;  // on `control`
  std::function<void()> on_empty;                   // on `control`: called when the last one ended
  std::atomic<int> num_connections = 0;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  asio::executor_work_guard<asio::io_context::executor_type> streams_work;
  std::vector<std::thread> threads;
};

Status HttpServer::State::Bind() {
  const std::string where = options.host + ":" + std::to_string(options.port);
  error_code error;
  tcp::resolver resolver(io);
  const auto found =
      resolver.resolve(options.host, std::to_string(options.port),
                       tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (error || found.empty()) {
    return InvalidArgument("Cannot listen on " + where + ": " + error.message() +
                           ". Give an address of this machine with --host.");
  }
  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return Status(StatusCode::kUnavailable,
                  "Cannot listen on " + where + ": " + error.message() +
                      ". Stop what uses the port, or choose another with --http-port.");
  }
  port = acceptor.local_endpoint().port();
  return {};
}

asio::awaitable<void> HttpServer::State::AcceptLoop() {
  asio::steady_timer pause(control);
  for (;;) {
    error_code error;
    tcp::socket socket = co_await acceptor.async_accept(
        asio::make_strand(SessionExecutor(io)), asio::redirect_error(asio::use_awaitable, error));
    if (!acceptor.is_open()) break;  // whoever came in meanwhile would be told nothing
    if (!error) {
      Admit(std::move(socket));
    } else {
      // Out of file descriptors, most likely: connections wait in the backlog until some are
      // closed.
      pause.expires_after(std::chrono::milliseconds(50));
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
  }
}

void HttpServer::State::Admit(tcp::socket socket) {
  if (static_cast<int>(sessions.size()) >= options.max_connections)
    return TurnAway(std::move(socket));
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  // A peer that vanished without a word is noticed in the end, though nothing is sent to it
  // meanwhile.
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  const auto executor = socket.get_executor();
  const std::string client = ClientOf(socket);
  auto transport = tls != nullptr ? MakeTlsTransport(std::move(socket), *tls)
                                  : MakePlainTransport(std::move(socket));
  auto session = std::make_shared<HttpSession>(executor, std::move(transport), context, client);
  sessions.insert(session);
  ++num_connections;
  session->Start([this, session] {
    asio::post(control, [this, session] {
      sessions.erase(session);
      --num_connections;
      if (sessions.empty() && on_empty) std::exchange(on_empty, nullptr)();
    });
  });
}

// One small write into an empty socket buffer cannot block.
void HttpServer::State::TurnAway(tcp::socket socket) {
  const HttpResponse response =
      ErrorResponse({StatusCode::kUnavailable, "Too many connections: try again later."});
  const std::string bytes = SerializeHead(response, false, BodyFraming::kLength) + response.body;
  error_code ignored;
  socket.non_blocking(true, ignored);
  if (tls == nullptr) socket.write_some(asio::buffer(bytes), ignored);
  socket.shutdown(tcp::socket::shutdown_send, ignored);
}

void HttpServer::State::Join() {
  work.reset();
  workers.join();
  io.stop();
  streams.stop();
  for (std::thread& thread : threads) thread.join();
  threads.clear();
}

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

HttpServer::~HttpServer() { Stop(std::chrono::milliseconds(0)); }

Result<std::unique_ptr<HttpServer>> HttpServer::Listen(const HttpOptions& options) {
  auto state = std::make_unique<State>(options);
  RA_ASSIGN_OR_RETURN(state->tls, MakeTlsContext(options));
  RA_RETURN_IF_ERROR(state->Bind());
  const int num_for_sockets = std::max(1, options.num_threads / 2);
  for (int i = 0; i < num_for_sockets; ++i) {
    state->threads.emplace_back([&io = state->io] {
      AskForShortTurns();
      io.run();
    });
  }
  for (int i = 0; i < std::max(1, options.num_threads - num_for_sockets); ++i) {
    state->threads.emplace_back([&streams = state->streams] { streams.run(); });
  }
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

int HttpServer::port() const { return state_->port; }

int HttpServer::num_connections() const { return state_->num_connections.load(); }

void HttpServer::Post(std::function<void()> task) { asio::post(state_->streams, std::move(task)); }

void HttpServer::Serve(const Router& router, const HttpGate& gate) {
  asio::post(state_->control, [state = state_.get(), &router, &gate] {
    state->context.router = &router;
    state->context.gate = &gate;
    asio::co_spawn(
        state->control, [state] { return state->AcceptLoop(); }, asio::detached);
  });
}

void HttpServer::StartDraining() {
  state_->context.is_draining = true;
  asio::post(state_->control, [state = state_.get()] {
    for (const auto& session : state->sessions) session->CloseWhenIdle(false);
  });
}

void HttpServer::Stop(std::chrono::milliseconds grace) {
  if (state_->threads.empty()) return;
  StartDraining();
  std::promise<void> empty;
  std::future<void> is_empty = empty.get_future();
  const auto stop_listening = [state = state_.get(), &empty] {
    error_code ignored;
    state->acceptor.close(ignored);
    state->on_empty = [&empty] { empty.set_value(); };
    for (const auto& session : state->sessions) session->CloseWhenIdle(true);
    if (state->sessions.empty()) std::exchange(state->on_empty, nullptr)();
  };
  asio::post(state_->control, stop_listening);
  if (is_empty.wait_for(grace) != std::future_status::ready) {
    asio::post(state_->control, [state = state_.get()] {
      for (const auto& session : state->sessions) session->Close();
    });
    // Handlers that are running end first; every wait of a closed session ends at once.
    is_empty.wait();
  }
  state_->Join();
}

}  // namespace runahead

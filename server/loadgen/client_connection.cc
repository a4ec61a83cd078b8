#include "server/loadgen/client_connection.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <openssl/ssl.h>

namespace runahead {
namespace {

namespace asio = boost::asio;

auto Into(ClientConnection::ErrorCode& error) {
  return asio::redirect_error(asio::use_awaitable, error);
}

}  // namespace

ClientConnection::ClientConnection(asio::io_context& io, asio::ssl::context* tls) {
  if (tls != nullptr) {
    tls_.emplace(io, *tls);
    checks_name_ = SSL_CTX_get_verify_mode(tls->native_handle()) != SSL_VERIFY_NONE;
  } else {
    plain_.emplace(io);
  }
}

asio::awaitable<ClientConnection::ErrorCode> ClientConnection::Connect(
    const Tcp::resolver::results_type& endpoints, const std::string& host) {
  ErrorCode error;
  co_await asio::async_connect(socket(), endpoints, Into(error));
  if (error) co_return error;
  socket().set_option(Tcp::no_delay(true), error);
  if (!tls_) co_return error;
  SSL_set_tlsext_host_name(tls_->native_handle(), host.c_str());
  if (checks_name_) tls_->set_verify_callback(asio::ssl::host_name_verification(host));
  co_await tls_->async_handshake(asio::ssl::stream_base::client, Into(error));
  co_return error;
}

asio::awaitable<ClientConnection::ErrorCode> ClientConnection::Write(const std::string& bytes) {
  ErrorCode error;
  if (tls_) {
    co_await asio::async_write(*tls_, asio::buffer(bytes), Into(error));
  } else {
    co_await asio::async_write(*plain_, asio::buffer(bytes), Into(error));
  }
  co_return error;
}

asio::awaitable<size_t> ClientConnection::ReadSome(asio::mutable_buffer into, ErrorCode& error) {
  if (tls_) co_return co_await tls_->async_read_some(into, Into(error));
  co_return co_await plain_->async_read_some(into, Into(error));
}

void ClientConnection::Close() {
  ErrorCode ignored;
  socket().close(ignored);
}

}  // namespace runahead

// ClientConnection: one TCP or TLS connection to a server. I/O thread only. Internal to
// server/loadgen.
#pragma once

#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>

namespace runahead {

class ClientConnection {
 public:
  using Tcp = boost::asio::ip::tcp;
  using ErrorCode = boost::system::error_code;

  // `tls` is null for plain HTTP and outlives the connection.
  ClientConnection(boost::asio::io_context& io, boost::asio::ssl::context* tls);

  // `host` is whom the certificate must name.
  boost::asio::awaitable<ErrorCode> Connect(const Tcp::resolver::results_type& endpoints,
                                            const std::string& host);
  boost::asio::awaitable<ErrorCode> Write(const std::string& bytes);
  boost::asio::awaitable<size_t> ReadSome(boost::asio::mutable_buffer into, ErrorCode& error);
  // Ends everything that is out, with an error. Idempotent.
  void Close();

 private:
  Tcp::socket& socket() { return tls_ ? tls_->next_layer() : *plain_; }

  // Exactly one of the two.
  std::optional<Tcp::socket> plain_;
  std::optional<boost::asio::ssl::stream<Tcp::socket>> tls_;
  bool checks_name_ = false;
};

}  // namespace runahead

// Transport: the bytes of one connection, plain or TLS. Its connection's strand only. Internal to
// server/http_*.cc.
#pragma once

#include <functional>
#include <memory>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/system/error_code.hpp>

namespace runahead {

// At most one read and one write are out at a time. Callbacks run on the socket's executor, never
// inside the call that started them.
class Transport {
 public:
  using Callback = std::function<void(const boost::system::error_code&, size_t)>;

  virtual ~Transport() = default;
  virtual void Handshake(Callback done) = 0;
  virtual void ReadSome(boost::asio::mutable_buffer into, Callback done) = 0;
  // Writes what goes without waiting: how many bytes, 0 also where a wait or an error is due, which
  // WriteSome will tell. No write is out.
  virtual size_t TryWrite(boost::asio::const_buffer from) = 0;
  virtual void WriteSome(boost::asio::const_buffer from, Callback done) = 0;
  // Says goodbye in the protocol's own way; reads may go on.
  virtual void Shutdown(Callback done) = 0;
  // Ends everything that is out, with an error. Idempotent.
  virtual void Close() = 0;
};

std::unique_ptr<Transport> MakePlainTransport(boost::asio::ip::tcp::socket socket);
// `context` outlives the transport.
std::unique_ptr<Transport> MakeTlsTransport(boost::asio::ip::tcp::socket socket,
                                            boost::asio::ssl::context& context);

}  // namespace runahead

#include "server/http_transport.h"

#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>

namespace runahead {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using boost::system::error_code;

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(tcp::socket socket) : socket_(std::move(socket)) {
    error_code ignored;
    socket_.non_blocking(true, ignored);  // for TryWrite
  }

  void Handshake(Callback done) override {
    asio::post(socket_.get_executor(), [done = std::move(done)] { done({}, 0); });
  }
  void ReadSome(asio::mutable_buffer into, Callback done) override {
    socket_.async_read_some(into, std::move(done));
  }
  size_t TryWrite(asio::const_buffer from) override {
    error_code error;
    const size_t count = socket_.write_some(from, error);
    return error ? 0 : count;
  }
  void WriteSome(asio::const_buffer from, Callback done) override {
    socket_.async_write_some(from, std::move(done));
  }
  void Shutdown(Callback done) override {
    error_code error;
    socket_.shutdown(tcp::socket::shutdown_send, error);
    asio::post(socket_.get_executor(), [done = std::move(done), error] { done(error, 0); });
  }
  void Close() override {
    error_code ignored;
    socket_.close(ignored);
  }

 private:
  tcp::socket socket_;
};

class TlsTransport final : public Transport {
 public:
  TlsTransport(tcp::socket socket, asio::ssl::context& context)
      : stream_(std::move(socket), context) {}

  void Handshake(Callback done) override {
    stream_.async_handshake(asio::ssl::stream_base::server,
                            [done = std::move(done)](const error_code& error) { done(error, 0); });
  }
  void ReadSome(asio::mutable_buffer into, Callback done) override {
    stream_.async_read_some(into, std::move(done));
  }
  size_t TryWrite(asio::const_buffer) override { return 0; }  // a record may need a read
  void WriteSome(asio::const_buffer from, Callback done) override {
    stream_.async_write_some(from, std::move(done));
  }
  void Shutdown(Callback done) override {
    stream_.async_shutdown([done = std::move(done)](const error_code& error) { done(error, 0); });
  }
  void Close() override {
    error_code ignored;
    stream_.lowest_layer().close(ignored);
  }

 private:
  asio::ssl::stream<tcp::socket> stream_;
};

}  // namespace

std::unique_ptr<Transport> MakePlainTransport(tcp::socket socket) {
  return std::make_unique<PlainTransport>(std::move(socket));
}

std::unique_ptr<Transport> MakeTlsTransport(tcp::socket socket, asio::ssl::context& context) {
  return std::make_unique<TlsTransport>(std::move(socket), context);
}

}  // namespace runahead

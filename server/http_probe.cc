#include "server/http_probe.h"

#include <algorithm>
#include <charconv>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

namespace runahead {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kMaxReplyBytes = 64 << 10;

// Connect, shake hands where there is TLS, write, read to the end: each begins the next. An error
// ends the chain; what was read before it stays.
class Exchange {
 public:
  Exchange(asio::io_context& context, const ProbeUrl& url)
      : resolver_(context),
        plain_(context),
        tls_(plain_, tls_context_),
        url_(url),
        request_("GET " + url.path + " HTTP/1.1\r\nHost: " + url.host +
                 "\r\nUser-Agent: runahead-health\r\nConnection: close\r\n\r\n") {}

  error_code Start() {
    error_code error;
    const auto found = resolver_.resolve(url_.host, std::to_string(url_.port), error);
    if (error) return error;
    asio::async_connect(plain_, found, [this](const error_code& failed, const tcp::endpoint&) {
      if (!Failed(failed)) Shake();
    });
    return {};
  }

  bool is_done() const { return is_done_; }
  const error_code& error() const { return error_; }
  const std::string& received() const { return received_; }

 private:
  bool Failed(const error_code& error) {
    if (!error) return false;
    error_ = error;
    is_done_ = true;
    return true;
  }

  void Shake() {
    if (!url_.is_tls) return Write(plain_);
    tls_.async_handshake(asio::ssl::stream_base::client, [this](const error_code& failed) {
      if (!Failed(failed)) Write(tls_);
    });
  }

  template <typename Stream>
  void Write(Stream& stream) {
    asio::async_write(stream, asio::buffer(request_),
                      [this, &stream](const error_code& failed, size_t) {
                        if (!Failed(failed)) Read(stream);
                      });
  }

  // Its end is always an error: the end of the stream, most often.
  template <typename Stream>
  void Read(Stream& stream) {
    asio::async_read(stream, asio::dynamic_buffer(received_, kMaxReplyBytes),
                     [this](const error_code& failed, size_t) {
                       error_ = failed;
                       is_done_ = true;
                     });
  }

  asio::ssl::context tls_context_{asio::ssl::context::tls_client};  // verifies nothing
  tcp::resolver resolver_;
  tcp::socket plain_;
  asio::ssl::stream<tcp::socket&> tls_;
  const ProbeUrl& url_;
  const std::string request_;
  std::string received_;
  error_code error_;
  bool is_done_ = false;
};

Result<ProbeReply> ParseReply(const std::string& received) {
  ProbeReply reply;
  const std::string_view head(received);
  const char* digits = received.data() + std::string_view("HTTP/1.1 ").size();
  const bool has_status = head.starts_with("HTTP/1.") && head.size() > 12 &&
                          std::from_chars(digits, digits + 3, reply.status).ptr == digits + 3;
  if (!has_status) return Status(StatusCode::kUnavailable, "the answer is not HTTP");
  const size_t body = received.find("\r\n\r\n");
  if (body != std::string::npos) reply.body = received.substr(body + 4);
  return reply;
}

}  // namespace

Result<ProbeUrl> ParseProbeUrl(std::string_view url, std::string_view default_path) {
  const auto refuse = [&](const char* why) {
    return InvalidArgument("--url '" + std::string(url) + "': " + why, "url");
  };
  ProbeUrl parsed;
  std::string_view rest = url;
  if (rest.starts_with("https://")) {
    parsed.is_tls = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return refuse("must begin with http:// or https://");
  }
  const size_t slash = std::min(rest.find('/'), rest.size());
  parsed.path = slash < rest.size() ? rest.substr(slash) : default_path;
  std::string_view authority = rest.substr(0, slash);
  if (url.find_first_of(" \t\r\n@#") != std::string_view::npos) {
    return refuse("holds a character that it may not");
  }
  const size_t colon = authority.rfind(':');
  const bool has_port = colon != std::string_view::npos && !authority.ends_with(']');
  parsed.port = parsed.is_tls ? 443 : 80;
  if (has_port) {
    const std::string_view digits = authority.substr(colon + 1);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), parsed.port);
    if (error != std::errc() || end != digits.data() + digits.size() || parsed.port < 1 ||
        parsed.port > 65535) {
      return refuse("the port must be a number from 1 to 65535");
    }
    authority = authority.substr(0, colon);
  }
  if (authority.starts_with('[') && authority.ends_with(']')) {
    authority = authority.substr(1, authority.size() - 2);
  }
  if (authority.empty()) return refuse("names no host");
  parsed.host = authority;
  return parsed;
}

Result<ProbeReply> ProbeHttp(const ProbeUrl& url, std::chrono::milliseconds timeout) {
  asio::io_context context;
  Exchange exchange(context, url);
  const error_code unknown = exchange.Start();
  if (unknown) return Status(StatusCode::kUnavailable, unknown.message());
  context.run_for(timeout);
  if (!exchange.is_done()) {
    return Status(StatusCode::kDeadlineExceeded,
                  "no answer within " + std::to_string(timeout.count()) + " ms");
  }
  // TLS peers often end without goodbye; what came says whether that was early.
  if (exchange.received().empty()) {
    return Status(StatusCode::kUnavailable, exchange.error().message());
  }
  return ParseReply(exchange.received());
}

}  // namespace runahead

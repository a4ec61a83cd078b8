#include "server/loadgen/response_reader.h"

#include <cstdint>
#include <utility>

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

namespace runahead {
namespace {

namespace http = boost::beast::http;

// Memory for as much is reserved where a response says how long it is.
constexpr uint64_t kMaxBodyBytes = uint64_t{1} << 30;

Status NotHttp(const boost::beast::error_code& error) {
  return {StatusCode::kInternal, "not an HTTP response: " + error.message()};
}

}  // namespace

struct ResponseReader::Parser : http::response_parser<http::string_body> {};

ResponseReader::ResponseReader() : parser_(std::make_unique<Parser>()) {
  parser_->eager(true);
  parser_->header_limit(64 << 10);
  parser_->body_limit(kMaxBodyBytes);
}

ResponseReader::~ResponseReader() = default;

Status ResponseReader::Feed(std::string_view bytes) {
  unparsed_ += bytes;
  while (!unparsed_.empty() && !parser_->is_done()) {
    boost::beast::error_code error;
    const size_t used = parser_->put(boost::asio::buffer(unparsed_), error);
    unparsed_.erase(0, used);
    if (error == http::error::need_more) break;
    if (error) return NotHttp(error);
  }
  return {};
}

Status ResponseReader::FeedEnd() {
  if (parser_->is_done()) return {};
  boost::beast::error_code error = http::error::partial_message;
  if (parser_->got_some()) parser_->put_eof(error);
  if (error) return {StatusCode::kUnavailable, "the connection was closed amid the answer"};
  return {};
}

bool ResponseReader::has_head() const { return parser_->is_header_done(); }

int ResponseReader::status() const { return static_cast<int>(parser_->get().result_int()); }

std::string_view ResponseReader::content_type() const {
  const auto value = parser_->get()[http::field::content_type];
  return {value.data(), value.size()};
}

std::string ResponseReader::TakeBody() { return std::exchange(parser_->get().body(), {}); }

bool ResponseReader::done() const { return parser_->is_done(); }

bool ResponseReader::keeps_connection() const {
  return parser_->is_done() && parser_->get().keep_alive() && unparsed_.empty();
}

}  // namespace runahead

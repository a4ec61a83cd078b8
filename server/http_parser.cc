#include "server/http_parser.h"

#include <cstdint>
#include <optional>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

namespace runahead {
namespace {

namespace http = boost::beast::http;

using Parser = http::request_parser<http::string_body>;

// boost::string_view or a type of Boost's own, by version.
template <typename View>
std::string Text(const View& view) {
  return std::string(view.data(), view.size());
}

}  // namespace

struct HttpParser::State {
  explicit State(const HttpLimits& l) : limits(l) { Reset(); }

  void Reset() {
    parser.emplace();
    parser->header_limit(static_cast<std::uint32_t>(limits.max_header_bytes));
    parser->body_limit(limits.max_body_bytes);
    parser->eager(true);
    saw_header = false;
    has_begun = false;
  }

  Progress Fail(const boost::system::error_code& error) {
    http_status = 400;
    std::string message = "The request is not valid HTTP: " + error.message() + ".";
    StatusCode code = StatusCode::kInvalidArgument;
    if (error == http::error::header_limit) {
      http_status = 431;
      message =
          "The request's header exceeds " + std::to_string(limits.max_header_bytes) + " bytes.";
    } else if (error == http::error::body_limit) {
      http_status = 413;
      code = StatusCode::kPayloadTooLarge;
      message = "The request's body exceeds " + std::to_string(limits.max_body_bytes) + " bytes.";
    }
    status = Status(code, std::move(message));
    return Progress::kFailed;
  }

  HttpLimits limits;
  std::optional<Parser> parser;
  bool saw_header = false;
  bool has_begun = false;
  Status status;
  int http_status = 0;
};

HttpParser::HttpParser(const HttpLimits& limits) : state_(std::make_unique<State>(limits)) {}
HttpParser::~HttpParser() = default;
HttpParser::HttpParser(HttpParser&&) noexcept = default;
HttpParser& HttpParser::operator=(HttpParser&&) noexcept = default;

HttpParser::Progress HttpParser::Feed(std::string& buffer) {
  State& s = *state_;
  // Beast stops at the end of the header once, so a second call may be needed for the body.
  while (!buffer.empty() && !s.parser->is_done()) {
    boost::system::error_code error;
    s.has_begun = true;
    const size_t used = s.parser->put(boost::asio::buffer(buffer), error);
    buffer.erase(0, used);
    if (error == http::error::need_more) break;
    if (error) return s.Fail(error);
    if (used == 0) break;
  }
  // A header without end is kept in `buffer` by Beast until it is complete.
  if (!s.parser->is_header_done() && buffer.size() > s.limits.max_header_bytes) {
    return s.Fail(http::make_error_code(http::error::header_limit));
  }
  if (s.parser->is_done()) return Progress::kDone;
  if (s.parser->is_header_done() && !s.saw_header) {
    s.saw_header = true;
    return Progress::kHeaderDone;
  }
  return Progress::kNeedsMore;
}

bool HttpParser::has_begun() const { return state_->has_begun; }

bool HttpParser::expects_continue() const {
  return state_->parser->is_header_done() &&
         EqualsIgnoringCase(Text(state_->parser->get()[http::field::expect]), "100-continue");
}

HttpRequest HttpParser::Head() const {
  const http::request<http::string_body>& message = state_->parser->get();
  HttpRequest request;
  request.method = Text(message.method_string());
  const std::string target = Text(message.target());
  const size_t question = target.find('?');
  request.path = PercentDecode(target.substr(0, question)).value_or("");
  if (question != std::string::npos) request.query = target.substr(question + 1);
  for (const auto& field : message) {
    request.headers.Add(Text(field.name_string()), Text(field.value()));
  }
  request.keep_alive = state_->parser->keep_alive();
  request.is_http11 = message.version() >= 11;
  return request;
}

HttpRequest HttpParser::Take() {
  HttpRequest request = Head();
  request.body = std::move(state_->parser->get().body());
  state_->Reset();
  return request;
}

const Status& HttpParser::status() const { return state_->status; }
int HttpParser::http_status() const { return state_->http_status; }

}  // namespace runahead

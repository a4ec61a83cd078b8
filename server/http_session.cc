#include "server/http_session.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <utility>

#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "server/http_error.h"
#include "server/request_record.h"

namespace runahead {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr size_t kMaxPipelinedBytes = 64 << 10;
constexpr size_t kMaxWriteBytes = 64 << 10;
constexpr size_t kMaxUnyieldedBytes = 256 << 10;

std::string ChunkOf(const std::string& bytes) {
  std::array<char, 24> size{};
  const int length = std::snprintf(size.data(), size.size(), "%zx\r\n", bytes.size());
  return std::string(size.data(), static_cast<size_t>(length)) + bytes + "\r\n";
}

HttpReply RunSafely(const HttpHandler& handler, const HttpRequest& request) {
  try {
    return handler(request);
  } catch (const std::exception& error) {
    return ErrorResponse({StatusCode::kInternal, std::string("Internal error: ") + error.what()});
  }
}

}  // namespace

HttpSession::HttpSession(Strand strand, std::unique_ptr<Transport> transport,
                         const SessionContext& context, std::string client)
    : strand_(std::move(strand)),
      transport_(std::move(transport)),
      context_(context),
      client_(std::move(client)),
      parser_(context.options->limits),
      deadline_(strand_),
      silence_(strand_) {}

void HttpSession::Start(std::function<void()> done) {
  asio::co_spawn(
      strand_, [self = shared_from_this()] { return self->Run(); },
      [self = shared_from_this(), done = std::move(done)](const std::exception_ptr&) {
        self->deadline_.cancel();
        self->transport_->Close();
        done();
      });
}

void HttpSession::Close() {
  asio::post(strand_, [self = shared_from_this()] {
    self->is_gone_ = true;
    self->transport_->Close();
    self->Notify();
  });
}

void HttpSession::CloseWhenIdle(bool though_new) {
  asio::post(strand_, [self = shared_from_this(), though_new] {
    self->closes_when_idle_ = true;
    if (though_new) self->is_new_ = false;
    self->Notify();
  });
}

HttpSession::Task HttpSession::Wait() {
  num_unyielded_bytes_ = 0;
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
      [this](auto handler) {
        // Shared because std::function copies; it is called once.
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        waiter_ = [shared] { std::move (*shared)(); };
      },
      asio::use_awaitable);
}

HttpSession::Task HttpSession::Yield() {
  num_unyielded_bytes_ = 0;
  co_await asio::post(strand_, asio::use_awaitable);
}

void HttpSession::SetDeadline(std::chrono::milliseconds after) {
  has_timed_out_ = false;
  has_deadline_ = true;
  deadline_.expires_after(after);
  deadline_.async_wait(
      [self = shared_from_this(), generation = ++deadline_generation_](const error_code& error) {
        if (error || generation != self->deadline_generation_) return;
        self->has_timed_out_ = true;
        if (self->is_writing_) self->transport_->Close();  // ends the write
        self->Notify();
      });
}

void HttpSession::ClearDeadline() {
  has_timed_out_ = false;
  if (!std::exchange(has_deadline_, false)) return;
  ++deadline_generation_;
  deadline_.cancel();
}

// One timer for a whole answer, however many events it has: it looks now and then how long ago the
// last was.
void HttpSession::WatchSilence() {
  const std::chrono::milliseconds limit = context_.options->timeouts.keep_alive;
  silence_.expires_at(last_write_ + limit);
  silence_.async_wait([self = shared_from_this(), limit](const error_code& error) {
    if (error) return;
    const auto now = std::chrono::steady_clock::now();
    self->is_silent_ = now - self->last_write_ >= limit;
    if (self->is_silent_) self->last_write_ = now;
    self->WatchSilence();
    self->Notify();
  });
}

void HttpSession::StartRead() {
  if (is_reading_ || is_gone_ || in_.size() >= kMaxPipelinedBytes) return;
  is_reading_ = true;
  transport_->ReadSome(asio::buffer(read_buffer_),
                       [self = shared_from_this()](const error_code& error, size_t count) {
                         self->is_reading_ = false;
                         self->in_.append(self->read_buffer_.data(), count);
                         if (error) self->is_gone_ = true;
                         self->Notify();
                       });
}

HttpSession::Task HttpSession::Run() {
  bool has_shaken = false;
  SetDeadline(context_.options->timeouts.header);
  transport_->Handshake([self = shared_from_this(), &has_shaken](const error_code& error, size_t) {
    has_shaken = true;
    if (error) self->is_gone_ = true;
    self->Notify();
  });
  while (!has_shaken) {
    if (has_timed_out_) transport_->Close();  // which ends the handshake
    co_await Wait();
  }
  ClearDeadline();
  if (!is_gone_) co_await Converse();
}

HttpSession::Task HttpSession::Converse() {
  for (;;) {
    HttpRequest request;
    const bool has_request = co_await ReadRequest(request);
    if (!has_request) break;
    const bool goes_on = co_await Answer(std::move(request));
    is_new_ = false;
    if (!goes_on) break;
  }
  EndRecord(false);  // of a request that never became whole
  co_await Linger();
}

HttpGate::Admitted HttpSession::Admit(HttpRequest& request) {
  request.client = client_;
  request.first_byte = first_byte_;
  HttpGate::Admitted admitted = context_.gate->Admit(request);
  record_ = request.record;
  return admitted;
}

void HttpSession::EndRecord(bool was_delivered) {
  if (record_ != nullptr) std::exchange(record_, nullptr)->OnEnd(was_delivered);
}

HttpSession::Async<bool> HttpSession::ReadRequest(HttpRequest& request) {
  const HttpTimeouts& timeouts = context_.options->timeouts;
  bool has_begun = false;
  bool has_bytes = false;
  SetDeadline(timeouts.idle);
  for (;;) {
    if (!has_bytes && !in_.empty()) {
      has_bytes = true;
      first_byte_ = std::chrono::steady_clock::now();
    }
    const HttpParser::Progress progress = parser_.Feed(in_);
    if (progress == HttpParser::Progress::kDone || progress == HttpParser::Progress::kFailed) {
      const bool is_whole = co_await FinishRead(progress, request);
      co_return is_whole;
    }
    if (progress == HttpParser::Progress::kHeaderDone) {
      request = parser_.Head();
      admitted_ = Admit(request);
      if (admitted_->route == nullptr) {  // nobody needs the rest of its body
        co_await SendResponse(request, std::move(admitted_->refusal), false);
        co_return false;
      }
      SetDeadline(timeouts.body);
      if (parser_.expects_continue()) {
        const bool written = co_await Write("HTTP/1.1 100 Continue\r\n\r\n");
        if (!written) co_return false;
        SetDeadline(timeouts.body);
      }
      continue;
    }
    if (!has_begun && (parser_.has_begun() || !in_.empty())) {
      has_begun = true;
      SetDeadline(timeouts.header);
    }
    const bool must_close = closes_when_idle_ && !is_new_;
    if (is_gone_ || (!has_begun && (must_close || has_timed_out_))) {
      EndRecord(false);
      co_return false;
    }
    if (has_timed_out_) {
      HttpResponse late = ErrorResponse({StatusCode::kInvalidArgument,
                                         "The request did not arrive in time.",
                                         {},
                                         "request_timeout"});
      late.status = 408;
      co_await SendResponse(request, std::move(late), false);
      co_return false;
    }
    StartRead();
    co_await Wait();
  }
}

// A whole request, or the answer to one that is none.
HttpSession::Async<bool> HttpSession::FinishRead(HttpParser::Progress progress,
                                                 HttpRequest& request) {
  ClearDeadline();
  if (progress == HttpParser::Progress::kDone) {
    HttpRequest whole = parser_.Take();
    whole.id = std::move(request.id);
    whole.deadline = request.deadline;
    whole.client = std::move(request.client);
    whole.first_byte = request.first_byte;
    whole.key = request.key;
    whole.trace = std::move(request.trace);
    whole.record = std::move(request.record);
    request = std::move(whole);
    co_return true;
  }
  HttpResponse refusal = ErrorResponse(parser_.status());
  refusal.status = parser_.http_status();
  if (request.id.empty()) request.id = NewRequestId();
  // A body that is too large was a request; other bytes may be anything.
  if (parser_.http_status() == 413) context_.gate->CountRefused(parser_.status());
  co_await SendResponse(request, std::move(refusal), false);
  co_return false;
}

bool HttpSession::KeepsAlive(const HttpRequest& request) const {
  return request.keep_alive && !closes_when_idle_ && !context_.is_draining.load();
}

HttpSession::Async<bool> HttpSession::Answer(HttpRequest request) {
  // Not yet where header and body came together.
  if (!admitted_) admitted_ = Admit(request);
  if (record_ != nullptr) record_->OnReceived();
  HttpGate::Admitted admitted = *std::exchange(admitted_, {});
  if (admitted.route == nullptr) {
    const bool sent =
        co_await SendResponse(request, std::move(admitted.refusal), KeepsAlive(request));
    co_return sent;
  }
  std::optional<HttpReply> reply = co_await RunHandler(*admitted.route, request);
  bool sent = false;
  if (auto* response = std::get_if<HttpResponse>(&*reply)) {
    sent = co_await SendResponse(request, std::move(*response), KeepsAlive(request));
  } else {
    sent = co_await SendPending(request, *std::get<std::unique_ptr<PendingReply>>(*reply));
    EndRecord(false);  // where it was not sent whole
  }
  co_return sent;
}

HttpSession::Async<std::optional<HttpReply>> HttpSession::RunHandler(const Route& route,
                                                                     const HttpRequest& request) {
  if (route.is_quick) {
    if (record_ != nullptr) record_->OnHandled();
    co_return RunSafely(route.handler, request);
  }
  reply_.reset();
  // `request` and `route` live in the caller's frame until the reply is here, even when the peer
  // has gone.
  asio::post(*context_.workers, [self = shared_from_this(), &route, &request] {
    if (request.record != nullptr) request.record->OnHandled();
    auto made = std::make_shared<HttpReply>(RunSafely(route.handler, request));
    asio::post(self->strand_, [self, made] {
      self->reply_.emplace(std::move(*made));
      self->Notify();
    });
  });
  while (!reply_) {
    StartRead();
    co_await Wait();
  }
  std::optional<HttpReply> taken = std::move(reply_);
  reply_.reset();
  co_return taken;
}

HttpSession::Async<bool> HttpSession::SendResponse(const HttpRequest& request,
                                                   HttpResponse response, bool keep_alive) {
  context_.gate->Finish(request, response);
  std::string bytes = SerializeHead(response, keep_alive, BodyFraming::kLength);
  if (request.method != "HEAD") bytes += response.body;
  const bool written = co_await Write(std::move(bytes));
  EndRecord(written);
  co_return written&& keep_alive;
}

// The bytes of one step, its head included.
std::string HttpSession::Frame(const HttpRequest& request, ReplyStep step) {
  const bool is_chunked = request.is_http11;
  std::string out;
  if (step.head) {
    context_.gate->Finish(request, *step.head);
    out = SerializeHead(*step.head, KeepsAlive(request) && is_chunked,
                        is_chunked ? BodyFraming::kChunked : BodyFraming::kUntilClose);
  }
  if (!step.bytes.empty()) out += is_chunked ? ChunkOf(step.bytes) : step.bytes;
  if (step.finished && is_chunked) out += "0\r\n\r\n";
  return out;
}

HttpSession::Async<bool> HttpSession::SendPending(const HttpRequest& request, PendingReply& reply) {
  const bool keep_alive = KeepsAlive(request) && request.is_http11;
  is_silent_ = false;
  last_write_ = std::chrono::steady_clock::now();
  if (context_.options->timeouts.keep_alive.count() > 0) WatchSilence();
  for (;;) {
    ReplyStep step = reply.Poll();
    if (step.head && !step.is_stream) {
      silence_.cancel();
      const bool sent = co_await SendResponse(request, std::move(*step.head), KeepsAlive(request));
      co_return sent;
    }
    const bool is_last = step.finished;
    const bool stays_open = keep_alive && !step.is_cut;
    const bool has_more = !step.bytes.empty();
    std::string out = Frame(request, std::move(step));
    if (!out.empty()) {
      const bool written = co_await Write(std::move(out));
      if (!written || is_gone_) break;
    }
    if (is_last) {
      silence_.cancel();
      EndRecord(true);
      co_return stays_open;
    }
    if (has_more) continue;
    const bool is_wanted = co_await WaitReady(request, reply);
    if (!is_wanted) break;
  }
  silence_.cancel();
  co_return false;
}

// False when the peer has gone: nobody wants the reply any more.
HttpSession::Async<bool> HttpSession::WaitReady(const HttpRequest& request, PendingReply& reply) {
  is_ready_ = false;
  // Holds nothing of the session or its pool: whoever keeps it may outlive both.
  reply.Arm([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    // Mostly called by a thread of the pool that is between two tasks: then it runs right here.
    asio::dispatch(self->strand_, [weak] {
      if (const auto still = weak.lock()) {
        still->is_ready_ = true;
        still->Notify();
      }
    });
  });
  while (!is_ready_ && !is_gone_) {
    if (std::exchange(is_silent_, false)) {
      std::string out = Frame(request, reply.KeepAlive());
      const bool written = out.empty() || co_await Write(std::move(out));
      if (!written) co_return false;
      continue;
    }
    StartRead();
    co_await Wait();
  }
  co_return !is_gone_;
}

HttpSession::Async<bool> HttpSession::Write(std::string bytes) {
  size_t offset = 0;
  while (offset < bytes.size()) {
    // An event of a stream fits into the socket's buffer nearly always, and then costs one system
    // call: no timer, no wait.
    const size_t num_at_once = transport_->TryWrite(asio::buffer(bytes) + offset);
    offset += num_at_once;
    num_unyielded_bytes_ += num_at_once;
    if (num_unyielded_bytes_ > kMaxUnyieldedBytes) co_await Yield();
    if (num_at_once > 0) continue;
    SetDeadline(context_.options->timeouts.write);
    if (record_ != nullptr) record_->OnStalled();
    is_writing_ = true;
    const size_t length = std::min(bytes.size() - offset, kMaxWriteBytes);
    transport_->WriteSome(asio::buffer(bytes.data() + offset, length),
                          [self = shared_from_this()](const error_code& error, size_t count) {
                            self->is_writing_ = false;
                            self->write_error_ = error;
                            self->num_written_ = count;
                            self->Notify();
                          });
    while (is_writing_) {
      StartRead();
      co_await Wait();
    }
    if (record_ != nullptr) record_->OnFlowing();
    if (write_error_) {
      is_gone_ = true;
      break;
    }
    offset += num_written_;
  }
  ClearDeadline();
  last_write_ = std::chrono::steady_clock::now();
  co_return offset == bytes.size();
}

// Closing while the peer still sends would make its kernel throw away our last answer.
HttpSession::Task HttpSession::Linger() {
  if (is_gone_) co_return;
  bool has_shut_down = false;
  SetDeadline(context_.options->timeouts.linger);
  transport_->Shutdown([self = shared_from_this(), &has_shut_down](const error_code&, size_t) {
    has_shut_down = true;
    self->Notify();
  });
  while (!has_timed_out_ && !is_gone_) {
    in_.clear();
    StartRead();
    co_await Wait();
  }
  transport_->Close();
  while (!has_shut_down || is_reading_) co_await Wait();
}

}  // namespace runahead

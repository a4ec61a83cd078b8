#include "server/loadgen/load_client.h"

#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "server/loadgen/client_pool.h"
#include "server/loadgen/load_runner.h"
#include "server/loadgen/response_reader.h"

namespace runahead {
namespace {

// A response that is wanted whole.
class WholeReader final : public ReplySink {
 public:
  void Feed(std::string_view bytes, double) override {
    const Status status = response_.Feed(bytes);
    if (!status.ok()) return Fail("", status.message());
    if (response_.has_head()) body_ += response_.TakeBody();
    finished_ = response_.done();
  }
  void FeedEnd(double) override {
    const Status status = response_.FeedEnd();
    if (!status.ok()) return Fail("", status.message());
    body_ += response_.TakeBody();
    finished_ = true;
  }
  void Fail(std::string, std::string message) override {
    if (std::exchange(finished_, true)) return;
    status_ = {StatusCode::kUnavailable, std::move(message)};
  }
  bool finished() const override { return finished_; }
  bool keeps_connection() const override { return status_.ok() && response_.keeps_connection(); }

  Result<std::string> Take() {
    if (!status_.ok()) return status_;
    if (response_.status() == 200) return std::move(body_);
    const StatusCode code =
        response_.status() == 404 ? StatusCode::kNotFound : StatusCode::kInternal;
    return Status(code, "HTTP " + std::to_string(response_.status()) + ": " + body_.substr(0, 300));
  }

 private:
  ResponseReader response_;
  std::string body_;
  Status status_;
  bool finished_ = false;
};

}  // namespace

LoadClient::LoadClient(std::unique_ptr<ClientPool> pool) : pool_(std::move(pool)) {}
LoadClient::~LoadClient() = default;

Result<std::unique_ptr<LoadClient>> LoadClient::Make(const ClientOptions& options) {
  RA_ASSIGN_OR_RETURN(auto pool, ClientPool::Make(options));
  return std::unique_ptr<LoadClient>(new LoadClient(std::move(pool)));
}

Result<std::string> LoadClient::Call(const std::string& method, const std::string& path,
                                     const std::string& body) {
  const std::string request = pool_->MakeRequest(method, path, body);
  WholeReader reader;
  pool_->io().restart();
  boost::asio::co_spawn(pool_->io(), pool_->Ask(request, reader), boost::asio::detached);
  pool_->io().run();
  return reader.Take();
}

LoadRun LoadClient::Run(const LoadSpec& spec, const std::vector<std::string>& bodies,
                        const LoadWatch& watch) {
  return LoadRunner(*pool_, spec, bodies).Run(watch);
}

}  // namespace runahead

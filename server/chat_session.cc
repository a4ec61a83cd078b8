#include <condition_variable>
#include <istream>
#include <memory>
#include <mutex>
#include <ostream>
#include <utility>

#include "server/chat_command.h"
#include "server/generation.h"
#include "server/task_thread.h"

namespace runahead {
namespace {

// Blocks the terminal's thread until the I/O thread says that deltas wait.
class Bell {
 public:
  void Ring() {
    {
      const std::lock_guard lock(mutex_);
      rung_ = true;
    }
    changed_.notify_one();
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return rung_; });
    rung_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool rung_ = false;
};

nlohmann::ordered_json Message(const char* role, std::string content) {
  return {{"role", role}, {"content", std::move(content)}};
}

class ChatSession {
 public:
  ChatSession(ServedModel& model, const ChatOptions& options) : model_(model), options_(options) {
    Reset();
  }

  void Reset() {
    messages_ = nlohmann::ordered_json::array();
    if (!options_.system.empty()) messages_.push_back(Message("system", options_.system));
  }

  // Streams the answer to `line`; a failed turn is forgotten.
  Status Answer(const std::string& line, std::ostream& out) {
    messages_.push_back(Message("user", line));
    auto generation = Generation::Start(model_, NextRequest(), [this](std::function<void()> task) {
      io_thread_.Post(std::move(task));
    });
    std::string answer;
    const Status status = generation.ok() ? Stream(**generation, out, answer) : generation.status();
    if (status.ok()) {
      if (options_.shows_counts) ShowCounts((*generation)->usage(), out);
      messages_.push_back(Message("assistant", std::move(answer)));
    } else {
      messages_.erase(messages_.size() - 1);
    }
    return status;
  }

 private:
  GenerationRequest NextRequest() const {
    GenerationRequest request;
    request.id = "chat";
    request.model = model_.name;
    request.prompt = ChatPrompt{.messages = messages_};
    request.sampling.temperature = options_.temperature;
    request.max_tokens = options_.max_tokens;
    return request;
  }

  Status Stream(Generation& generation, std::ostream& out, std::string& answer) {
    while (true) {
      for (const Delta& delta : generation.Take()) {
        if (!delta.error.ok()) return delta.error;
        out << delta.text << std::flush;
        answer += delta.text;
      }
      if (generation.finished()) return {};
      generation.Arm([this] { bell_.Ring(); });
      bell_.Wait();
    }
  }

  static void ShowCounts(const Usage& usage, std::ostream& out) {
    out << "\n[" << usage.completion_tokens << " tokens in " << usage.drafts.target_steps
        << " steps of the model";
    for (int i = 0; i < kNumDrafterKinds; ++i) {
      const auto kind = static_cast<DrafterKind>(i);
      const DraftUsage::Counts& counts = usage.drafts.of(kind);
      if (counts.drafted_tokens == 0) continue;
      out << "; " << DrafterName(kind) << ": " << counts.accepted_tokens << " of "
          << counts.drafted_tokens << " drafts accepted";
    }
    out << "]";
  }

  ServedModel& model_;
  const ChatOptions& options_;
  nlohmann::ordered_json messages_;
  Bell bell_;
  TaskThread io_thread_;
};

}  // namespace

Status RunChat(ServedModel& model, const ChatOptions& options, std::istream& in,
               std::ostream& out) {
  if (model.chat_template == nullptr) {
    return InvalidArgument("this checkpoint has no chat template, so it cannot chat");
  }
  ChatSession session(model, options);
  out << "> " << std::flush;
  for (std::string line; std::getline(in, line); out << "> " << std::flush) {
    if (line.empty()) continue;
    if (line == "/reset") {
      session.Reset();
      continue;
    }
    const Status status = session.Answer(line, out);
    out << (status.ok() ? "" : "error: " + status.message()) << "\n";
  }
  out << "\n";
  return {};
}

}  // namespace runahead

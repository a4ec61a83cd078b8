// `runahead chat`: a conversation in the terminal with a model in this process. Start-up thread
// only.
#pragma once

#include <iosfwd>
#include <string>

#include "core/log.h"
#include "core/status.h"
#include "server/model_settings.h"
#include "server/served_model.h"

namespace runahead {

struct ChatOptions {
  std::string system = {};  // empty: no system message
  float temperature = 0.7f;
  int max_tokens = 512;
  bool shows_counts = false;  // after each answer: its tokens, steps of the model, and drafts
};

// Reads a line, streams the answer, until the input ends. An empty line is skipped; "/reset"
// forgets the conversation.
Status RunChat(ServedModel& model, const ChatOptions& options, std::istream& in, std::ostream& out);

// Loads the model and chats on standard input and output.
Status RunChatCommand(const ModelSettings& settings, const ChatOptions& options, Logger& logger);

}  // namespace runahead

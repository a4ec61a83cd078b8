#include "server/chat_command.h"

#include <iostream>

#include "server/model_host.h"

namespace runahead {

Status RunChatCommand(const ModelSettings& settings, const ChatOptions& options, Logger& logger) {
  const SteadyClock clock;
  RA_ASSIGN_OR_RETURN(auto host, ModelHost::Load(settings, clock, logger, nullptr));
  for (const std::string& line : host->Describe()) std::cerr << line << "\n";
  std::cerr << "An empty conversation; /reset starts another, end of input (Ctrl-D) leaves.\n";
  return RunChat(host->served(), options, std::cin, std::cout);
}

}  // namespace runahead

#include "server/health_command.h"

#include <ostream>

#include "server/http_probe.h"

namespace runahead {

std::string HealthUrl(const ServeConfig& config) {
  std::string host = config.host;
  if (host == "0.0.0.0" || host == "localhost") host = "127.0.0.1";
  if (host == "::") host = "::1";
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  return (config.tls_cert_file.empty() ? "http://" : "https://") + host + ":" +
         std::to_string(config.http_port) + "/health";
}

Status RunHealthCommand(const std::string& url, std::chrono::milliseconds timeout,
                        std::ostream& out) {
  RA_ASSIGN_OR_RETURN(const ProbeUrl parsed, ParseProbeUrl(url, "/health"));
  const Result<ProbeReply> reply = ProbeHttp(parsed, timeout);
  if (!reply.ok()) return {reply.status().code(), url + ": " + reply.status().message()};
  const std::string line = url + ": " + std::to_string(reply->status) + " " + reply->body;
  if (reply->status != 200) return {StatusCode::kUnavailable, line};
  out << line << "\n";
  return {};
}

}  // namespace runahead

// `runahead eval`: perplexity of a text file, and how far a model is from a reference. Start-up
// thread only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/status.h"
#include "server/config.h"

namespace runahead {

struct EvalCommandOptions {
  std::string text_file = {};
  std::string reference = {};                    // checkpoint directory; empty: the model's own
  std::vector<std::string> reference_sets = {};  // "key=value": settings of the reference alone
  bool no_reference = false;
  int stride = 0;      // tokens scored in a window; 0: half of it
  int max_tokens = 0;  // of the text; 0: all
  std::string json_file =
      {};  // empty: table only; "-": JSON on standard output instead of the table
};

// The settings of the reference: the model's, in full precision, and then what the options say.
// Nothing where the two are alike, so that there is nothing to compare.
Result<std::optional<ServeConfig>> ReferenceConfig(const ServeConfig& model,
                                                   const EvalCommandOptions& options);

// Loads both, runs the text through them and prints. max_model_len is the window (0: 1024 tokens,
// or what the models allow).
Status RunEvalCommand(const ServeConfig& config, const EvalCommandOptions& options);

}  // namespace runahead

// `runahead quantize`: writes a checkpoint with quantized weights. Start-up thread only.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "core/status.h"
#include "model/weight_formats.h"

namespace runahead {

struct QuantizeCommandOptions {
  std::string model = {};                   // checkpoint directory
  std::string output = {};                  // directory to be made
  std::string quantization = {};            // as ParseQuantization has it
  int group_size = 128;                     // of "int4"
  bool has_zero_points = false;             // of "int4"
  std::vector<std::string> overrides = {};  // "pattern=format", as ParseFormatRule has it
  bool searches_clip = true;
  int num_threads = 0;  // 0: one a physical core
};

// What the options want of each weight. Errors name the option.
Result<WeightFormats> WantedFormats(const QuantizeCommandOptions& options);

// Quantizes with a progress bar and says what came of it.
Status RunQuantizeCommand(const QuantizeCommandOptions& options, std::ostream& out);

}  // namespace runahead

#include "server/quantize_command.h"

#include <algorithm>
#include <ostream>

#include "compress/quantize_checkpoint.h"
#include "kernels/registry.h"
#include "server/progress_bar.h"
#include "server/units.h"

namespace runahead {
namespace {

// As many as the CPU backend would take.
Result<int> NumThreads(int wanted) {
  if (wanted > 0) return wanted;
  RA_ASSIGN_OR_RETURN(const auto backend, MakeBackend("cpu", {}));
  return std::max(1, backend->info().num_threads);
}

Status Named(const char* option, const Status& status) {
  return {status.code(), std::string(option) + ": " + status.message()};
}

}  // namespace

Result<WeightFormats> WantedFormats(const QuantizeCommandOptions& options) {
  const int group = options.group_size;
  if (group != 32 && group != 64 && group != 128) {
    return InvalidArgument("--group-size " + std::to_string(group) + " is none of 32, 64 and 128");
  }
  const WeightFormat int4{WeightType::kInt4, group, options.has_zero_points};
  WeightFormats formats;
  Result<std::optional<WeightFormat>> all = ParseQuantization(options.quantization, int4);
  if (!all.ok()) return Named("--quantization", all.status());
  formats.quantized = *all;
  for (const std::string& text : options.overrides) {
    Result<FormatRule> rule = ParseFormatRule(text, int4);
    if (!rule.ok()) return Named("--override", rule.status());
    formats.rules.push_back(std::move(*rule));
  }
  return formats;
}

Status RunQuantizeCommand(const QuantizeCommandOptions& options, std::ostream& out) {
  QuantizeCheckpointOptions work = {.input = options.model, .output = options.output};
  RA_ASSIGN_OR_RETURN(work.formats, WantedFormats(options));
  work.quantize.search_clip = options.searches_clip;
  RA_ASSIGN_OR_RETURN(work.quantize.num_threads, NumThreads(options.num_threads));
  work.progress = ProgressBar("Quantizing");
  RA_ASSIGN_OR_RETURN(const QuantizedSummary summary, QuantizeCheckpoint(work));
  const double share =
      100.0 * static_cast<double>(summary.bytes_after) / static_cast<double>(summary.bytes_before);
  out << options.output << ": " << summary.num_quantized << " of " << summary.num_modules
      << " weights quantized, " << Bytes(summary.bytes_before) << " became "
      << Bytes(summary.bytes_after) << " (" << static_cast<int>(share + 0.5) << " %) in "
      << summary.num_files << (summary.num_files == 1 ? " file\n" : " files\n");
  if (summary.is_untied) {
    out << "The head was the embedding table; it has weights of its own now.\n";
  }
  if (!summary.uneven.empty()) {
    out << summary.uneven.size() << " weights, " << summary.uneven.front()
        << " the first, have rows that are no whole groups: other programs may not read them; a "
           "smaller group or an override to int8 helps.\n";
  }
  out << "Serve it:    runahead serve --model " << options.output << "\n"
      << "Compare it:  runahead eval --model " << options.output << " --reference " << options.model
      << " --file TEXT\n";
  return {};
}

}  // namespace runahead

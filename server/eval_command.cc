#include "server/eval_command.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <span>
#include <utility>

#include "compress/evaluate.h"
#include "kernels/registry.h"
#include "kvcache/kv_cache.h"
#include "model/model_runner.h"
#include "model/transformer.h"
#include "server/config_options.h"
#include "server/memory_check.h"
#include "server/pair_check.h"
#include "server/progress_bar.h"
#include "server/units.h"
#include "text/tokenizer.h"

namespace runahead {
namespace {

// Wide enough to lose no speed to chunks, small enough that two models' logits stay in memory.
constexpr int kRows = 512;
constexpr int kLogitRows = 32;
constexpr int kDefaultWindow = 1024;

// A model with what runs it, without an engine.
class Subject {
 public:
  static Result<std::unique_ptr<Subject>> Load(const ServeConfig& config, int window,
                                               const std::string& label) {
    ModelSettings settings = MakeModelSettings(config);
    settings.max_model_len = window;
    settings.max_num_seqs = 1;
    settings.max_num_batched_tokens = std::min(kRows, window);
    settings.max_logit_rows = kLogitRows;
    settings.num_kv_blocks = (window + settings.block_size - 1) / settings.block_size;
    settings.speculation = {.draft_directory = "", .drafters = std::vector<DrafterKind>()};
    std::unique_ptr<Subject> subject(new Subject);
    RA_ASSIGN_OR_RETURN(subject->backend_, MakeBackend(settings.backend, settings.backend_options));
    RA_ASSIGN_OR_RETURN(subject->plan_, PlanModel(*subject->backend_, settings));
    RA_RETURN_IF_ERROR(CheckFits(subject->plan_, AvailableMemory(subject->backend_->info())));
    const LoadOptions options{.format = settings.load_format,
                              .weight_format = subject->plan_.weight_format,
                              .max_context = window,
                              .progress = ProgressBar("Loading " + label)};
    RA_ASSIGN_OR_RETURN(subject->transformer_,
                        Transformer::Load(*subject->backend_, settings.directory, options));
    subject->cache_ = std::make_unique<KvCache>(*subject->backend_, subject->plan_.memory.kv_shape,
                                                static_cast<int>(subject->plan_.num_blocks));
    subject->runner_ = std::make_unique<ModelRunner>(*subject->backend_, *subject->transformer_,
                                                     *subject->cache_, subject->plan_.limits);
    return subject;
  }

  EvalModel view() const {
    return {.backend = backend_.get(),
            .runner = runner_.get(),
            .limits = plan_.limits,
            .vocab = transformer_->config().vocab_limit};
  }

  bool is_stored_quantized() const { return !plan_.config.quantized.empty(); }

  std::string Describe() const {
    const KvCacheShape& shape = cache_->shape();
    return Count(transformer_->config().NumWeights()) + " weights, " +
           WeightsText(plan_.config, plan_.weight_format, plan_.memory) + ", " +
           Bytes(transformer_->weight_bytes()) + " resident, KV cache " +
           std::string(DTypeName(shape.dtype)) + ", " + backend_->info().name;
  }

 private:
  Subject() = default;
  std::unique_ptr<Backend> backend_;
  ModelPlan plan_;
  std::unique_ptr<Transformer> transformer_;
  std::unique_ptr<KvCache> cache_;
  std::unique_ptr<ModelRunner> runner_;
};

Result<std::string> ReadText(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.is_open() && !file.bad()) return text;
  return InvalidArgument("cannot read " + path +
                         (errno != 0 ? std::string(": ") + std::strerror(errno) : ""));
}

Result<std::vector<int32_t>> Tokens(const std::string& directory, const ServeConfig* reference,
                                    const EvalCommandOptions& options) {
  RA_ASSIGN_OR_RETURN(const std::string text, ReadText(options.text_file));
  RA_ASSIGN_OR_RETURN(const auto tokenizer, LoadTokenizer(directory));
  if (reference != nullptr && reference->model != directory) {
    // A reference may come without a tokenizer; one that has another is another language.
    const auto other = LoadTokenizer(reference->model);
    if (other.ok()) RA_RETURN_IF_ERROR(CheckSameTokens(*tokenizer, **other));
  }
  std::vector<int32_t> ids = tokenizer->Encode(text, {});
  const auto limit = static_cast<size_t>(options.max_tokens);
  if (limit > 0 && ids.size() > limit) ids.resize(limit);
  return ids;
}

Result<int> WindowOf(const ServeConfig& config, const ServeConfig* reference) {
  int longest = config.max_model_len > 0 ? config.max_model_len : kDefaultWindow;
  for (const ServeConfig* each : {&config, reference}) {
    if (each == nullptr) continue;
    RA_ASSIGN_OR_RETURN(const ModelConfig model, LoadModelConfig(each->model));
    if (config.max_model_len > model.max_positions) {
      return InvalidArgument("max_model_len " + std::to_string(config.max_model_len) +
                                 " is more than the " + std::to_string(model.max_positions) +
                                 " positions of " + each->model,
                             "max_model_len");
    }
    longest = std::min(longest, model.max_positions);
  }
  if (longest < 2)
    return InvalidArgument("a window of one token predicts nothing: raise max_model_len");
  return longest;
}

Status Print(const EvalSummary& summary, const std::string& json_file) {
  if (json_file == "-") {
    std::cout << ToJson(summary) << std::endl;
    return {};
  }
  std::cout << ToTable(summary) << std::flush;
  if (json_file.empty()) return {};
  errno = 0;
  std::ofstream file(json_file);
  file << ToJson(summary) << "\n";
  file.close();
  if (file) return {};
  const std::string cause = errno != 0 ? std::string(": ") + std::strerror(errno) : "";
  return {StatusCode::kInternal, "cannot write " + json_file + cause};
}

}  // namespace

Result<std::optional<ServeConfig>> ReferenceConfig(const ServeConfig& model,
                                                   const EvalCommandOptions& options) {
  ServeConfig config = model;
  if (!options.reference.empty()) config.model = options.reference;
  config.quantization = "none";
  config.quantization_overrides.clear();
  config.kv_cache_dtype = "auto";
  for (const std::string& given : options.reference_sets) {
    const size_t equals = given.find('=');
    const Setting* setting = FindSetting(given.substr(0, equals));
    if (equals == std::string::npos || setting == nullptr) {
      return InvalidArgument("--reference-set '" + given + "' is no setting=value");
    }
    RA_RETURN_IF_ERROR(
        ApplyText(*setting, given.substr(equals + 1), "--reference-set " + given, config));
  }
  if (options.no_reference || config == model) return std::optional<ServeConfig>();
  return std::optional(std::move(config));
}

Status RunEvalCommand(const ServeConfig& config, const EvalCommandOptions& options) {
  RA_ASSIGN_OR_RETURN(const std::optional<ServeConfig> reference, ReferenceConfig(config, options));
  const ServeConfig* other = reference ? &*reference : nullptr;
  RA_ASSIGN_OR_RETURN(const int window, WindowOf(config, other));
  const int stride = options.stride > 0 ? options.stride : std::max(1, window / 2);
  if (stride >= window) {
    return InvalidArgument("--stride " + std::to_string(stride) + " must be below the window of " +
                           std::to_string(window) + " tokens");
  }
  RA_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, Tokens(config.model, other, options));
  RA_ASSIGN_OR_RETURN(const std::unique_ptr<Subject> subject,
                      Subject::Load(config, window, "model"));
  std::unique_ptr<Subject> beside;
  if (other != nullptr) {
    RA_ASSIGN_OR_RETURN(beside, Subject::Load(*other, window, "reference"));
  }
  std::cerr << "model " << config.model << ": " << subject->Describe() << "\n";
  if (beside != nullptr)
    std::cerr << "reference " << other->model << ": " << beside->Describe() << "\n";
  if (beside == nullptr && !options.no_reference && subject->is_stored_quantized()) {
    std::cerr << "This checkpoint is stored quantized: --reference names the one it was made of.\n";
  }
  std::cerr << options.text_file << ": " << ids.size() << " tokens, windows of " << window
            << ", each token after at least " << window - stride << " others (or all there are)\n";
  const EvalModel reference_view = beside != nullptr ? beside->view() : EvalModel();
  RA_ASSIGN_OR_RETURN(
      const EvalSummary summary,
      Evaluate(subject->view(), beside != nullptr ? &reference_view : nullptr, ids,
               {.window = window, .stride = stride, .progress = ProgressBar("Reading")}));
  return Print(summary, options.json_file);
}

}  // namespace runahead

#include "server/inspect_command.h"

#include <iomanip>
#include <ostream>

#include "model/model_config.h"
#include "model/safetensors.h"
#include "model/weight_formats.h"
#include "server/pair_check.h"
#include "server/units.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace runahead {
namespace {

void PrintConfig(const ModelConfig& config, std::ostream& out) {
  out << config.architecture << ": " << Count(config.NumWeights()) << " weights, "
      << config.num_layers << " layers, hidden " << config.hidden_size << ", ffn "
      << config.intermediate_size << ", " << config.num_heads << " heads on " << config.num_kv_heads
      << " KV heads of " << config.head_dim << ", vocabulary " << config.vocab_size << ", "
      << config.max_positions << " positions" << (config.tie_embeddings ? ", tied embeddings" : "")
      << "\n";
  if (config.quantized.empty()) return;
  const auto formats = FormatsOf(config, {});
  out << "stored quantized: " << config.quantized.size() << " weights; they load as "
      << (formats.ok() ? FormatsText(*formats) : formats.status().message()) << "\n";
}

void PrintText(const std::string& directory, std::ostream& out) {
  const auto tokenizer = LoadTokenizer(directory);
  if (tokenizer.ok()) {
    out << "tokenizer: " << (*tokenizer)->vocab_size() << " tokens\n";
  } else {
    out << "tokenizer: " << tokenizer.status().message() << "\n";
  }
  const auto chat_template = ChatTemplate::Load(directory);
  out << "chat template: " << (chat_template.ok() ? "yes" : chat_template.status().message())
      << "\n";
}

Status PrintTensors(const std::string& directory, std::ostream& out) {
  RA_ASSIGN_OR_RETURN(const auto checkpoint, Checkpoint::Open(directory));
  int64_t total_bytes = 0;
  for (const std::string& name : checkpoint->Names()) {
    const TensorEntry& entry = *checkpoint->Find(name);
    out << "  " << name << "  " << entry.dtype << " " << ShapeName(entry.shape) << "  "
        << Bytes(entry.num_bytes()) << "\n";
    total_bytes += entry.num_bytes();
  }
  out << checkpoint->Names().size() << " tensors, " << Bytes(total_bytes) << "\n";
  return {};
}

Status PrintDraft(const std::string& directory, const std::string& draft, std::ostream& out) {
  RA_ASSIGN_OR_RETURN(const ModelConfig target_config, LoadModelConfig(directory));
  RA_ASSIGN_OR_RETURN(const ModelConfig config, LoadModelConfig(draft));
  out << "draft model " << draft << "\n";
  PrintConfig(config, out);
  RA_RETURN_IF_ERROR(PrintTensors(draft, out));
  RA_ASSIGN_OR_RETURN(const auto tokenizer, LoadTokenizer(directory));
  RA_ASSIGN_OR_RETURN(const auto draft_tokenizer, LoadTokenizer(draft));
  RA_RETURN_IF_ERROR(CheckSameTokens(*tokenizer, *draft_tokenizer));
  const auto share =
      static_cast<double>(config.NumWeights()) / static_cast<double>(target_config.NumWeights());
  out << "the pair has one vocabulary; the draft has " << std::fixed << std::setprecision(1)
      << 100 * share << "% of the model's weights\n";
  return {};
}

}  // namespace

Status RunInspectCommand(const std::string& directory, const std::string& draft,
                         std::ostream& out) {
  RA_ASSIGN_OR_RETURN(const ModelConfig config, LoadModelConfig(directory));
  PrintConfig(config, out);
  PrintText(directory, out);
  RA_RETURN_IF_ERROR(PrintTensors(directory, out));
  return draft.empty() ? Status() : PrintDraft(directory, draft, out);
}

}  // namespace runahead

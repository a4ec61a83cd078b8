#include "server/inspect_command.h"

#include <ostream>

#include "model/model_config.h"
#include "model/safetensors.h"
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

}  // namespace

Status RunInspectCommand(const std::string& directory, std::ostream& out) {
  RA_ASSIGN_OR_RETURN(const ModelConfig config, LoadModelConfig(directory));
  PrintConfig(config, out);
  PrintText(directory, out);
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

}  // namespace runahead

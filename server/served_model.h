// ServedModel: everything a front end needs of one model, and the registry that finds it by name.
// Immutable after start-up.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/speculation.h"
#include "core/status.h"
#include "engine/engine.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace runahead {

// Defaults of generation_config.json that apply where a request says nothing.
struct SamplingDefaults {
  float temperature = 1;
  float top_p = 1;
  int32_t top_k = 0;
  float repetition_penalty = 1;
};

class ServedModel {
 public:
  std::string name;
  int64_t created_unix_seconds = 0;
  std::string fingerprint;  // "fp_...": changes with whatever may change a seeded answer
  int max_context = 0;
  SamplingDefaults defaults;
  Duration default_timeout = {};  // of requests without a deadline; 0: none
  SpeculationParams speculation;  // where a request says nothing; max_tokens also bounds requests
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<ChatTemplate> chat_template;  // null: the checkpoint has none
  Engine* engine = nullptr;                     // borrowed from main()
  Metrics* metrics = nullptr;                   // likewise
  const Clock* clock = nullptr;                 // likewise
};

// Borrowed models by name; a wrong name is kNotFound with reason "model_not_found".
class ModelRegistry {
 public:
  void Add(ServedModel& model) { models_.push_back(&model); }
  Result<ServedModel*> Find(std::string_view name) const;
  const std::vector<ServedModel*>& models() const { return models_; }

 private:
  std::vector<ServedModel*> models_;
};

}  // namespace runahead

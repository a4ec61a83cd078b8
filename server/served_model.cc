#include "server/served_model.h"

namespace runahead {

Result<ServedModel*> ModelRegistry::Find(std::string_view name) const {
  for (ServedModel* model : models_) {
    if (model->name == name) return model;
  }
  std::string served;
  for (const ServedModel* model : models_) {
    if (!served.empty()) served += ", ";
    served += "'" + model->name + "'";
  }
  return Status(
      StatusCode::kNotFound,
      "The model '" + std::string(name) + "' does not exist. Served here: " + served + ".", "model",
      "model_not_found");
}

}  // namespace runahead

#include "server/cli.h"

#include <algorithm>
#include <sstream>

#include <CLI/CLI.hpp>

namespace runahead {
namespace {

bool IsBoolean(const Setting& setting) {
  return std::holds_alternative<bool ServeConfig::*>(setting.field);
}

void AddFlag(CLI::App& app, GivenFlags& given, const Setting& setting) {
  std::string names = FlagName(setting);
  if (!setting.alias.empty()) names += ",--" + std::string(setting.alias);
  const auto keep = [&given, &setting](const CLI::results_t& values) {
    given.settings.emplace_back(&setting, values);
    return true;
  };
  CLI::Option* option = app.add_option(names, keep, std::string(setting.help));
  option->group(std::string(setting.section));
  option->type_name(setting.choices.empty() ? std::string(TypeName(setting))
                                            : "{" + std::string(setting.choices) + "}");
  if (IsBoolean(setting)) {
    // --pin-threads alone means true; CLI11 would pass the text of a default instead.
    option->expected(0, 1)->default_str("")->description(std::string(setting.help) + " (default " +
                                                         DefaultText(setting) + ")");
  } else {
    option->default_str(DefaultText(setting));
  }
  if (std::holds_alternative<std::vector<std::string> ServeConfig::*>(setting.field)) {
    option->expected(1)->take_all();  // may be given again
  }
}

// A list may be given as several flags; of anything else the last word counts.
std::string JoinValues(const std::vector<std::string>& values) {
  std::string joined;
  for (const std::string& value : values) joined += (joined.empty() ? "" : ",") + value;
  return joined;
}

// CLI11's message, with the nearest flag after one that does not exist.
std::string ExplainFailure(const CLI::App* app, const CLI::Error& error) {
  std::string text = CLI::FailureMessage::simple(app, error);
  std::istringstream words(error.what());
  for (std::string word;
       error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError) && words >> word;) {
    if (!word.starts_with("--")) continue;
    const auto nearest = NearestKey(std::string_view(word).substr(2));
    if (nearest) text += "Did you mean " + FlagName(*FindSetting(*nearest)) + "?\n";
  }
  return text;
}

bool IsGiven(const GivenFlags& given, std::string_view key) {
  return std::ranges::any_of(given.settings,
                             [&](const auto& flag) { return flag.first->key == key; });
}

// A draft model belongs to the model it was named with: who names another model, and no draft for
// it, means to have none.
void DropOthersDraft(const ServeConfig& before, bool names_draft, ServeConfig& config) {
  if (config.model != before.model && !names_draft) config.draft_model.clear();
}

}  // namespace

void AddSettingFlags(CLI::App& app, GivenFlags& given,
                     std::initializer_list<std::string_view> sections) {
  app.add_option("--config", given.config_file, "JSON file of settings; flags override it")
      ->type_name("file");
  CLI::App* root = &app;
  while (root->get_parent() != nullptr) root = root->get_parent();
  root->failure_message(ExplainFailure);
  for (const Setting& setting : ServeSettings()) {
    const bool wanted =
        sections.size() == 0 || std::ranges::find(sections, setting.section) != sections.end();
    if (wanted) AddFlag(app, given, setting);
  }
}

Result<ServeConfig> MergeSettings(const GivenFlags& given, const EnvironmentLookup& lookup) {
  ServeConfig config;
  const char* named_file = lookup("RUNAHEAD_CONFIG");
  const std::string file = !given.config_file.empty() ? given.config_file
                           : named_file != nullptr    ? named_file
                                                      : "";
  if (!file.empty()) RA_RETURN_IF_ERROR(ApplyConfigFile(file, config));
  constexpr std::string_view kDraft = "speculative.draft_model";
  ServeConfig before = config;
  RA_RETURN_IF_ERROR(ApplyEnvironment(lookup, config));
  DropOthersDraft(before, lookup(EnvironmentName(*FindSetting(kDraft)).c_str()) != nullptr, config);
  before = config;
  for (const auto& [setting, values] : given.settings) {
    const std::string text =
        IsBoolean(*setting) && JoinValues(values).empty() ? "true" : JoinValues(values);
    RA_RETURN_IF_ERROR(ApplyText(*setting, text, FlagName(*setting), config));
  }
  DropOthersDraft(before, IsGiven(given, kDraft), config);
  return config;
}

Result<ServeConfig> LoadServeConfig(const GivenFlags& given, const EnvironmentLookup& lookup) {
  RA_ASSIGN_OR_RETURN(ServeConfig config, MergeSettings(given, lookup));
  RA_RETURN_IF_ERROR(CheckConfig(config));
  return config;
}

}  // namespace runahead

#include "sim/cli/verb.h"

#include <fmt/format.h>

#include <utility>

#include "sim/base/error.h"

namespace tessera::cli {

CLI::App* add_verb(CLI::App& parent, const std::string& name, const std::string& description,
                   std::function<std::string()> footer) {
  CLI::App* app = parent.add_subcommand(name, description);
  app->footer(std::move(footer));
  // Kept, to be refused with advice: CLI11 would only say that they are unexpected.
  app->allow_extras();
  return app;
}

CLI::Option* add_value(CLI::App& app, const std::string& flag, std::string& text,
                       const std::string& value, const std::string& description) {
  return app.add_option(flag, text, description)->type_name(value);
}

void refuse_unknown_arguments(const CLI::App& app) {
  for (const CLI::App* called : app.get_subcommands()) refuse_unknown_arguments(*called);
  const std::vector<std::string> unknown = app.remaining();
  if (unknown.empty()) return;
  const std::string argument = unknown.front().substr(0, unknown.front().find('='));
  std::string parents;
  for (const CLI::App* a = &app; a != nullptr; a = a->get_parent())
    parents = a->get_name() + (parents.empty() ? "" : " ") + parents;
  const std::string help = fmt::format("see `{} --help`", parents);
  if (argument.size() < 2 || argument[0] != '-')
    throw InputError("", fmt::format("unexpected argument '{}'", unknown.front()), help);
  std::vector<std::string> flags;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  const std::string close = nearest(argument, flags);
  throw InputError(argument, "unknown flag",
                   close.empty() ? help : fmt::format("did you mean {}? ({})", close, help));
}

CLI::Option* add_repeatable(CLI::App& app, const std::string& flag,
                            std::vector<std::string>& values, const std::string& value,
                            const std::string& description) {
  return app.add_option(flag, values, description)
      ->type_name(value)
      ->type_size(1)
      ->allow_extra_args(false)
      ->take_all();
}

}  // namespace tessera::cli

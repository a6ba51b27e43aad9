#include "sim/trace/finding.h"

#include <fmt/format.h>

namespace tessera {

std::string_view name(Rule rule) {
  switch (rule) {
    case Rule::structure:
      return "structure";
    case Rule::name:
      return "name";
    case Rule::layout:
      return "layout";
    case Rule::budget:
      return "budget";
    case Rule::arithmetic:
      return "arithmetic";
    case Rule::bounds:
      return "bounds";
    case Rule::barrier:
      return "barrier";
    case Rule::deadlock:
      return "deadlock";
    case Rule::unfinished:
      return "unfinished";
    case Rule::signal:
      return "signal";
    case Rule::written_twice:
      return "written-twice";
    case Rule::unwritten:
      return "unwritten";
    case Rule::too_long:
      return "too-long";
  }
  return "";
}

std::string to_text(const Finding& finding) {
  std::string text = fmt::format(
      "{}: {}:", finding.severity == Severity::error ? "error" : "warning", name(finding.rule));
  std::string place;
  const auto append = [&](std::string_view what, const std::string& value) {
    if (!value.empty()) place += fmt::format(" {} {}", what, value);
  };
  append("section", finding.section);
  append("kernel", finding.kernel);
  append("role", finding.role);
  if (!finding.instruction.empty()) place += fmt::format(" `{}`", finding.instruction);
  if (!place.empty()) text += place + ":";
  text += " " + finding.what;
  if (finding.occurrences > 1) text += fmt::format(" ({} times)", finding.occurrences);
  for (const std::string& detail : finding.details) text += "\n    " + detail;
  return text;
}

}  // namespace tessera

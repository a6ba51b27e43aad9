#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace tessera {

/// "" if this build can write pages; else why not: the page is bundled from npm packages when
/// tessera is built, and a build without npm has none.
std::string why_no_html();

/// One self-contained HTML file that shows `data` and asks for nothing from the network. `data` is
/// {"kind":"run","runs":[report]}, the same with two reports to compare, or {"kind":"sweep", ...}
/// (sim/report/page/src/main.js). Throws std::logic_error where why_no_html() says why not.
std::string to_html(const nlohmann::ordered_json& data);

}  // namespace tessera

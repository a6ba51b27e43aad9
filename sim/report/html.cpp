#include "sim/report/html.h"

#include <stdexcept>
#include <string_view>

// The page is part of the program, so that an installed one needs no file beside it.
// TESSERA_PAGE is its name, given by CMake.
__asm__(
    ".pushsection .rodata\n"
    ".global tessera_page_begin\n"
    ".global tessera_page_end\n"
    ".hidden tessera_page_begin\n"
    ".hidden tessera_page_end\n"
    "tessera_page_begin:\n"
    ".incbin \"" TESSERA_PAGE
    "\"\n"
    "tessera_page_end:\n"
    ".popsection\n");

extern "C" {
__attribute__((visibility("hidden"))) extern const char tessera_page_begin[];
__attribute__((visibility("hidden"))) extern const char tessera_page_end[];
}

namespace tessera {
namespace {

constexpr std::string_view place_of_data = "<!--data-->";
constexpr std::string_view no_page = "no page: ";

std::string_view page() {
  return {tessera_page_begin, static_cast<std::size_t>(tessera_page_end - tessera_page_begin)};
}

}  // namespace

std::string why_no_html() {
  const std::string_view text = page();
  if (text.substr(0, no_page.size()) != no_page) return "";
  return std::string(text.substr(no_page.size(), text.find('\n') - no_page.size()));
}

std::string to_html(const nlohmann::ordered_json& data) {
  const std::string_view text = page();
  const std::size_t place = text.find(place_of_data);
  if (place == std::string_view::npos) throw std::logic_error("a page without a place for data");
  std::string html(text.substr(0, place));
  // Names come from the user's files: they may not be UTF-8, and must not end the script element.
  for (const char c : data.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)) {
    if (c == '<') {
      html += "\\u003c";
    } else {
      html += c;
    }
  }
  return html.append(text.substr(place + place_of_data.size()));
}

}  // namespace tessera

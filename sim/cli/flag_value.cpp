#include "sim/cli/flag_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <sstream>
#include <system_error>
#include <thread>

#include "sim/base/error.h"

namespace tessera::cli {

std::int64_t parse_count(const std::string& flag, const std::string& text, std::int64_t min,
                         std::int64_t max) {
  const std::string range = fmt::format("give a whole number from {} to {}", min, max);
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const std::from_chars_result parsed = std::from_chars(text.data(), end, value);
  if (parsed.ptr != end || parsed.ec == std::errc::invalid_argument)
    throw InputError(flag, fmt::format("'{}' is not a whole number", text), range);
  if (parsed.ec == std::errc::result_out_of_range || value < min || value > max)
    throw InputError(flag, fmt::format("{} is out of range", text), range);
  return value;
}

std::vector<int> parse_numbers(const std::string& flag, const std::string& text) {
  constexpr std::int64_t most = 65535;
  std::set<int> numbers;
  std::istringstream parts(text + ",");
  for (std::string part; std::getline(parts, part, ',');) {
    const std::size_t dash = part.find('-', 1);
    const std::int64_t first = parse_count(flag, part.substr(0, dash), 0, most);
    const std::int64_t last =
        dash == std::string::npos ? first : parse_count(flag, part.substr(dash + 1), first, most);
    for (std::int64_t number = first; number <= last; ++number)
      numbers.insert(static_cast<int>(number));
  }
  return {numbers.begin(), numbers.end()};
}

int parse_jobs(const std::string& text) {
  constexpr std::int64_t most = 1024;
  return text.empty() ? static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, 64U))
                      : static_cast<int>(parse_count("--jobs", text, 1, most));
}

double parse_number(const std::string& flag, const std::string& text, double min, double max) {
  const std::string range = fmt::format("give a number from {} to {}", min, max);
  double value = 0;
  const char* const end = text.data() + text.size();
  const std::from_chars_result parsed = std::from_chars(text.data(), end, value);
  if (parsed.ptr != end || parsed.ec == std::errc::invalid_argument)
    throw InputError(flag, fmt::format("'{}' is not a number", text), range);
  // NaN compares false.
  if (parsed.ec == std::errc::result_out_of_range || !(value >= min && value <= max))
    throw InputError(flag, fmt::format("{} is out of range", text), range);
  return value;
}

}  // namespace tessera::cli

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tessera::cli {

/// `text` as a whole number in [min, max]. Throws InputError under `flag` otherwise.
std::int64_t parse_count(const std::string& flag, const std::string& text, std::int64_t min,
                         std::int64_t max);

/// A list of whole numbers and ranges, "0,4-7", sorted and each once. Throws InputError under
/// `flag` otherwise; numbers are below 2^16.
std::vector<int> parse_numbers(const std::string& flag, const std::string& text);

/// The value of --jobs: processes at the same time; empty: one per CPU. Throws InputError.
int parse_jobs(const std::string& text);
/// `text` as a finite number in [min, max]. Throws InputError under `flag` otherwise.
double parse_number(const std::string& flag, const std::string& text, double min, double max);

}  // namespace tessera::cli

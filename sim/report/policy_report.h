#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "sim/report/policy_result.h"

namespace tessera {

/// The decision of `--precision auto` as JSON: keys as in the glossary under precision.policy.
nlohmann::ordered_json policy_json(const PolicyResult& policy);

/// The same for people: each operation with its reason, then time against error in at most
/// `most_points` lines. Lines are at most `width` characters.
std::string policy_table(const PolicyResult& policy, std::size_t width,
                         std::size_t most_points = 12);

}  // namespace tessera

#pragma once

#include <string>

#include "sim/engine/simulation.h"
#include "sim/frontend/graph_builder.h"
#include "tests/support/machine.h"

namespace tessera::test {

/// An operation's text, lowered for `on`.
Trace op_trace(const std::string& text, const ChipConfig& on);
/// A model of models/ by name, lowered for `on`.
Trace model_trace(const std::string& name, const WorkloadOptions& options, const ChipConfig& on);

/// The report's JSON without the part that may differ between equal runs.
std::string report(const RunResult& run);

/// Fails the test case where a result is impossible:
/// - an operation faster than its roofline, even with the gaps between its kernels taken away;
/// - more FLOPs than the tensor cores can do in the time, or more bytes than the memory can move;
/// - less read from memory than must be; more found in the L2 than was asked of it;
/// - core-cycles that are negative, or not charged to exactly one cause each.
/// `error`: part by which a count of bytes may be wrong, as it comes from samples.
void check_sound(const RunResult& run, const Trace& trace, const ChipConfig& on, double error = 0);

}  // namespace tessera::test

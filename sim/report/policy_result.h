#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tessera {

/// What an operation costs in one precision, and what it alone would add to the error.
struct PolicyAlternative {
  std::string precision;
  std::int64_t cycles = 0;  ///< of one execution
  /// Mean square it adds to its layers' output, relative to the output's, all other operations in
  /// the wide precision; 0 where none was measured.
  double added_error = 0;
};

/// One operation of a group of layers that share their choices.
struct PolicyDecision {
  std::string layers;  ///< "0", "1-94"
  std::int64_t repeat = 1;
  std::string op;
  std::size_t chosen = 0;  ///< of the alternatives, the first of which is the wide precision
  std::vector<PolicyAlternative> alternatives;
  std::string reason;
};

/// A choice that nothing beats in both time and error.
struct PolicyCurvePoint {
  std::int64_t cycles = 0;  ///< of all layers, sum of the operations' measured cycles
  double error = 0;         ///< predicted relative RMSE of the layers' output
  std::string choice;       ///< "3 of 4 fp8": how many operations are in which precision
};

/// How `--precision auto` decided. Errors are relative RMSEs of a layer's output (the residual
/// stream behind it), root mean square over the layers. docs/precision-policy.md has the method.
struct PolicyResult {
  bool decided = false;  ///< false: precisions were given, and everything else is empty
  std::string wide;      ///< the high precision: "bf16"
  double budget = 0;
  double wide_error = 0;       ///< everything in the wide precision
  double predicted_error = 0;  ///< of the choice, from the operations' own
  double error = 0;            ///< of the choice, measured as a whole
  double clock_mhz = 0;        ///< at which the cycles were simulated
  std::int64_t wide_cycles = 0, cycles = 0, fastest_cycles = 0;  ///< of all layers
  /// No choice whose predicted error is within the budget takes fewer (linear relaxation).
  std::int64_t least_cycles = 0;
  std::int64_t evaluations = 0;  ///< layers computed to measure errors
  std::int64_t tightened = 0;    ///< choices given up because the whole was beyond the budget
  std::vector<PolicyDecision> decisions;
  std::vector<PolicyCurvePoint> curve;  ///< by growing error and falling time
};

}  // namespace tessera

#include "sim/chip/units.h"

#include <algorithm>
#include <cmath>

namespace tessera {

MmaCost mma_cost(const Mma& mma, const ChipConfig& chip) {
  MmaCost cost;
  cost.issue = Cycles(chip.tensor_core.issue_cycles);
  const std::int64_t rate = chip.tensor_core.flops_per_cycle(mma.format);
  cost.arithmetic = Cycles(ceil_div(2 * mma.m * mma.n * mma.k, std::max<std::int64_t>(rate, 1)));
  std::int64_t elements = mma.n * mma.k;
  if (mma.a == OperandSource::scratchpad) elements += mma.m * mma.k;
  cost.operand_bytes = bytes(mma.format, elements).value;
  if (!chip.tensor_core.operands_from_scratchpad) cost.operand_bytes *= 2;
  cost.operands = Cycles(ceil_div(cost.operand_bytes, chip.scratchpad.bytes_per_cycle));
  return cost;
}

VectorOccupancy vector_occupancy(const Vector& work, const VectorUnitConfig& unit) {
  const VectorCost& cost = vector_cost(work.function);
  const auto cycles = [&](double per_element, int rate) {
    return static_cast<std::int64_t>(
        std::ceil(static_cast<double>(work.elements) * per_element / static_cast<double>(rate)));
  };
  return {
      Cycles(cycles(cost.fma, unit.fma_per_cycle) + cycles(cost.convert, unit.convert_per_cycle)),
      Cycles(cycles(cost.special, unit.special_per_cycle))};
}

}  // namespace tessera

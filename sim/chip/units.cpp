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

Cycles ScratchpadPort::operand_wait(Cycles now, Cycles arithmetic, std::int64_t operand_bytes,
                                    std::int64_t bytes_per_cycle) {
  constexpr std::int64_t spread = 16;
  const std::int64_t idle = std::max<std::int64_t>(0, (now - last_end_).value) * bytes_per_cycle;
  const std::int64_t slack = arithmetic.value * bytes_per_cycle - operand_bytes;
  waiting_ = std::max<std::int64_t>(0, waiting_ - idle - std::max<std::int64_t>(0, slack));
  const std::int64_t met = std::min(waiting_ / spread, operand_bytes);
  waiting_ -= met;
  return Cycles(ceil_div(std::max<std::int64_t>(0, -slack) + met, bytes_per_cycle));
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

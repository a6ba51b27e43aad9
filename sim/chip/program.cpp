#include "sim/chip/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/base/error.h"
#include "sim/chip/collective.h"
#include "sim/chip/simulation_time.h"
#include "sim/trace/link_bytes.h"

namespace tessera {
namespace {

std::int64_t resident(const Kernel& kernel, const ChipConfig& chip) {
  std::int64_t warps = 0, registers = 0;
  for (const Role& role : kernel.roles) {
    warps += role.copies * role.warps;
    registers += role.copies * role.warps * 32 * role.registers;
  }
  const std::int64_t scratchpad =
      kernel.scratchpad_bytes + chip.scratchpad.reserved_per_block_bytes;
  std::int64_t blocks = chip.core.max_blocks;
  if (scratchpad > 0) blocks = std::min(blocks, chip.scratchpad.size_kib * 1024L / scratchpad);
  if (registers > 0) blocks = std::min(blocks, chip.core.registers / registers);
  if (warps > 0) blocks = std::min<std::int64_t>(blocks, chip.core.max_warps / warps);
  if (blocks < 1) {
    throw InputError(
        "kernel " + kernel.name,
        fmt::format("a block needs {} B of scratchpad, {} registers and {} warps", scratchpad,
                    registers, warps),
        fmt::format("a core of {} has {} B, {} and {}", chip.name, chip.scratchpad.size_kib * 1024L,
                    chip.core.registers, chip.core.max_warps));
  }
  return blocks;
}

Program::Expression expression(const Expr& e) {
  return {e.constant, e.terms.data(), e.terms.data() + e.terms.size()};
}

/// What a context books of the units it shares with others, or what takes time of its own.
bool takes_part_in_order(Program::Opcode opcode) {
  using Opcode = Program::Opcode;
  switch (opcode) {
    case Opcode::load:
    case Opcode::store:
    case Opcode::mma:
    case Opcode::vector:
    case Opcode::setup:
    case Opcode::collective:
    case Opcode::signal:
    case Opcode::await_signal:
    case Opcode::end:
      return true;
    default:
      return false;
  }
}

}  // namespace

Program::Program(const Kernel& kernel, const std::vector<Tensor>& tensors, const ChipConfig& chip)
    : kernel_(&kernel) {
  if (kernel.cluster < 1 || kernel.cluster > chip.core.max_cluster ||
      kernel.cluster > chip.core.count || kernel.grid < 1 || kernel.grid % kernel.cluster != 0) {
    throw InputError("kernel " + kernel.name,
                     fmt::format("grid {} in clusters of {}", kernel.grid, kernel.cluster),
                     fmt::format("a positive multiple of a cluster of at most {}",
                                 std::min(chip.core.max_cluster, chip.core.count)));
  }
  resident_blocks_ = resident(kernel, chip);
  std::int64_t contexts = 0;
  for (const Role& role : kernel.roles) contexts += role.copies;
  if (contexts > max_contexts) {
    throw InputError("kernel " + kernel.name, fmt::format("{} contexts in a block", contexts),
                     fmt::format("a block has at most {}", max_contexts));
  }
  std::int64_t slots = 0;
  for (const Barrier& barrier : kernel.barriers) {
    const std::int64_t first = slots;
    slots += barrier.slots;
    if (slots > max_slots) {
      throw InputError("kernel " + kernel.name, fmt::format("{} barriers in a block", slots),
                       fmt::format("a block has at most {}", max_slots));
    }
    rings_.push_back({static_cast<std::int32_t>(first), static_cast<std::int32_t>(slots),
                      barrier.arrivals, barrier.initially_complete});
  }
  for (const Role& role : kernel.roles) {
    const auto first = static_cast<std::uint32_t>(steps_.size());
    compile(role, tensors, chip);
    for (std::int64_t copy = 0; copy < role.copies; ++copy) {
      contexts_.push_back({&role, copy, first});
    }
  }
}

void Program::compile(const Role& role, const std::vector<Tensor>& tensors,
                      const ChipConfig& chip) {
  std::vector<std::uint32_t> open_loops;
  for (const Instruction& instruction : role.code) {
    Step step;
    const auto index = static_cast<std::uint32_t>(steps_.size());
    if (const auto* loop = std::get_if<Loop>(&instruction)) {
      step.opcode = Opcode::loop_begin;
      step.var = loop->var;
      step.a = expression(loop->begin);
      step.b = expression(loop->end);
      step.c = expression(loop->step);
      open_loops.push_back(index);
    } else if (std::holds_alternative<End>(instruction)) {
      if (open_loops.empty())
        throw InputError("role " + role.name, "end without loop", "remove it");
      Step& begin = steps_[open_loops.back()];
      step = begin;
      step.opcode = Opcode::loop_next;
      step.jump = open_loops.back() + 1;
      begin.jump = index + 1;
      open_loops.pop_back();
    } else if (const auto* let = std::get_if<Let>(&instruction)) {
      step.opcode = Opcode::let;
      step.var = let->var;
      step.let_op = let->op;
      step.a = expression(let->a);
      step.b = expression(let->b);
    } else if (const auto* raster = std::get_if<Raster>(&instruction)) {
      step.opcode = Opcode::raster;
      step.var = raster->row;
      step.var2 = raster->col;
      step.a = expression(raster->index);
      step.b = expression(raster->rows);
      step.c = expression(raster->cols);
      step.x = raster->group;
    } else if (const auto* wait = std::get_if<Wait>(&instruction)) {
      step.opcode = Opcode::wait;
      step.object = wait->barrier;
    } else if (const auto* arrive = std::get_if<Arrive>(&instruction)) {
      step.opcode = Opcode::arrive;
      step.object = arrive->barrier;
      step.cluster = arrive->cluster;
    } else if (const auto* expect = std::get_if<Expect>(&instruction)) {
      step.opcode = Opcode::expect;
      step.object = expect->barrier;
      step.x = expect->bytes;
    } else if (const auto* load = std::get_if<Load>(&instruction)) {
      step.opcode = Opcode::load;
      step.object = load->tensor;
      step.a = expression(load->row);
      step.b = expression(load->col);
      step.x = load->rows;
      step.y = load->cols;
      step.cluster = load->multicast;
      step.flag = load->gather;
      step.bytes = bytes(tensors[load->tensor].format, load->rows * load->cols).value;
      if (load->multicast && kernel_->cluster > 1 && !chip.dma.multicast) {
        throw InputError("kernel " + kernel_->name, "multicast load on " + chip.name,
                         "this chip's copy engine has no multicast");
      }
    } else if (const auto* store = std::get_if<Store>(&instruction)) {
      step.opcode = Opcode::store;
      step.object = store->tensor;
      step.a = expression(store->row);
      step.b = expression(store->col);
      step.x = store->rows;
      step.y = store->cols;
      step.flag = store->reduce;
    } else if (const auto* store_wait = std::get_if<StoreWait>(&instruction)) {
      step.opcode = Opcode::store_wait;
      step.x = store_wait->pending;
    } else if (const auto* mma = std::get_if<Mma>(&instruction)) {
      if (chip.tensor_core.flops_per_cycle(mma->format) == 0) {
        throw InputError(
            "kernel " + kernel_->name,
            fmt::format("{} has no tensor-core rate for {}", chip.name, name(mma->format)),
            "choose a precision the chip supports");
      }
      const MmaCost cost = mma_cost(*mma, chip);
      step.opcode = Opcode::mma;
      step.busy = cost.arithmetic;
      step.issue = cost.issue;
      step.operand_wait = cost.occupancy() - cost.arithmetic - cost.issue;
      step.amount = 2 * mma->m * mma->n * mma->k;
      step.bytes = cost.operand_bytes;
    } else if (const auto* mma_wait = std::get_if<MmaWait>(&instruction)) {
      step.opcode = Opcode::mma_wait;
      step.x = mma_wait->pending;
    } else if (const auto* vector = std::get_if<Vector>(&instruction)) {
      const VectorCost& cost = vector_cost(vector->function);
      step.opcode = Opcode::vector;
      step.occupancy = vector_occupancy(*vector, chip.vector_unit);
      step.busy = step.occupancy.duration();
      step.stalls_products = cost.stalls_products;
      step.cause = cost.is_epilogue                                ? Cause::epilogue
                   : step.occupancy.lanes < step.occupancy.special ? Cause::special_function
                                                                   : Cause::vector;
      step.amount = static_cast<std::int64_t>(
          std::llround(static_cast<double>(vector->elements) * (2 * cost.fma + cost.special)));
    } else if (const auto* setup = std::get_if<Setup>(&instruction)) {
      step.opcode = Opcode::setup;
      step.busy = Cycles(setup->cycles);
      // What begins a block belongs to its launch; what recurs is the latency of its steps.
      step.cause = open_loops.empty() ? Cause::launch : Cause::pipeline;
    } else if (const auto* signal = std::get_if<Signal>(&instruction)) {
      step.opcode = Opcode::signal;
      step.a = expression(signal->index);
    } else if (const auto* await = std::get_if<AwaitSignal>(&instruction)) {
      step.opcode = Opcode::await_signal;
      step.a = expression(await->index);
      step.b = expression(await->count);
    } else if (const auto* collective = std::get_if<Collective>(&instruction)) {
      step.opcode = Opcode::collective;
      has_collective_ = true;
      step.busy = collective_time(*collective, chip);
      step.cause = Cause::link;
      if (chip.link.bandwidth_gbps > 0) {
        step.amount = std::llround(link_bytes(*collective, chip.collective.in_switch != 0));
        step.bytes = std::llround(exchange_memory_bytes(*collective));
      }
    }
    steps_.push_back(step);
  }
  if (!open_loops.empty()) throw InputError("role " + role.name, "loop without end", "close it");
  steps_.push_back(Step{});
  for (Step& step : steps_) {
    step.in_order = takes_part_in_order(step.opcode);
    const Cycles lasts = step.busy + step.operand_wait + step.issue;
    if (lasts > end_of_time) {
      throw InputError("role " + role.name,
                       fmt::format("an instruction that takes {} cycles", lasts.value),
                       fmt::format("at most {}", end_of_time.value));
    }
  }
}

}  // namespace tessera

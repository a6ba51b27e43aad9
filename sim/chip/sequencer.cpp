#include "sim/chip/sequencer.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/base/error.h"
#include "sim/chip/arbiter.h"
#include "sim/chip/command_processor.h"

namespace tessera {
namespace {

constexpr Cycles forever = ReadyQueue::never;

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  const std::int64_t q = a / b;
  return q - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
}

/// Temporal decoupling: copies may be booked this far ahead of the kernel's time, so that blocks of
/// a cluster whose copies fall due close together take one turn. Below the latency of H100's L2.
constexpr Cycles quantum{256};

/// Copies that a context asks for in one turn, a stage of a GEMM's ring: then others have theirs,
/// so that cores that fill their rings at the same time are served alike.
constexpr int loads_of_a_turn = 2;

/// Latest time at which a context may execute an instruction while the kernel stands at `now`.
Cycles horizon(Program::Opcode opcode, Cycles now) {
  using Opcode = Program::Opcode;
  if (opcode == Opcode::load || opcode == Opcode::store) return now + quantum;
  if (opcode == Opcode::signal || opcode == Opcode::await_signal) return now;
  return forever;
}

}  // namespace

Sequencer::Sequencer(int id, const ChipConfig& chip, L2& l2, Arbiter& arbiter,
                     CommandProcessor& processor, TimelineRecorder* recorder)
    : id_(id), chip_(chip), l2_(l2), arbiter_(arbiter), processor_(processor) {
  recording_.recorder = recorder;
  arbiter.add(*this);
}

void Sequencer::prepare(const Program& program, std::vector<CoreUnits*> cores) {
  program_ = &program;
  rings_ = program.rings().data();
  ring_count_ = program.rings().size();
  cores_ = std::move(cores);
  contexts_per_block_ = program.contexts().size();
  const std::size_t groups =
      cores_.empty() ? 0 : static_cast<std::size_t>(program.resident_blocks());
  groups_.assign(groups, Group{});
  blocks_.assign(groups * cores_.size(), Block{});
  contexts_.clear();
  contexts_.resize(blocks_.size() * contexts_per_block_);
  ready_.reset(contexts_.size());
  slots_.resize(blocks_.size() * program.slots_per_block());
  cursors_.resize(contexts_.size() * 2 * ring_count_);
  for (std::size_t b = 0; b < blocks_.size(); ++b) {
    Block& block = blocks_[b];
    block.group = static_cast<int>(b / cores_.size());
    block.rank = static_cast<std::int64_t>(b % cores_.size());
    block.core = cores_[b % cores_.size()];
    block.slots = slots_.data() + b * program.slots_per_block();
    block.first_context = b * contexts_per_block_;
    for (std::size_t i = 0; i < contexts_per_block_; ++i) {
      Context& context = contexts_[block.first_context + i];
      context.block = &block;
      context.shape = &program.contexts()[i];
      context.bit = 1u << i;
      context.waits = cursors_.data() + (block.first_context + i) * 2 * ring_count_;
    }
  }
  active_clusters_ = retiring_ = 0;
  TimelineRecorder* const recorder = recording_.recorder;
  recording_.wanted = recorder != nullptr &&
                      std::any_of(cores_.begin(), cores_.end(),
                                  [&](const CoreUnits* core) { return recorder->wants(core->id); });
  if (!recording_.wanted) return;
  recording_.of_context.assign(contexts_.size(), {});
  recording_.latest.assign(slots_.size(), {});
  recording_.completed.assign(slots_.size(), {});
}

void Sequencer::start_cluster(std::int64_t cluster, Cycles start) {
  const auto group = static_cast<std::size_t>(
      std::find_if(groups_.begin(), groups_.end(), [](const Group& g) { return !g.occupied; }) -
      groups_.begin());
  const bool alone = active_clusters_ == 0;
  ++active_clusters_;
  groups_[group] = {true, false, Cycles(0), static_cast<int>(cores_.size())};
  const std::vector<Ring>& rings = program_->rings();
  for (std::size_t rank = 0; rank < cores_.size(); ++rank) {
    Block& block = blocks_[group * cores_.size() + rank];
    block.cluster = cluster;
    block.running = static_cast<int>(contexts_per_block_);
    block.end = start;
    for (const Ring& ring : rings) {
      Slot fresh;
      fresh.completed = ring.initially_complete ? 1 : 0;
      fresh.completion = start;
      std::fill(block.slots + ring.first, block.slots + ring.end, fresh);
    }
    if (recording_.wanted) forget_recorded(block);
    if (alone) block.core->ledger.idle_until(start, Cause::launch);
    for (std::size_t i = block.first_context; i < block.first_context + contexts_per_block_; ++i) {
      Context& context = contexts_[i];
      context.state = State::ready;
      context.time = start;
      ready_.push(i, start);
      context.next_step = &program_->step(context.shape->first_step);
      std::fill(std::begin(context.variables), std::end(context.variables), 0);
      context.variables[var_cluster] = cluster;
      context.variables[var_rank] = static_cast<std::int64_t>(rank);
      context.variables[var_copy] = context.shape->copy;
      for (std::size_t r = 0; r < rings.size(); ++r) {
        context.waits[r] = {0, rings[r].first};
        arrives(context)[r] = {rings[r].initially_complete ? 1 : 0, rings[r].first};
      }
      context.mma.clear();
      context.stores.clear();
      context.last_store = start;
      context.waited = Cause::launch;
      context.waited_cycles = 0;
    }
  }
}

bool Sequencer::next_time(Cycles& when) const {
  when = std::min(ready_.earliest(), running_at_);
  if (const Group* const retiring = first_retiring(); retiring != nullptr)
    when = std::min(when, retiring->retire_at);
  return when != forever;
}

void Sequencer::schedule(Cycles now) {
  Cycles when;
  if (next_time(when)) arbiter_.request(*this, std::max(when, now));
}

const Sequencer::Group* Sequencer::first_retiring() const {
  const Group* first = nullptr;
  if (retiring_ == 0) return first;
  for (const Group& g : groups_) {
    if (g.retiring && (first == nullptr || g.retire_at < first->retire_at)) first = &g;
  }
  return first;
}

template <bool recorded>
void Sequencer::take_turn(Cycles now) {
  for (;;) {
    // Contexts in the order of their time; a retirement comes before contexts of the same time.
    const Cycles first_at = ready_.earliest();
    limit_ = end_of_time;
    if (const Group* const retiring = first_retiring(); retiring != nullptr) {
      if (retiring->retire_at <= first_at) {
        if (retiring->retire_at > now) return arbiter_.request(*this, retiring->retire_at);
        Group& group = groups_[static_cast<std::size_t>(retiring - groups_.data())];
        group.occupied = group.retiring = false;
        --retiring_;
        --active_clusters_;
        processor_.cluster_done(*this, now);
        continue;
      }
      limit_ = std::min(limit_, retiring->retire_at);
    }
    if (first_at == forever) return;
    limit_ = std::min(limit_, ready_.second());
    const std::size_t first = ready_.first();
    Context& context = contexts_[first];
    in_time(context, first_at);
    if (first_at > horizon(context.next_step->opcode, now))
      return arbiter_.request(*this, first_at);
    ready_.pop();
    running_at_ = first_at;
    run<recorded>(context, now);
    running_at_ = forever;
    if (context.state == State::ready) ready_.push(first, context.time);
    if (yields_) {
      yields_ = false;
      return schedule(now);
    }
  }
}

void Sequencer::too_late(const Context& context, Cycles when) const {
  throw SimulationError(fmt::format("{}: at cycle {}, beyond the {} that a section may last",
                                    context_name(context), when.value, end_of_time.value));
}

template <bool recorded>
void Sequencer::advance(Context& context, Cycles to, Cause cause) {
  if (to <= context.time) return;
  if constexpr (recorded) {
    Slice waiting = slice(context, TrackKind::context, context.time, to);
    waiting.cause = cause;
    record(context, waiting);
  }
  const std::int64_t waited = (to - context.time).value;
  if (waited > context.waited_cycles) {
    context.waited = cause;
    context.waited_cycles = waited;
  }
  context.time = to;
}

template <bool recorded>
void Sequencer::run(Context& context, Cycles now) {
  using Opcode = Program::Opcode;
  std::int64_t* const v = context.variables;
  Block& block = *context.block;
  CoreUnits& core = *block.core;
  const auto was_busy = [&] {
    context.waited = Cause::pipeline;
    context.waited_cycles = 0;
  };
  int loads = 0;
  for (;;) {
    const Program::Step& step = *context.next_step;
    if (step.in_order && context.time > limit_) return;
    const Program::Step* next_step = &step + 1;
    switch (step.opcode) {
      case Opcode::loop_begin: {
        const std::int64_t begin = step.a.at(v);
        if (begin < step.b.at(v)) {
          v[step.var] = begin;
        } else {
          next_step = &program_->step(step.jump);
        }
        break;
      }
      case Opcode::loop_next: {
        const std::int64_t next = v[step.var] + step.c.at(v);
        if (next < step.b.at(v)) {
          v[step.var] = next;
          next_step = &program_->step(step.jump);
        }
        break;
      }
      case Opcode::let: {
        const std::int64_t a = step.a.at(v), b = step.b.at(v);
        std::int64_t result = a;
        if ((step.let_op == LetOp::div || step.let_op == LetOp::mod) && b <= 0) {
          throw SimulationError(context_name(context) + ": division by " + std::to_string(b));
        }
        if (step.let_op == LetOp::div) result = floor_div(a, b);
        if (step.let_op == LetOp::mod) result = a - floor_div(a, b) * b;
        if (step.let_op == LetOp::min) result = std::min(a, b);
        if (step.let_op == LetOp::max) result = std::max(a, b);
        v[step.var] = result;
        break;
      }
      case Opcode::raster: {
        const std::int64_t index = step.a.at(v);
        const std::int64_t rows = step.b.at(v), cols = step.c.at(v);
        const std::int64_t per_group = step.x * cols;
        if (per_group <= 0) throw SimulationError(context_name(context) + ": empty raster");
        const std::int64_t group = index / per_group, inside = index % per_group;
        const std::int64_t height =
            std::max<std::int64_t>(1, std::min(step.x, rows - group * step.x));
        v[step.var] = group * step.x + inside % height;
        v[step.var2] = inside / height;
        break;
      }
      case Opcode::wait: {
        Cursor& at = context.waits[step.object];
        Slot& slot = block.slots[at.slot];
        if (slot.completed <= at.generation) {
          context.state = State::barrier;
          context.blocked_ring = step.object;
          slot.waiting |= context.bit;
          return;
        }
        await<recorded>(context, step.object, at, slot);
        next(at, rings_[step.object]);
        break;
      }
      case Opcode::arrive: {
        Cursor& cursor = arrives(context)[step.object];
        const Cursor at = cursor;
        next(cursor, rings_[step.object]);
        if (!step.cluster) {
          arrive<recorded>(block, step.object, at, context.time, context);
        } else {
          const Cycles there = context.time + Cycles(chip_.barrier.remote_latency_cycles);
          for (Block& other : cluster_of(block)) {
            arrive<recorded>(other, step.object, at, &other == &block ? context.time : there,
                             context);
          }
        }
        break;
      }
      case Opcode::expect: {
        context.expect_ring = step.object;
        Cursor& cursor = arrives(context)[step.object];
        context.expected = cursor;
        next(cursor, rings_[step.object]);
        block.slots[context.expected.slot].bytes += step.x;
        arrive<recorded>(block, step.object, context.expected, context.time, context);
        break;
      }
      case Opcode::load:
        if (context.time > horizon(Opcode::load, now)) return;
        if (loads == loads_of_a_turn) {
          yields_ = true;
          return;
        }
        if (!try_load<recorded>(context, step, std::max(now, context.time))) return;
        ++loads;
        break;
      case Opcode::store: {
        if (context.time > horizon(Opcode::store, now)) return;
        const L2Written written = l2_.write(std::max(now, context.time), core.id, step.object,
                                            step.a.at(v), step.b.at(v), step.x, step.y, step.flag);
        in_time(context, std::max(written.left, written.visible));
        const Cycles fetch(chip_.scratchpad.latency_cycles + chip_.dma.latency_cycles);
        if constexpr (recorded) {
          if (recording_.recorder->wants(core.id)) {
            Slice storing =
                slice(context, TrackKind::store, std::max(now, context.time), written.left + fetch);
            storing.bytes = written.bytes;
            recording_.recorder->add_to_lane(storing);
          }
        }
        context.stores.push_back(written.left + fetch);
        context.last_store = std::max(context.last_store, written.visible + fetch);
        break;
      }
      case Opcode::store_wait:
        for (; static_cast<std::int64_t>(context.stores.size()) > step.x;
             context.stores.pop_front()) {
          advance<recorded>(context, context.stores.front(), Cause::epilogue);
        }
        break;
      case Opcode::mma: {
        const Cycles operand_wait = core.scratchpad.operand_wait(
            context.time, step.busy, step.bytes, chip_.scratchpad.bytes_per_cycle);
        const Booking booking =
            core.tensor_core.book(context.time, step.busy + operand_wait + step.issue);
        core.scratchpad.mma_ends(booking.end);
        in_time(context, booking.end);
        core.ledger.tensor(booking.start, step.busy, operand_wait, step.issue, context.waited);
        was_busy();
        if constexpr (recorded) {
          if (recording_.recorder->wants(core.id)) {
            Slice multiplying = slice(context, TrackKind::tensor_core, booking.start, booking.end);
            multiplying.cause = operand_wait > Cycles(0) ? Cause::scratchpad : Cause::tensor_core;
            recording_.recorder->add(multiplying);
          }
        }
        context.mma.push_back(booking.end + Cycles(chip_.tensor_core.latency_cycles));
        counters_.tensor_flops += step.amount;
        counters_.operand_bytes += step.bytes;
        break;
      }
      case Opcode::mma_wait:
        for (; static_cast<std::int64_t>(context.mma.size()) > step.x; context.mma.pop_front()) {
          advance<recorded>(context, context.mma.front(), Cause::pipeline);
        }
        break;
      case Opcode::vector: {
        const Booking booking = core.vector_unit.book(context.time, step.occupancy);
        core.ledger.busy(booking.start, booking.end, step.cause, context.waited);
        if (step.stalls_products) {
          const Booking stalled = core.tensor_core.stall(booking.start, booking.end);
          if (stalled.start < stalled.end) {
            core.ledger.busy(stalled.start, stalled.end, step.cause, context.waited);
            if constexpr (recorded) {
              if (recording_.recorder->wants(core.id)) {
                Slice held_up = slice(context, TrackKind::tensor_core, stalled.start, stalled.end);
                held_up.cause = step.cause;
                recording_.recorder->add(held_up);
              }
            }
          }
        }
        was_busy();
        if constexpr (recorded) record_vector(context, step, booking);
        context.time = booking.end + Cycles(chip_.vector_unit.latency_cycles);
        counters_.vector_flops += step.amount;
        break;
      }
      case Opcode::setup:
        advance<recorded>(context, context.time + step.busy, step.cause);
        break;
      case Opcode::collective:
        advance<recorded>(context, context.time + step.busy, Cause::link);
        counters_.link_bytes += step.amount;
        counters_.exchange_bytes += step.bytes;
        break;
      case Opcode::signal:
        advance<recorded>(context, context.last_store, Cause::epilogue);
        if (context.time > horizon(Opcode::signal, now)) return;
        processor_.raise_flag(step.a.at(v), now);
        break;
      case Opcode::await_signal: {
        if (context.time > horizon(Opcode::await_signal, now)) return;
        const std::int64_t flag = step.a.at(v);
        const std::int64_t count = step.b.at(v);
        if (processor_.flag(flag) < count) {
          context.state = State::flag;
          context.blocked_flag = flag;
          context.blocked_count = count;
          processor_.await_flag(*this);
          return;
        }
        break;
      }
      case Opcode::end:
        end_context<recorded>(context);
        return;
    }
    context.next_step = next_step;
  }
}

void Sequencer::overrun(const Block& block, std::uint16_t ring, const Cursor& at,
                        const Slot& slot) const {
  throw SimulationError(fmt::format(
      "kernel {}: barrier {} of block {}: an arrival at phase {} while phase {} of its slot is "
      "not complete (overrun: the slot was refilled before it was released)",
      program_->kernel().name, program_->kernel().barriers[ring].name,
      block.cluster * static_cast<std::int64_t>(cores_.size()) + block.rank,
      phase(at, rings_[ring]), phase({slot.completed, at.slot}, rings_[ring])));
}

template <bool recorded>
void Sequencer::complete(Block& block, std::uint16_t ring, Slot& slot) {
  ++slot.completed;
  slot.completion = slot.latest;
  slot.cause = slot.latest_cause;
  slot.arrivals = 0;
  slot.latest = Cycles(0);
  if constexpr (recorded) recording_.completed[index_of(slot)] = recording_.latest[index_of(slot)];
  // Nobody waits for a later phase of a slot than the one that completes.
  for (; slot.waiting != 0; slot.waiting &= slot.waiting - 1) {
    const std::size_t index =
        block.first_context + static_cast<std::size_t>(__builtin_ctz(slot.waiting));
    Context& waiting = contexts_[index];
    waiting.state = State::ready;
    await<recorded>(waiting, ring, waiting.waits[ring], slot);
    next(waiting.waits[ring], rings_[ring]);
    ++waiting.next_step;
    ready_.push(index, waiting.time);
    limit_ = std::min(limit_, waiting.time);
  }
}

template <bool recorded>
bool Sequencer::try_load(Context& context, const Program::Step& step, Cycles now) {
  CoreUnits& core = *context.block->core;
  const std::int64_t box_bytes = step.bytes;
  // The copy engine holds a limited number of bytes in flight; a request beyond waits its turn.
  auto& in_flight = core.in_flight;
  while (!in_flight.empty() && in_flight.front().first <= now) {
    core.in_flight_bytes -= in_flight.front().second;
    in_flight.pop_front();
  }
  if (!in_flight.empty() &&
      core.in_flight_bytes + box_bytes > chip_.dma.max_outstanding_kib * std::int64_t{1024}) {
    advance<recorded>(context, in_flight.front().first, Cause::noc);
    return false;
  }
  const std::int64_t* v = context.variables;
  const std::int64_t row = step.a.at(v), col = step.b.at(v);
  L2Answer answer = step.flag ? l2_.gather(now, core.id, step.object, row, col, step.x, step.y)
                              : l2_.read(now, core.id, step.object, row, col, step.x, step.y);
  in_time(context, answer.arrival);
  // The engine takes its requests dma.issue_cycles apart.
  const Cycles issued = std::max(now, core.dma_free);
  core.dma_free = issued + Cycles(chip_.dma.issue_cycles);
  context.time = std::max(context.time, core.dma_free);
  const Cycles dma = Cycles(chip_.dma.latency_cycles) + issued - now;
  in_flight.push_back(std::make_pair(answer.arrival + dma, box_bytes));
  core.in_flight_bytes += box_bytes;
  // Zeros beyond the edge of a tensor are not written by way of the port.
  const std::int64_t filled = std::min(box_bytes, answer.bytes);
  core.scratchpad.fill(filled);
  TrackPoint copy;
  if constexpr (recorded) {
    if (recording_.recorder->wants(core.id)) {
      Slice loading = slice(context, TrackKind::copy, issued, answer.arrival + dma);
      loading.bytes = answer.bytes;
      loading.cause = answer.cause;
      copy = recording_.recorder->add_to_lane(loading);
    }
  }
  Block& own = *context.block;
  if (!step.cluster) {
    landed<recorded>(own, context.expect_ring, context.expected, box_bytes, answer.arrival + dma,
                     answer.cause, &copy);
    return true;
  }
  for (Block& other : cluster_of(own)) {
    Cycles arrival = answer.arrival;
    if (&other != &own) {
      arrival = std::max(arrival, l2_.deliver(now, other.core->id, answer.bytes));
      other.core->scratchpad.fill(filled);
    }
    landed<recorded>(other, context.expect_ring, context.expected, box_bytes, arrival + dma,
                     answer.cause, &copy);
  }
  return true;
}

template <bool recorded>
void Sequencer::end_context(Context& context) {
  context.state = State::done;
  Block& block = *context.block;
  for (; !context.stores.empty(); context.stores.pop_front()) {
    advance<recorded>(context, context.stores.front(), Cause::epilogue);
  }
  block.end = std::max(block.end, context.time);
  processor_.note_visible(context.last_store);
  if (--block.running > 0) return;
  block.core->ledger.idle_until(block.end, context.waited);
  Group& group = groups_[static_cast<std::size_t>(block.group)];
  group.retire_at = std::max(group.retire_at, block.end);
  if (--group.running > 0) return;
  group.retiring = true;
  ++retiring_;
}

void Sequencer::flag_raised(std::int64_t flag, std::int64_t count, Cycles when, Cycles now) {
  for (Context& context : contexts_) {
    if (context.state != State::flag || context.blocked_flag != flag ||
        context.blocked_count > count)
      continue;
    context.state = State::ready;
    recording_.wanted ? advance<true>(context, when, Cause::barrier)
                      : advance<false>(context, when, Cause::barrier);
    ++context.next_step;
    ready_.push(index_of(context), context.time);
  }
  schedule(now);
}

void Sequencer::forget_recorded(const Block& block) {
  const auto reset = [](std::vector<TrackPoint>& points, std::size_t first, std::size_t count) {
    std::fill_n(points.begin() + static_cast<std::ptrdiff_t>(first), count, TrackPoint{});
  };
  reset(recording_.of_context, block.first_context, contexts_per_block_);
  if (program_->slots_per_block() == 0) return;
  for (auto* points : {&recording_.latest, &recording_.completed})
    reset(*points, index_of(*block.slots), program_->slots_per_block());
}

Slice Sequencer::slice(const Context& context, TrackKind kind, Cycles start, Cycles end) const {
  const Program::Context& shape = *context.shape;
  Slice slice;
  slice.at = {start, end, context.block->core->id, kind, 0, 0, 0};
  slice.at.role = static_cast<std::uint16_t>(shape.role - program_->kernel().roles.data());
  slice.at.copy = static_cast<std::uint8_t>(shape.copy);
  if (kind == TrackKind::context) slice.at.lane = context.block->group;
  slice.instruction =
      static_cast<std::int32_t>(context.next_step - &program_->step(shape.first_step));
  return slice;
}

void Sequencer::record(const Context& context, const Slice& slice) {
  if (!recording_.recorder->wants(slice.at.core)) return;
  recording_.recorder->add(slice);
  recording_.of_context[index_of(context)] = slice.at;
}

void Sequencer::record_wait(const Context& context, std::int64_t phase, const Slot& slot,
                            Cycles told) {
  Slice waiting = slice(context, TrackKind::context, context.time, slot.completion);
  waiting.cause = slot.cause;
  record(context, waiting);
  if (told > slot.completion) {
    waiting.at.start = slot.completion;
    waiting.at.end = told;
    waiting.phase = phase;
    record(context, waiting);
  }
  const TrackPoint& from = recording_.completed[index_of(slot)];
  if (from.core < 0 || !recording_.recorder->wants(waiting.at.core)) return;
  recording_.recorder->add(Flow{from, waiting.at, 0});
}

void Sequencer::record_vector(const Context& context, const Program::Step& step,
                              const Booking& booking) {
  if (!recording_.recorder->wants(context.block->core->id)) return;
  const auto of_unit = [&](TrackKind kind, Cycles duration) {
    if (duration > Cycles(0))
      recording_.recorder->add(slice(context, kind, booking.start, booking.start + duration));
  };
  of_unit(TrackKind::vector_lanes, step.occupancy.lanes);
  of_unit(TrackKind::special_function, step.occupancy.special);
  const Cycles end = booking.end + Cycles(chip_.vector_unit.latency_cycles);
  Slice working = slice(context, TrackKind::context, context.time, end);
  working.cause = step.cause;
  if (end > context.time) record(context, working);
}

std::string Sequencer::context_name(const Context& context) const {
  const Block& block = *context.block;
  return fmt::format("kernel {} block {} {}[{}]", program_->kernel().name,
                     block.cluster * static_cast<std::int64_t>(cores_.size()) + block.rank,
                     context.shape->role->name, context.shape->copy);
}

void Sequencer::explain(std::vector<std::string>& lines) const {
  for (const Context& c : contexts_) {
    if (c.state == State::barrier) {
      const Ring& ring = rings_[c.blocked_ring];
      const Cursor& blocked = c.waits[c.blocked_ring];
      const Slot& slot = c.block->slots[blocked.slot];
      lines.push_back(fmt::format(
          "{} has waited since cycle {} for phase {} of barrier {}: {} of {} arrivals, {} bytes "
          "announced and not landed",
          context_name(c), c.time.value, phase(blocked, ring),
          program_->kernel().barriers[c.blocked_ring].name, slot.arrivals, ring.arrivals,
          slot.bytes));
    } else if (c.state == State::flag) {
      lines.push_back(fmt::format(
          "{} has waited since cycle {} for flag {} to reach {}: it is at {}", context_name(c),
          c.time.value, c.blocked_flag, c.blocked_count, processor_.flag(c.blocked_flag)));
    }
  }
}

}  // namespace tessera

#include "sim/trace/execution.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <memory>
#include <set>
#include <tuple>

#include "sim/trace/text.h"

namespace tessera {
namespace {

using std::int64_t;
using Clock = std::uint32_t;  // of a vector clock: synchronising steps of one context

constexpr int64_t forever = std::numeric_limits<int64_t>::max();

int64_t saturating_multiply(int64_t a, int64_t b) {  // both >= 0
  return a != 0 && b > forever / a ? forever : a * b;
}

/// Iterations of a loop, step >= 1; saturates.
int64_t trips(int64_t begin, int64_t end, int64_t step) {
  if (begin >= end) return 0;
  const std::uint64_t span = static_cast<std::uint64_t>(end) - static_cast<std::uint64_t>(begin);
  const std::uint64_t count = (span - 1) / static_cast<std::uint64_t>(step) + 1;
  return count > static_cast<std::uint64_t>(forever) ? forever : static_cast<int64_t>(count);
}

enum class Opcode : std::uint8_t {
  loop_begin,
  loop_next,
  let,
  raster,
  wait,
  arrive,
  expect,
  load,
  store,
  mma,
  mma_wait,
  signal,
  await_signal,
  nothing,  // costs time only
  end,
};

struct Expression {
  int64_t constant = 0;
  std::uint32_t first = 0, count = 0;
};

struct Step {
  Opcode opcode = Opcode::nothing;
  VarId var = 0, var2 = 0;
  LetOp let_op = LetOp::set;
  bool cluster = false;  // arrive: remote; load: multicast
  bool reduce = false;
  std::uint16_t object = 0;  // barrier or tensor
  std::uint16_t role = 0;
  std::uint32_t jump = 0;   // loop_begin: past the end; loop_next: body
  std::uint32_t index = 0;  // of the instruction in its role
  Expression a, b, c;
  int64_t x = 0, y = 0;           // box, bytes, pending, group
  int64_t bytes = 0;              // load: of the box
  int64_t height = 0, width = 0;  // load, store: of the tensor
  int64_t body_steps = 1;         // loop_begin: steps of one iteration, at least
};

struct Ring {
  int64_t slots = 1, arrivals = 1;
  std::size_t first = 0;  // slot, in the block
  bool initially_complete = false;
  bool expects = false;  // some Expect announces bytes on it
};

struct Slot {
  int64_t completed = 0;   // phases
  int64_t arrivals = 0;    // of the phase in progress
  int64_t bytes = 0;       // announced minus landed
  bool refilling = false;  // a load of the phase in progress has landed
};

enum class State : std::uint8_t { ready, barrier, flag, done };

struct Position {  // of a context in a ring: phase = generation * slots + slot
  int64_t generation = 0, slot = 0;
};

struct Context {
  State state = State::ready;
  std::uint16_t role = 0;
  std::uint32_t pc = 0;
  int64_t rank = 0, copy = 0;
  int64_t pending_mma = 0;
  int expect_ring = -1;
  Position expect;
  Clock expect_clock = 0;
  std::uint16_t blocked_ring = 0;
  int64_t blocked_flag = 0, blocked_count = 0;
  int64_t variables[max_variables] = {};
};

// The blocks of one cluster while they run.
struct Cluster {
  int64_t index = 0;
  std::vector<Context> contexts;
  std::vector<Position> waits, arrives;  // [context * rings + ring]
  std::vector<Slot> slots;               // [block * slots of a block + slot]
  // Vector clocks, n contexts wide: of each context, of each slot's last complete phase and of the
  // phase in progress; and when each context last waited for a slot.
  std::vector<Clock> clocks, completion, gathering, waited;
  std::vector<std::size_t> ready;
  std::size_t running = 0;
};

class Execution {
 public:
  Execution(const Section& section, const Kernel& kernel, const ExecutionLimits& limits)
      : section_(section), kernel_(kernel), limits_(limits) {
    for (const Barrier& barrier : kernel.barriers) {
      rings_.push_back(
          {barrier.slots, barrier.arrivals, slots_per_block_, barrier.initially_complete, false});
      slots_per_block_ += static_cast<std::size_t>(barrier.slots);
    }
    result_.uses.resize(kernel.roles.size());
    for (std::size_t r = 0; r < kernel.roles.size(); ++r) {
      entry_.push_back(static_cast<std::uint32_t>(steps_.size()));
      compile(static_cast<std::uint16_t>(r));
      contexts_per_block_ += static_cast<std::size_t>(kernel.roles[r].copies);
    }
    executed_.assign(steps_.size(), 0);
    flags_.assign(static_cast<std::size_t>(kernel.flags), 0);
    awaited_.assign(flags_.size(), 0);
    width_ = contexts_per_block_ * static_cast<std::size_t>(kernel.cluster);
  }

  KernelExecution run() {
    const int64_t clusters = kernel_.grid / kernel_.cluster;
    const auto words = static_cast<int64_t>(
        slots_per_block_ * static_cast<std::size_t>(kernel_.cluster) * (3 * width_ + 6) +
        width_ * (width_ + 40 + 4 * rings_.size()));
    const int64_t room = limits_.max_state_words / words;
    if (room < 1) {
      too_long(nullptr,
               fmt::format("barriers with {} slots shared by {} contexts",
                           slots_per_block_ * static_cast<std::size_t>(kernel_.cluster), width_));
      return finish(false);
    }
    // Setting up a cluster costs about a step for each few words of its state.
    if (saturating_multiply(clusters, std::max<int64_t>(1, words / 4)) > limits_.max_steps) {
      too_long(nullptr, fmt::format("{} blocks", kernel_.grid));
      return finish(false);
    }
    const int64_t resident = std::min(limits_.resident_clusters, room);
    for (int64_t next = 0; next < clusters || !active_.empty();) {
      std::shared_ptr<Cluster> cluster;
      if (!woken_.empty()) {
        cluster = woken_.front();
        woken_.pop_front();
      } else if (next < clusters && static_cast<int64_t>(active_.size()) < resident) {
        cluster = start(next++);
      } else {
        if (resident == room && room < limits_.resident_clusters && next < clusters) {
          too_long(nullptr,
                   fmt::format("{} clusters that wait for flags at the same time", active_.size()));
        } else {
          deadlock(next < clusters ? clusters - next : 0);
        }
        return finish(false);
      }
      if (!run(*cluster)) return finish(false);
      if (cluster->running == 0) {
        if (!retire(*cluster)) return finish(false);
        active_.erase(cluster->index);
        spare_.push_back(std::move(cluster));
      } else if (std::none_of(cluster->contexts.begin(), cluster->contexts.end(),
                              [](const Context& c) { return c.state == State::flag; })) {
        deadlock(0);
        return finish(false);
      }
    }
    check_flags();
    return finish(true);
  }

 private:
  // --- compilation ---

  Expression compile(const Expr& e) {
    Expression compiled;
    compiled.constant = e.constant;
    compiled.first = static_cast<std::uint32_t>(terms_.size());
    compiled.count = static_cast<std::uint32_t>(e.terms.size());
    terms_.insert(terms_.end(), e.terms.begin(), e.terms.end());
    return compiled;
  }

  void box(Step& step, std::uint16_t tensor, const Expr& row, const Expr& col, int64_t rows,
           int64_t cols) {
    const Tensor& t = section_.tensors[tensor];
    step.object = tensor;
    step.a = compile(row);
    step.b = compile(col);
    step.x = rows;
    step.y = cols;
    step.height = t.rows;
    step.width = t.cols;
    step.bytes = bytes(t.format, rows * cols).value;
  }

  void compile(std::uint16_t role) {
    const std::vector<Instruction>& code = kernel_.roles[role].code;
    result_.uses[role].resize(code.size());
    std::vector<std::uint32_t> open;
    std::vector<int64_t> body_steps;  // of the open loops so far
    for (std::uint32_t index = 0; index < code.size(); ++index) {
      const Instruction& instruction = code[index];
      Step step;
      step.role = role;
      step.index = index;
      const auto here = static_cast<std::uint32_t>(steps_.size());
      int64_t cost = 1;
      if (const auto* loop = std::get_if<Loop>(&instruction)) {
        step.opcode = Opcode::loop_begin;
        step.var = loop->var;
        step.a = compile(loop->begin);
        step.b = compile(loop->end);
        step.c = compile(loop->step);
        open.push_back(here);
        body_steps.push_back(0);
        cost = 0;  // counted with its end, in the loop around
      } else if (std::holds_alternative<End>(instruction)) {
        Step& begin = steps_[open.back()];
        const int64_t body = body_steps.back() < forever ? body_steps.back() + 1 : forever;
        begin.body_steps = body;
        step = begin;
        step.index = index;
        step.opcode = Opcode::loop_next;
        step.jump = open.back() + 1;
        begin.jump = here + 1;
        open.pop_back();
        body_steps.pop_back();
        // Bounds that are known now let a nest of giant loops be refused before it is entered.
        cost = 1;
        if (step.a.count == 0 && step.b.count == 0 && step.c.count == 0 && step.c.constant > 0) {
          cost =
              saturating_multiply(trips(step.a.constant, step.b.constant, step.c.constant), body);
        }
      } else if (const auto* let = std::get_if<Let>(&instruction)) {
        step.opcode = Opcode::let;
        step.var = let->var;
        step.let_op = let->op;
        step.a = compile(let->a);
        step.b = compile(let->b);
      } else if (const auto* raster = std::get_if<Raster>(&instruction)) {
        step.opcode = Opcode::raster;
        step.var = raster->row;
        step.var2 = raster->col;
        step.a = compile(raster->index);
        step.b = compile(raster->rows);
        step.c = compile(raster->cols);
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
        rings_[expect->barrier].expects = true;
      } else if (const auto* load = std::get_if<Load>(&instruction)) {
        step.opcode = Opcode::load;
        step.cluster = load->multicast;
        box(step, load->tensor, load->row, load->col, load->rows, load->cols);
      } else if (const auto* store = std::get_if<Store>(&instruction)) {
        step.opcode = Opcode::store;
        step.reduce = store->reduce;
        box(step, store->tensor, store->row, store->col, store->rows, store->cols);
      } else if (std::holds_alternative<Mma>(instruction)) {
        step.opcode = Opcode::mma;
      } else if (const auto* mma_wait = std::get_if<MmaWait>(&instruction)) {
        step.opcode = Opcode::mma_wait;
        step.x = mma_wait->pending;
      } else if (const auto* signal = std::get_if<Signal>(&instruction)) {
        step.opcode = Opcode::signal;
        step.a = compile(signal->index);
      } else if (const auto* await = std::get_if<AwaitSignal>(&instruction)) {
        step.opcode = Opcode::await_signal;
        step.a = compile(await->index);
        step.b = compile(await->count);
      }
      steps_.push_back(step);
      if (!body_steps.empty() &&
          __builtin_add_overflow(body_steps.back(), cost, &body_steps.back())) {
        body_steps.back() = forever;
      }
    }
    Step end;
    end.opcode = Opcode::end;
    end.role = role;
    steps_.push_back(end);
  }

  // --- one cluster ---

  std::shared_ptr<Cluster> start(int64_t index) {
    std::shared_ptr<Cluster> cluster;
    if (spare_.empty()) {
      cluster = std::make_shared<Cluster>();
    } else {
      cluster = std::move(spare_.back());
      spare_.pop_back();
    }
    const auto blocks = static_cast<std::size_t>(kernel_.cluster);
    cluster->index = index;
    cluster->contexts.assign(width_, Context{});
    cluster->waits.assign(width_ * rings_.size(), Position{});
    cluster->arrives.assign(width_ * rings_.size(), Position{});
    cluster->slots.assign(blocks * slots_per_block_, Slot{});
    cluster->clocks.assign(width_ * width_, 0);
    cluster->completion.assign(cluster->slots.size() * width_, 0);
    cluster->gathering.assign(cluster->slots.size() * width_, 0);
    cluster->waited.assign(cluster->slots.size() * width_, 0);
    cluster->ready.clear();
    cluster->running = width_;
    std::size_t c = 0;
    for (std::size_t block = 0; block < blocks; ++block) {
      for (const Ring& ring : rings_) {
        if (!ring.initially_complete) continue;
        for (int64_t slot = 0; slot < ring.slots; ++slot) {
          cluster->slots[block * slots_per_block_ + ring.first + static_cast<std::size_t>(slot)]
              .completed = 1;
        }
      }
      for (std::size_t role = 0; role < kernel_.roles.size(); ++role) {
        for (int64_t copy = 0; copy < kernel_.roles[role].copies; ++copy, ++c) {
          Context& context = cluster->contexts[c];
          context.role = static_cast<std::uint16_t>(role);
          context.pc = entry_[role];
          context.rank = static_cast<int64_t>(block);
          context.copy = copy;
          context.variables[var_cluster] = index;
          context.variables[var_rank] = context.rank;
          context.variables[var_copy] = copy;
          for (std::size_t r = 0; r < rings_.size(); ++r) {
            if (rings_[r].initially_complete) cluster->arrives[c * rings_.size() + r] = {1, 0};
          }
        }
      }
    }
    for (std::size_t i = width_; i > 0; --i) cluster->ready.push_back(i - 1);
    active_[index] = cluster;
    return cluster;
  }

  /// Runs the cluster until nothing of it is ready. False: the kernel cannot go on.
  bool run(Cluster& cluster) {
    current_ = &cluster;
    while (!cluster.ready.empty()) {
      const std::size_t c = cluster.ready.back();
      cluster.ready.pop_back();
      if (!run(cluster, c)) return false;
    }
    return true;
  }

  bool evaluate(const Expression& e, const int64_t* variables, int64_t& value) const {
    value = e.constant;
    bool overflow = false;
    for (std::uint32_t i = e.first; i < e.first + e.count; ++i) {
      int64_t product = 0;
      overflow |= __builtin_mul_overflow(terms_[i].coefficient, variables[terms_[i].var], &product);
      overflow |= __builtin_add_overflow(value, product, &value);
    }
    return !overflow;
  }

  bool run(Cluster& cluster, std::size_t c) {
    Context& context = cluster.contexts[c];
    context.state = State::ready;
    int64_t* const v = context.variables;
    for (;;) {
      const Step& step = steps_[context.pc];
      if (result_.steps >= limits_.max_steps) {
        too_long(&step, fmt::format("more than {} steps", limits_.max_steps));
        return false;
      }
      ++result_.steps;
      ++executed_[context.pc];
      switch (step.opcode) {
        case Opcode::loop_begin: {
          int64_t begin = 0, end = 0, by = 0;
          if (!evaluate(step.a, v, begin) || !evaluate(step.b, v, end) ||
              !evaluate(step.c, v, by)) {
            return overflow(step);
          }
          if (by < 1) return arithmetic(step, fmt::format("a step of {}; steps are positive", by));
          const int64_t iterations = trips(begin, end, by);
          if (iterations == 0) {
            context.pc = step.jump;
            break;
          }
          if (saturating_multiply(iterations, step.body_steps) >
              limits_.max_steps - result_.steps) {
            too_long(&step, fmt::format("a loop of {} iterations", iterations));
            return false;
          }
          v[step.var] = begin;
          ++context.pc;
          break;
        }
        case Opcode::loop_next: {
          int64_t end = 0, by = 0, next = 0;
          if (!evaluate(step.b, v, end) || !evaluate(step.c, v, by)) return overflow(step);
          if (by < 1) return arithmetic(step, fmt::format("a step of {}; steps are positive", by));
          if (__builtin_add_overflow(v[step.var], by, &next)) return overflow(step);
          if (next < end) {
            v[step.var] = next;
            context.pc = step.jump;
          } else {
            ++context.pc;
          }
          break;
        }
        case Opcode::let:
          if (!let(step, v)) return false;
          ++context.pc;
          break;
        case Opcode::raster:
          if (!raster(step, v)) return false;
          ++context.pc;
          break;
        case Opcode::wait:
          if (!wait(cluster, c, step)) return true;
          ++context.pc;
          break;
        case Opcode::arrive: {
          Position& position = cluster.arrives[c * rings_.size() + step.object];
          const Position here = position;
          move_on(position, rings_[step.object]);
          const int64_t first = step.cluster ? 0 : context.rank;
          const int64_t last = step.cluster ? kernel_.cluster - 1 : context.rank;
          ++cluster.clocks[c * width_ + c];
          for (int64_t rank = first; rank <= last; ++rank) {
            if (!arrive(cluster, c, step, rank, here, 0)) return false;
          }
          ++context.pc;
          break;
        }
        case Opcode::expect: {
          Position& position = cluster.arrives[c * rings_.size() + step.object];
          context.expect_ring = step.object;
          context.expect = position;
          context.expect_clock = ++cluster.clocks[c * width_ + c];
          move_on(position, rings_[step.object]);
          if (!arrive(cluster, c, step, context.rank, context.expect, step.x)) return false;
          ++context.pc;
          break;
        }
        case Opcode::load:
          if (!load(cluster, c, step)) return false;
          ++context.pc;
          break;
        case Opcode::store:
          if (!store(context, step)) return false;
          ++context.pc;
          break;
        case Opcode::mma:
          ++context.pending_mma;
          ++context.pc;
          break;
        case Opcode::mma_wait:
          context.pending_mma = std::min(context.pending_mma, step.x);
          ++context.pc;
          break;
        case Opcode::signal: {
          int64_t flag = 0;
          if (!evaluate(step.a, v, flag)) return overflow(step);
          if (!flag_exists(step, flag)) return false;
          ++context.pc;
          raise(flag);
          break;
        }
        case Opcode::await_signal: {
          int64_t flag = 0, count = 0;
          if (!evaluate(step.a, v, flag) || !evaluate(step.b, v, count)) return overflow(step);
          if (!flag_exists(step, flag)) return false;
          int64_t& awaited = awaited_[static_cast<std::size_t>(flag)];
          awaited = std::max(awaited, count);
          if (flags_[static_cast<std::size_t>(flag)] < count) {
            context.state = State::flag;
            context.blocked_flag = flag;
            context.blocked_count = count;
            waiting_[flag].push_back({active_.at(cluster.index), c});
            return true;
          }
          ++context.pc;
          break;
        }
        case Opcode::nothing:
          ++context.pc;
          break;
        case Opcode::end:
          --result_.steps;
          context.state = State::done;
          --cluster.running;
          if (context.pending_mma > 0) {
            report(Rule::unfinished, &step, context.role,
                   fmt::format("{} mma are never waited for; add mma_wait 0", context.pending_mma));
          }
          return true;
      }
    }
  }

  bool let(const Step& step, int64_t* v) {
    int64_t a = 0, b = 0;
    if (!evaluate(step.a, v, a) || !evaluate(step.b, v, b)) return overflow(step);
    if ((step.let_op == LetOp::div || step.let_op == LetOp::mod) && b < 1) {
      return arithmetic(step, fmt::format("division by {}; divisors are positive", b));
    }
    switch (step.let_op) {
      case LetOp::set:
        break;
      case LetOp::div:
        a = a / b - (a % b < 0 ? 1 : 0);
        break;
      case LetOp::mod:
        a = a % b + (a % b < 0 ? b : 0);
        break;
      case LetOp::min:
        a = std::min(a, b);
        break;
      case LetOp::max:
        a = std::max(a, b);
        break;
    }
    v[step.var] = a;
    return true;
  }

  bool raster(const Step& step, int64_t* v) {
    int64_t index = 0, rows = 0, cols = 0, per_group = 0;
    if (!evaluate(step.a, v, index) || !evaluate(step.b, v, rows) || !evaluate(step.c, v, cols) ||
        __builtin_mul_overflow(step.x, cols, &per_group)) {
      return overflow(step);
    }
    if (rows < 1 || cols < 1) {
      return arithmetic(step, fmt::format("a grid of {} x {}; both are at least 1", rows, cols));
    }
    if (index < 0 || index / cols >= rows) {
      return arithmetic(step, fmt::format("tile {} of a grid of {} x {}", index, rows, cols));
    }
    const int64_t group = index / per_group, inside = index % per_group;
    const int64_t height = std::min(step.x, rows - group * step.x);
    v[step.var] = group * step.x + inside % height;
    v[step.var2] = inside / height;
    return true;
  }

  // --- barriers ---

  static void move_on(Position& position, const Ring& ring) {
    if (++position.slot == ring.slots) {
      position.slot = 0;
      ++position.generation;
    }
  }
  static int64_t phase(const Position& position, const Ring& ring) {
    return position.generation * ring.slots + position.slot;
  }
  std::size_t slot_index(int64_t rank, const Ring& ring, const Position& position) const {
    return static_cast<std::size_t>(rank) * slots_per_block_ + ring.first +
           static_cast<std::size_t>(position.slot);
  }
  void join(Clock* into, const Clock* from) const {
    for (std::size_t i = 0; i < width_; ++i) into[i] = std::max(into[i], from[i]);
  }

  /// True: the phase is complete and the context has moved on to the next; false: it is blocked.
  bool wait(Cluster& cluster, std::size_t c, const Step& step) {
    Context& context = cluster.contexts[c];
    const Ring& ring = rings_[step.object];
    Position& position = cluster.waits[c * rings_.size() + step.object];
    const std::size_t s = slot_index(context.rank, ring, position);
    const Slot& slot = cluster.slots[s];
    if (slot.completed <= position.generation) {
      context.state = State::barrier;
      context.blocked_ring = step.object;
      --result_.steps;  // it is taken again when the phase completes
      --executed_[context.pc];
      return false;
    }
    if (slot.completed > position.generation + 1) {
      report(Rule::barrier, &step, context.role,
             fmt::format("phase {} of barrier {} may be over before this wait: {} phases later its "
                         "slot is complete again; let the ring's arrivals depend on this context",
                         phase(position, ring), kernel_.barriers[step.object].name, ring.slots));
    } else {
      join(&cluster.clocks[c * width_], &cluster.completion[s * width_]);
      if (slot.refilling) {
        report(Rule::barrier, &step, context.role,
               fmt::format("phase {} of barrier {} may be overwritten before this wait: a load of "
                           "phase {} lands without this context having released the slot",
                           phase(position, ring), kernel_.barriers[step.object].name,
                           phase(position, ring) + ring.slots));
      }
    }
    cluster.waited[s * width_ + c] = ++cluster.clocks[c * width_ + c];
    move_on(position, ring);
    return true;
  }

  /// Arrives at a phase of a block and announces bytes. False: the kernel cannot go on.
  bool arrive(Cluster& cluster, std::size_t c, const Step& step, int64_t rank,
              const Position& position, int64_t announced) {
    const Ring& ring = rings_[step.object];
    const std::size_t s = slot_index(rank, ring, position);
    if (!in_turn(cluster, c, step, step.object, rank, position, "arrives at")) return false;
    Slot& slot = cluster.slots[s];
    ++slot.arrivals;
    slot.bytes += announced;
    join(&cluster.gathering[s * width_], &cluster.clocks[c * width_]);
    complete_if_due(cluster, step.object, rank, s);
    return true;
  }

  /// Whether the phase is the one its slot is at, and could not have been reached earlier.
  bool in_turn(Cluster& cluster, std::size_t c, const Step& step, std::uint16_t ring_index,
               int64_t rank, const Position& position, std::string_view does) {
    const Ring& ring = rings_[ring_index];
    const std::size_t s = slot_index(rank, ring, position);
    const int64_t p = phase(position, ring);
    const std::string& barrier_name = kernel_.barriers[ring_index].name;
    if (cluster.slots[s].completed > position.generation) {
      report(Rule::barrier, &step, step.role,
             fmt::format("{} phase {} of barrier {} of block {}, which is complete already: there "
                         "are more than {} arrivals, or more bytes than announced",
                         does, p, barrier_name, cluster.index * kernel_.cluster + rank,
                         ring.arrivals));
      return false;
    }
    if (cluster.slots[s].completed < position.generation) {
      report(Rule::barrier, &step, step.role,
             fmt::format("{} phase {} of barrier {} of block {} while phase {} is not complete: "
                         "the slot would be refilled before its release",
                         does, p, barrier_name, cluster.index * kernel_.cluster + rank,
                         p - ring.slots));
      return false;
    }
    const Clock* const mine = &cluster.clocks[c * width_];
    const Clock* const needed = &cluster.completion[s * width_];
    bool ordered = true;
    for (std::size_t i = 0; i < width_; ++i) ordered &= needed[i] <= mine[i];
    if (ordered) return true;
    const auto unordered = static_cast<std::size_t>(
        std::mismatch(needed, needed + width_, mine, [](Clock a, Clock b) { return a <= b; })
            .first -
        needed);
    report(Rule::barrier, &step, step.role,
           fmt::format("may reach phase {} of barrier {} of block {} before {} has completed phase "
                       "{}: nothing orders the two",
                       p, barrier_name, cluster.index * kernel_.cluster + rank,
                       context_name(cluster, cluster.contexts[unordered]), p - ring.slots));
    return true;
  }

  void complete_if_due(Cluster& cluster, std::uint16_t ring_index, int64_t rank, std::size_t s) {
    Slot& slot = cluster.slots[s];
    const Ring& ring = rings_[ring_index];
    if (slot.arrivals < ring.arrivals || slot.bytes != 0) return;
    ++slot.completed;
    slot.arrivals = 0;
    slot.refilling = false;
    Clock* const gathering = &cluster.gathering[s * width_];
    std::copy(gathering, gathering + width_, &cluster.completion[s * width_]);
    std::fill(gathering, gathering + width_, 0);
    const std::size_t first = static_cast<std::size_t>(rank) * contexts_per_block_;
    for (std::size_t c = first; c < first + contexts_per_block_; ++c) {
      Context& context = cluster.contexts[c];
      // Whoever waited for the slot's phase before must have done so before this one could come.
      if (cluster.completion[s * width_ + c] < cluster.waited[s * width_ + c]) {
        report(Rule::barrier, nullptr, context.role,
               fmt::format("{} may still be waiting for a phase of barrier {} when the slot "
                           "completes again, {} phases later: nothing orders the two",
                           context_name(cluster, context), kernel_.barriers[ring_index].name,
                           ring.slots));
      }
      if (context.state != State::barrier || context.blocked_ring != ring_index) continue;
      const Position& position = cluster.waits[c * rings_.size() + ring_index];
      if (slot_index(rank, ring, position) == s && slot.completed > position.generation) {
        context.state = State::ready;
        cluster.ready.push_back(c);
      }
    }
  }

  bool load(Cluster& cluster, std::size_t c, const Step& step) {
    Context& context = cluster.contexts[c];
    bool inside = false;
    if (!touch(context, step, inside)) return false;
    if (context.expect_ring < 0) {
      report(Rule::barrier, &step, step.role, "a load before the first expect: no phase awaits it");
      return false;
    }
    const auto ring_index = static_cast<std::uint16_t>(context.expect_ring);
    const Ring& ring = rings_[ring_index];
    if (step.cluster) ++cluster.clocks[c * width_ + c];
    const int64_t first = step.cluster ? 0 : context.rank;
    const int64_t last = step.cluster ? kernel_.cluster - 1 : context.rank;
    for (int64_t rank = first; rank <= last; ++rank) {
      const std::size_t s = slot_index(rank, ring, context.expect);
      // At home, right after its own expect, a load adds nothing to what the expect has shown.
      if (rank != context.rank || cluster.slots[s].completed != context.expect.generation ||
          cluster.clocks[c * width_ + c] != context.expect_clock) {
        if (!in_turn(cluster, c, step, ring_index, rank, context.expect, "lands in")) return false;
        join(&cluster.gathering[s * width_], &cluster.clocks[c * width_]);
      }
      released(cluster, c, step, ring_index, rank, s);
      cluster.slots[s].bytes -= step.bytes;
      cluster.slots[s].refilling = true;
      complete_if_due(cluster, ring_index, rank, s);
    }
    return true;
  }

  /// A load may land only after all who waited for the slot's phase before have arrived somewhere
  /// since (they read what it held), and the loader knows of it.
  void released(const Cluster& cluster, std::size_t c, const Step& step, std::uint16_t ring_index,
                int64_t rank, std::size_t s) {
    const std::size_t first = static_cast<std::size_t>(rank) * contexts_per_block_;
    const Clock* const known = &cluster.clocks[c * width_];
    const Clock* const waited = &cluster.waited[s * width_];
    for (std::size_t i = first; i < first + contexts_per_block_; ++i) {
      if (waited[i] < known[i] || waited[i] == 0 || i == c) continue;
      report(Rule::barrier, &step, step.role,
             fmt::format("lands in a slot of barrier {} that {} may still be reading: nothing "
                         "orders the load after its release",
                         kernel_.barriers[ring_index].name,
                         context_name(cluster, cluster.contexts[i])));
      return;
    }
  }

  // --- memory ---

  bool touch(const Context& context, const Step& step, bool& inside) {
    int64_t row = 0, col = 0;
    if (!evaluate(step.a, context.variables, row) || !evaluate(step.b, context.variables, col)) {
      return overflow(step);
    }
    last_row_ = row;
    last_col_ = col;
    inside = row >= 0 && row < step.height && col >= 0 && col < step.width;
    InstructionUse& use = result_.uses[step.role][step.index];
    if (!inside) {
      report(Rule::bounds, &step, step.role,
             fmt::format("origin [{}, {}] is outside tensor {} of {} x {}", row, col,
                         section_.tensors[step.object].name, step.height, step.width));
      return true;
    }
    const int64_t rows = std::min(step.x, step.height - row);
    const int64_t cols = std::min(step.y, step.width - col);
    // At most 2e9 steps of at most 2^31 elements: below 2^63.
    use.elements += rows * cols;
    Region& touched = use.touched;
    if (touched.empty()) {
      touched = {row, row + rows, col, col + cols};
    } else {
      touched.row_begin = std::min(touched.row_begin, row);
      touched.row_end = std::max(touched.row_end, row + rows);
      touched.col_begin = std::min(touched.col_begin, col);
      touched.col_end = std::max(touched.col_end, col + cols);
    }
    return true;
  }

  bool store(const Context& context, const Step& step) {
    bool inside = false;
    if (!touch(context, step, inside)) return false;
    if (!inside || step.reduce) return true;
    auto found = result_.writes.find(step.object);
    if (found == result_.writes.end()) {
      found = result_.writes
                  .emplace(step.object, WriteMap(step.height, step.width, limits_.max_write_cells))
                  .first;
    }
    switch (found->second.add(last_row_, last_col_, step.x, step.y)) {
      case WriteMap::Added::fresh:
        break;
      case WriteMap::Added::overlap:
        report(Rule::written_twice, &step, step.role,
               fmt::format("the box at [{}, {}] of tensor {} has elements that this kernel has "
                           "already written",
                           last_row_, last_col_, section_.tensors[step.object].name));
        break;
      case WriteMap::Added::too_fine:
        too_long(&step, fmt::format("boxes of tensor {} that share no grid",
                                    section_.tensors[step.object].name));
        return false;
    }
    return true;
  }

  // --- flags ---

  bool flag_exists(const Step& step, int64_t flag) {
    if (flag >= 0 && flag < static_cast<int64_t>(flags_.size())) return true;
    report(Rule::bounds, &step, step.role,
           fmt::format("flag {} does not exist; the kernel has {}", flag, flags_.size()));
    return false;
  }

  void raise(int64_t flag) {
    const int64_t count = ++flags_[static_cast<std::size_t>(flag)];
    const auto found = waiting_.find(flag);
    if (found == waiting_.end()) return;
    auto& list = found->second;
    for (std::size_t i = 0; i < list.size();) {
      Cluster& cluster = *list[i].first;
      Context& context = cluster.contexts[list[i].second];
      if (context.blocked_count > count) {
        ++i;
        continue;
      }
      context.state = State::ready;
      --result_.steps;  // the await is taken again
      --executed_[context.pc];
      if (cluster.ready.empty() && &cluster != current_) woken_.push_back(list[i].first);
      cluster.ready.push_back(list[i].second);
      list[i] = std::move(list.back());
      list.pop_back();
    }
    if (list.empty()) waiting_.erase(found);
  }

  void check_flags() {
    for (std::size_t flag = 0; flag < flags_.size(); ++flag) {
      if (flags_[flag] <= std::max<int64_t>(awaited_[flag], 0)) continue;
      report(Rule::signal, nullptr, no_role,
             fmt::format("flag {} is raised {} times, but awaited only up to {}", flag,
                         flags_[flag], awaited_[flag]),
             Severity::warning);
    }
  }

  // --- ends ---

  /// The end of a cluster. False: the kernel cannot go on.
  bool retire(Cluster& cluster) {
    bool balanced = true;
    for (int64_t rank = 0; rank < kernel_.cluster; ++rank) {
      for (std::size_t r = 0; r < rings_.size(); ++r) {
        const Ring& ring = rings_[r];
        int64_t complete = 0;
        for (int64_t i = 0; i < ring.slots; ++i) {
          const Slot& slot = cluster.slots[slot_index(rank, ring, {0, i})];
          complete += slot.completed;
          if (slot.arrivals == 0 && slot.bytes == 0) continue;
          balanced = false;
          report(
              Rule::barrier, nullptr, no_role,
              fmt::format("block {} ends in the middle of phase {} of barrier {}: {} of {} "
                          "arrivals, {} bytes announced and not landed",
                          cluster.index * kernel_.cluster + rank, slot.completed * ring.slots + i,
                          kernel_.barriers[r].name, slot.arrivals, ring.arrivals, slot.bytes));
        }
        if (!ring.expects || ring.initially_complete) continue;
        int64_t waited = 0;
        for (std::size_t c = 0; c < contexts_per_block_; ++c) {
          const std::size_t context = static_cast<std::size_t>(rank) * contexts_per_block_ + c;
          waited = std::max(waited, phase(cluster.waits[context * rings_.size() + r], ring));
        }
        if (waited < complete) {
          report(Rule::unfinished, nullptr, no_role,
                 fmt::format("block {}: of {} phases of loads on barrier {}, the last {} are never "
                             "waited for",
                             cluster.index * kernel_.cluster + rank, complete,
                             kernel_.barriers[r].name, complete - waited));
        }
      }
    }
    return balanced;
  }

  void deadlock(int64_t not_started) {
    Finding finding = place(Rule::deadlock, nullptr, no_role);
    finding.what = "nothing can go on, and not every context has ended";
    if (not_started > 0) {
      finding.what += fmt::format("; {} clusters cannot start before others end", not_started);
    }
    constexpr std::size_t shown = 24;
    std::size_t blocked = 0;
    for (const auto& [index, cluster] : active_) {
      for (const Context& context : cluster->contexts) {
        if (context.state == State::done) continue;
        if (++blocked <= shown) finding.details.push_back(explain(*cluster, context));
      }
    }
    if (blocked > shown) finding.details.push_back(fmt::format("and {} more", blocked - shown));
    result_.findings.push_back(std::move(finding));
  }

  std::string explain(const Cluster& cluster, const Context& context) {
    const std::string who = context_name(cluster, context);
    if (context.state == State::flag) {
      return fmt::format("{} waits for flag {} to reach {}: it is at {}", who, context.blocked_flag,
                         context.blocked_count,
                         flags_[static_cast<std::size_t>(context.blocked_flag)]);
    }
    if (context.state != State::barrier) return who + " could go on";
    const Ring& ring = rings_[context.blocked_ring];
    const auto c = static_cast<std::size_t>(&context - cluster.contexts.data());
    const Position& position = cluster.waits[c * rings_.size() + context.blocked_ring];
    const Slot& slot = cluster.slots[slot_index(context.rank, ring, position)];
    std::string text = fmt::format(
        "{} waits for phase {} of barrier {}: {} of {} arrivals", who, phase(position, ring),
        kernel_.barriers[context.blocked_ring].name, slot.arrivals, ring.arrivals);
    if (slot.bytes != 0) text += fmt::format(", {} bytes announced and not landed", slot.bytes);
    // Contexts that arrive there, and what became of them.
    std::vector<std::string> missing;
    for (std::size_t other = 0; other < cluster.contexts.size(); ++other) {
      const Context& arriver = cluster.contexts[other];
      const bool remote = arriver.rank != context.rank;
      if (!arrives(arriver.role, context.blocked_ring, remote)) continue;
      const Position& at = cluster.arrives[other * rings_.size() + context.blocked_ring];
      if (phase(at, ring) > phase(position, ring)) continue;
      missing.push_back(context_name(cluster, arriver) +
                        (arriver.state == State::done      ? " has ended"
                         : arriver.state == State::flag    ? " waits for a flag"
                         : arriver.state == State::barrier ? " waits too"
                                                           : ""));
    }
    if (missing.empty()) {
      text += slot.arrivals < ring.arrivals ? "; nobody is left to arrive" : "";
    } else {
      constexpr std::size_t shown = 6;
      if (missing.size() > shown) missing.resize(shown);
      text += fmt::format("; still to arrive: {}", fmt::join(missing, ", "));
    }
    return text;
  }

  bool arrives(std::size_t role, std::uint16_t ring, bool remotely) const {
    for (const Instruction& instruction : kernel_.roles[role].code) {
      const auto* arrive = std::get_if<Arrive>(&instruction);
      if (arrive != nullptr && arrive->barrier == ring && (!remotely || arrive->cluster)) {
        return true;
      }
      const auto* expect = std::get_if<Expect>(&instruction);
      if (expect != nullptr && expect->barrier == ring && !remotely) return true;
    }
    return false;
  }

  // --- reports ---

  static constexpr int no_role = -1;

  std::string context_name(const Cluster& cluster, const Context& context) const {
    return fmt::format("{}[{}] of block {}", kernel_.roles[context.role].name, context.copy,
                       cluster.index * kernel_.cluster + context.rank);
  }

  Finding place(Rule rule, const Step* step, int role) const {
    Finding finding;
    finding.rule = rule;
    finding.section = section_.name;
    finding.kernel = kernel_.name;
    if (role != no_role) finding.role = kernel_.roles[static_cast<std::size_t>(role)].name;
    if (step != nullptr && step->opcode != Opcode::end) {
      const Role& code = kernel_.roles[step->role];
      finding.instruction = to_text(code.code[step->index], code, kernel_, section_);
    }
    return finding;
  }

  void report(Rule rule, const Step* step, int role, std::string what,
              Severity severity = Severity::error) {
    const auto key =
        std::make_tuple(rule, step == nullptr ? -1 : static_cast<int>(step - steps_.data()), role);
    const auto [found, fresh] = reported_.emplace(key, result_.findings.size());
    if (!fresh) {
      if (found->second < max_findings) ++result_.findings[found->second].occurrences;
      return;
    }
    if (result_.findings.size() >= max_findings) {
      found->second = max_findings;
      return;
    }
    Finding finding = place(rule, step, role);
    finding.what = std::move(what);
    finding.severity = severity;
    result_.findings.push_back(std::move(finding));
  }

  bool arithmetic(const Step& step, std::string what) {
    report(Rule::arithmetic, &step, step.role, std::move(what));
    return false;
  }
  bool overflow(const Step& step) { return arithmetic(step, "a value beyond 64 bits"); }
  void too_long(const Step* step, const std::string& what) {
    report(Rule::too_long, step, step == nullptr ? no_role : step->role,
           "too long to prove: " + what);
  }

  KernelExecution finish(bool complete) {
    result_.complete = complete;
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      const Step& step = steps_[i];
      if (step.opcode != Opcode::end) {
        result_.uses[step.role][step.index].executed = executed_[i];
      }
    }
    return std::move(result_);
  }

  const Section& section_;
  const Kernel& kernel_;
  const ExecutionLimits limits_;
  std::vector<Step> steps_;
  std::vector<Expr::Term> terms_;
  std::vector<std::uint32_t> entry_;  // first step by role
  std::vector<Ring> rings_;
  std::size_t slots_per_block_ = 0, contexts_per_block_ = 0;
  std::size_t width_ = 0;  // contexts of a cluster
  std::vector<int64_t> executed_;
  std::vector<int64_t> flags_, awaited_;
  int64_t last_row_ = 0, last_col_ = 0;  // origin of the box just touched
  std::map<int64_t, std::shared_ptr<Cluster>> active_;
  std::vector<std::shared_ptr<Cluster>> spare_;
  std::deque<std::shared_ptr<Cluster>> woken_;
  std::map<int64_t, std::vector<std::pair<std::shared_ptr<Cluster>, std::size_t>>> waiting_;
  std::map<std::tuple<Rule, int, int>, std::size_t> reported_;
  const Cluster* current_ = nullptr;  // the one that runs
  KernelExecution result_;
};

}  // namespace

KernelExecution execute(const Section& section, const Kernel& kernel,
                        const ExecutionLimits& limits) {
  return Execution(section, kernel, limits).run();
}

}  // namespace tessera

#include "sim/report/figures.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>

namespace tessera {
namespace {

constexpr std::int64_t max_count = std::numeric_limits<std::int64_t>::max();

std::int64_t add(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? max_count : sum;
}

std::int64_t multiply(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? max_count : product;
}

double ratio(double numerator, double denominator) {
  if (!(denominator > 0)) return 0;
  const double quotient = numerator / denominator;
  return std::isfinite(quotient) ? quotient : 0;
}

double finite(double value) { return std::isfinite(value) ? value : 0; }

/// Adds `times` executions of `op` to `sum`; the ratios are derive()'s.
void accumulate(Figures& sum, const OpResult& op, std::int64_t times) {
  sum.cycles = add(sum.cycles, multiply(op.cycles.value, times));
  sum.flops = add(sum.flops, multiply(op.flops.value, times));
  sum.tensor_flops = add(sum.tensor_flops, multiply(op.tensor_flops.value, times));
  sum.hbm_read = add(sum.hbm_read, multiply(op.hbm_read.value, times));
  sum.hbm_write = add(sum.hbm_write, multiply(op.hbm_write.value, times));
  sum.l2_read = add(sum.l2_read, multiply(op.l2_read.value, times));
  sum.l2_hit = add(sum.l2_hit, multiply(op.l2_hit.value, times));
  sum.roofline_us += finite(op.roofline_us) * static_cast<double>(times);
  sum.energy_j += finite(op.energy_j) * static_cast<double>(times);
  for (std::size_t i = 0; i < cause_count; ++i)
    sum.core_cycles[i] = add(sum.core_cycles[i], multiply(op.core_cycles[i], times));
}

void derive(Figures& f, const RunResult& run) {
  const double cycles = static_cast<double>(f.cycles);
  f.time_us = ratio(cycles, run.clock_mhz);
  f.tflops = ratio(static_cast<double>(f.flops), f.time_us) * 1e-6;
  f.tensor_core_utilization =
      ratio(static_cast<double>(f.tensor_flops), run.peak_flops_per_cycle * cycles);
  f.hbm_gbps = ratio(static_cast<double>(f.hbm_bytes()), f.time_us) * 1e-3;
  f.hbm_utilization = ratio(f.hbm_gbps, run.hbm_peak_gbps);
  f.l2_hit_rate = ratio(static_cast<double>(f.l2_hit), static_cast<double>(f.l2_read));
  f.roofline_fraction = ratio(f.roofline_us, f.time_us);
  f.power_w = ratio(f.energy_j, f.time_us) * 1e6;
  f.stalls = fractions(f.core_cycles);
}

std::int64_t total_cycles(const RunResult& run) {
  std::int64_t cycles = 0;
  for (const OpResult& op : run.ops) cycles = add(cycles, multiply(op.cycles.value, op.repeat));
  return cycles;
}

/// The bound with the most cycles; the first in declaration order among equals.
class BoundVote {
 public:
  void add_cycles(Bound bound, std::int64_t cycles) {
    std::int64_t& sum = cycles_[static_cast<std::size_t>(bound)];
    sum = add(sum, cycles);
  }
  Bound winner() const {
    const auto best = std::max_element(cycles_.begin(), cycles_.end());
    return *best > 0 ? static_cast<Bound>(best - cycles_.begin()) : Bound::latency;
  }

 private:
  std::array<std::int64_t, 6> cycles_{};
};

}  // namespace

std::int64_t Figures::hbm_bytes() const { return add(hbm_read, hbm_write); }

Stalls fractions(const CoreCycles& core_cycles) {
  Stalls stalls{};
  double total = 0;
  for (const std::int64_t cycles : core_cycles) total += static_cast<double>(cycles);
  if (!(total > 0)) return stalls;
  // As multiples of 2^-50 that sum to 2^50 the fractions add up to 1 exactly, in any order: every
  // partial sum is representable. The largest takes what rounding left over.
  constexpr std::int64_t one = std::int64_t{1} << 50;
  std::array<std::int64_t, cause_count> shares{};
  std::int64_t left_over = one;
  for (std::size_t i = 0; i < cause_count; ++i) {
    shares[i] =
        std::llround(static_cast<double>(core_cycles[i]) / total * static_cast<double>(one));
    left_over -= shares[i];
  }
  *std::max_element(shares.begin(), shares.end()) += left_over;
  for (std::size_t i = 0; i < cause_count; ++i)
    stalls[i] = static_cast<double>(shares[i]) / static_cast<double>(one);
  return stalls;
}

std::vector<Figures> op_figures(const RunResult& run) {
  const double all = static_cast<double>(total_cycles(run));
  std::vector<Figures> result;
  result.reserve(run.ops.size());
  for (const OpResult& op : run.ops) {
    Figures f;
    f.repeat = op.repeat;
    accumulate(f, op, 1);
    derive(f, run);
    f.bound = op.bound;
    f.time_share = ratio(static_cast<double>(multiply(op.cycles.value, op.repeat)), all);
    result.push_back(f);
  }
  return result;
}

Figures figures(const RunResult& run) {
  Figures f;
  BoundVote vote;
  for (const OpResult& op : run.ops) {
    accumulate(f, op, op.repeat);
    vote.add_cycles(op.bound, multiply(op.cycles.value, op.repeat));
  }
  derive(f, run);
  f.bound = vote.winner();
  f.time_share = f.cycles > 0 ? 1 : 0;
  return f;
}

std::string unnumbered(const std::string& name) {
  const std::size_t open = name.find('[');
  if (open == std::string::npos) return name;
  const std::size_t close = name.find_first_not_of("0123456789,-", open + 1);
  if (close == open + 1 || close == std::string::npos || name[close] != ']') return name;
  return unnumbered(name.substr(0, open) + name.substr(close + 1));
}

std::vector<OpGroup> group_ops(const RunResult& run) {
  std::vector<OpGroup> groups;
  std::vector<BoundVote> votes;
  std::map<std::tuple<std::string, std::string, std::string>, std::size_t> index;
  for (const OpResult& op : run.ops) {
    const auto found =
        index.try_emplace({unnumbered(op.name), op.kind, op.precision}, groups.size());
    if (found.second) {
      groups.push_back({unnumbered(op.name), &op, Figures{}});
      groups.back().total.repeat = 0;
      votes.emplace_back();
    }
    OpGroup& group = groups[found.first->second];
    group.total.repeat = add(group.total.repeat, op.repeat);
    accumulate(group.total, op, op.repeat);
    votes[found.first->second].add_cycles(op.bound, multiply(op.cycles.value, op.repeat));
  }
  const double all = static_cast<double>(total_cycles(run));
  for (std::size_t i = 0; i < groups.size(); ++i) {
    Figures& f = groups[i].total;
    derive(f, run);
    f.bound = votes[i].winner();
    f.time_share = ratio(static_cast<double>(f.cycles), all);
  }
  return groups;
}

double peak_tflops(const RunResult& run) {
  return finite(run.peak_flops_per_cycle * run.clock_mhz * 1e-6);
}

}  // namespace tessera

#include "sim/engine/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>
#include <variant>

#include "sim/frontend/lowering_section.h"
#include "sim/frontend/roofline.h"
#include "sim/trace/repetition.h"

namespace tessera {
namespace {

// The shorter run lasts about this long, and as much is between the two: long beside what items
// differ by chance (a refresh, a queue), some 0.1 us.
constexpr double least_us = 40;
// A glimpse lasts about this long: long beside the beginning of a kernel.
constexpr double least_glimpse_us = 15;
// Both are shorter where a kernel is a small part of its section, down to this part.
constexpr double least_weight = 0.25;
// Until a kernel's items follow each other at the pace that they keep.
constexpr double begin_us = 2;
// A period of many waves begins with one of long items and ends with one of short ones; where it
// has few, or less than two, a wave has items of more lengths, and more waves are taken.
constexpr std::int64_t long_period = 8, short_period = 2;
constexpr std::int64_t waves_of_long = 1, waves_between = 2, waves_of_short = 4;
// What is left out and what lies between the runs may differ in length, item for item, by so much:
// a wave of long and one of short items from what falls steadily, edges of tensors from all others.
constexpr double most_uneven = 0.3, most_edges = 0.05;
// What kernels reach of their roofline, about.
constexpr double achieved_share = 0.75;

/// Items that a run leaves out.
struct Window {
  std::int64_t first = 0, end = 0;
};

/// How the items of a kernel come to the cores.
struct Waves {
  std::int64_t items = 0;  ///< of a wave
  std::int64_t count = 0;
  double us = 0;        ///< a wave takes about this long
  bool uneven = false;  ///< items are of different lengths

  /// Waves that take about `least`.
  std::int64_t lasting(double least) const {
    return static_cast<std::int64_t>(
        std::min(std::ceil(least / us), 1.0 + static_cast<double>(count)));
  }
  /// All but so many waves from the beginning and from the end.
  Window without(std::int64_t begin, std::int64_t end) const {
    return {begin * items, (count - end) * items};
  }
};

/// What the runs leave out of a kernel.
struct Cut {
  Window shorter, longer;
  double times = 0;  ///< work that the longer run leaves out / that only the shorter one does
};

/// By number, those that a kernel's loads or stores name.
template <class Access>
std::set<std::uint16_t> tensors_of(const Kernel& kernel) {
  std::set<std::uint16_t> tensors;
  for (const Role& role : kernel.roles) {
    for (const Instruction& instruction : role.code) {
      if (const auto* access = std::get_if<Access>(&instruction)) tensors.insert(access->tensor);
    }
  }
  return tensors;
}

Kernel without(const Kernel& kernel, const Repetition& repetition, const Window& window) {
  return without_items(kernel, repetition, window.first, window.end - window.first);
}

/// About what a kernel takes: the roofline of its operation, of which most have one kernel with
/// products, or, if it multiplies no matrices, the time of its tensors on the way from and to
/// memory, each once.
double whole_kernel_us(const Section& section, const Kernel& kernel, const ChipConfig& chip) {
  const OpRecord& op = section.ops[static_cast<std::size_t>(kernel.op)];
  double us = roofline(op, chip, chip.clock.core_mhz).us();
  const bool multiplies =
      std::any_of(kernel.roles.begin(), kernel.roles.end(), [](const Role& role) {
        return std::any_of(role.code.begin(), role.code.end(),
                           [](const Instruction& i) { return std::holds_alternative<Mma>(i); });
      });
  if (!multiplies) {
    std::set<std::uint16_t> moved = tensors_of<Load>(kernel);
    moved.merge(tensors_of<Store>(kernel));
    double bytes = 0;
    for (const std::uint16_t tensor : moved) {
      bytes += static_cast<double>(section.tensors[tensor].size().value);
    }
    us = std::min(us, bytes / (chip.hbm.bandwidth_gbps * 1e3));
  }
  return us / achieved_share;
}

/// Items at a kernel's end that leave the L2 to the kernels behind it as all of them would: those
/// that write as much as it holds of what these kernels read.
std::int64_t items_left_behind(const Section& section, std::size_t kernel, std::int64_t items,
                               const ChipConfig& chip) {
  std::set<std::uint16_t> written = tensors_of<Store>(section.kernels[kernel]), read;
  for (std::size_t i = kernel + 1; i < section.kernels.size(); ++i) {
    read.merge(tensors_of<Load>(section.kernels[i]));
  }
  double bytes = 0;
  for (const std::uint16_t tensor : written) {
    if (read.count(tensor) > 0) bytes += static_cast<double>(section.tensors[tensor].size().value);
  }
  const double held = static_cast<double>(chip.l2.size_mib) * 1024 * 1024;
  return static_cast<std::int64_t>(
      std::ceil(static_cast<double>(items) * (bytes <= held ? bytes > 0 : held / bytes)));
}

Waves waves_of(const Kernel& kernel, const Repetition& repetition, const ChipConfig& chip,
               double us) {
  const std::int64_t places = resident_blocks(kernel, chip) * chip.core.count;
  Waves waves;
  if (repetition.looped) {
    waves.items = repetition.step;
  } else {
    waves.items = std::max<std::int64_t>(1, places / kernel.cluster);
    waves.uneven = repetition.period > 1;
  }
  waves.count = repetition.items / waves.items;
  waves.us = us * static_cast<double>(waves.items) / static_cast<double>(repetition.items);
  return waves;
}

/// `behind`: items that the kernel's end needs; `least`: for how long the shorter run lasts, in us.
std::optional<Cut> cut_of(const Kernel& kernel, const Repetition& repetition, const Waves& waves,
                          std::int64_t behind, double least) {
  Cut cut;
  std::int64_t begin = 0, end = ceil_div(behind, waves.items), more = 0;
  if (waves.uneven) {
    // They are handed out as places fall free, long ones first: both runs have as many waves of the
    // beginning as of the end, and more of them where a wave has items of every length.
    const std::int64_t least_waves = repetition.period >= long_period * waves.items ? waves_of_long
                                     : repetition.period >= short_period * waves.items
                                         ? waves_between
                                         : waves_of_short;
    begin = more = std::max(least_waves, waves.lasting(least / 2));
    end = std::max(end, more);
    if (2 * (begin + end + more) > waves.count) return std::nullopt;
    cut.longer = waves.without(begin + more, end + more);
  } else {
    more = waves.lasting(least);
    begin = ceil_div(more + 1, 2);
    end = std::max(end, more + 1 - begin);
    if (2 * (begin + end) + more > waves.count) return std::nullopt;
    cut.longer = waves.without(begin + more, end);
  }
  cut.shorter = waves.without(begin, end);
  const auto steps = [&](std::int64_t from, std::int64_t to) {
    return steps_of_items(kernel, repetition, from, to - from);
  };
  const auto inside = steps(cut.longer.first, cut.longer.end);
  const auto left = steps(cut.shorter.first, cut.longer.first);
  const auto right = steps(cut.longer.end, cut.shorter.end);
  if (!inside || !left || !right || *left + *right <= 0) return std::nullopt;
  cut.times = *inside / (*left + *right);
  const double items =
      static_cast<double>(cut.longer.end - cut.longer.first) /
      static_cast<double>(cut.longer.first - cut.shorter.first + cut.shorter.end - cut.longer.end);
  if (std::abs(cut.times / items - 1) > (waves.uneven ? most_uneven : most_edges))
    return std::nullopt;
  return cut;
}

/// Cuts a kernel to a glimpse of `least` us or more; returns the part of its work that stays.
double cut_to_glimpse(Kernel& kernel, const Repetition& repetition, const Waves& waves,
                      double least) {
  const std::int64_t kept = waves.lasting(least / (waves.uneven ? 2 : 1));
  const std::int64_t end = waves.uneven ? kept : 0;
  if (2 * (kept + end) > waves.count) return 1;
  const Window window = waves.without(kept, end);
  const auto out = steps_of_items(kernel, repetition, window.first, window.end - window.first);
  const auto begin = steps_of_items(kernel, repetition, 0, window.first);
  const auto rest = steps_of_items(kernel, repetition, window.end, repetition.items - window.end);
  if (!out || !begin || !rest || *begin + *rest <= 0) return 1;
  kernel = without(kernel, repetition, window);
  return (*begin + *rest) / (*begin + *rest + *out);
}

/// Every count of a kernel by itself.
template <class Function>
void for_each_count(KernelRecord& a, const KernelRecord& b, const Function& f) {
  for (std::size_t c = 0; c < cause_count; ++c) f(a.core_cycles[c], b.core_cycles[c]);
  f(a.l2.read_bytes, b.l2.read_bytes);
  f(a.l2.hit_bytes, b.l2.hit_bytes);
  f(a.l2.write_bytes, b.l2.write_bytes);
  f(a.l2.hbm_read_bytes, b.l2.hbm_read_bytes);
  f(a.l2.hbm_write_bytes, b.l2.hbm_write_bytes);
  f(a.cores.tensor_flops, b.cores.tensor_flops);
  f(a.cores.vector_flops, b.cores.vector_flops);
  f(a.cores.operand_bytes, b.cores.operand_bytes);
  f(a.cores.link_bytes, b.cores.link_bytes);
  f(a.cores.exchange_bytes, b.cores.exchange_bytes);
}

/// Each cycle of each core is charged to a cause.
std::int64_t cores_of(const KernelRecord& kernel) {
  const CoreCycles& charged = kernel.core_cycles;
  return std::accumulate(charged.begin(), charged.end(), std::int64_t{0}) /
         std::max<std::int64_t>(kernel.cycles.value, 1);
}

/// Leaves no cause with less than nothing, and the sum at `sum`, at the expense of the largest.
void balance(CoreCycles& cycles, std::int64_t sum) {
  for (std::int64_t& c : cycles) {
    c = std::max<std::int64_t>(c, 0);
    sum -= c;
  }
  *std::max_element(cycles.begin(), cycles.end()) += sum;
}

/// Gives kernels other lengths, each as far behind the one before as it was.
class Lengths {
 public:
  void put(KernelRecord& kernel, std::int64_t cycles) {
    const Cycles longer = Cycles(cycles) - kernel.cycles;
    kernel.start += moved_;
    moved_ += longer;
    kernel.end += moved_;
    kernel.cycles += longer;
  }

 private:
  Cycles moved_;
};

}  // namespace

SampledSection sampled(const Section& section, const ChipConfig& chip) {
  SampledSection sample;
  sample.shorter = sample.longer = sample.glimpse = section;
  double whole_us = 0, both_us = 0, glimpse_us = 0;
  std::vector<double> kernel_us;
  for (const Kernel& kernel : section.kernels) {
    kernel_us.push_back(whole_kernel_us(section, kernel, chip));
    whole_us += kernel_us.back();
  }
  for (std::size_t i = 0; i < section.kernels.size(); ++i) {
    const Kernel& kernel = section.kernels[i];
    const double us = kernel_us[i];
    // An error of a kernel counts by its share s of the whole: for independent errors in proportion
    // to 1 / length, lengths in proportion to s^(2/3) cost least.
    const double weight = std::max(std::pow(us / whole_us, 2.0 / 3), least_weight);
    double times = 0, both = 2, glimpse = 1;
    if (const std::optional<Repetition> found =
            us > least_glimpse_us * weight ? repetition(kernel) : std::nullopt) {
      const Waves waves = waves_of(kernel, *found, chip, us);
      glimpse = cut_to_glimpse(sample.glimpse.kernels[i], *found, waves, weight * least_glimpse_us);
      const std::int64_t behind = items_left_behind(section, i, found->items, chip);
      if (const std::optional<Cut> cut = cut_of(kernel, *found, waves, behind, weight * least_us)) {
        sample.shorter.kernels[i] = without(kernel, *found, cut->shorter);
        sample.longer.kernels[i] = without(kernel, *found, cut->longer);
        times = cut->times;
        const auto items = static_cast<double>(found->items);
        both -= static_cast<double>(cut->shorter.end - cut->shorter.first) / items;
        both -= static_cast<double>(cut->longer.end - cut->longer.first) / items;
      }
    }
    sample.times.push_back(times);
    sample.glimpse_share.push_back(glimpse);
    both_us += us * both;
    glimpse_us += us * glimpse;
  }
  if (whole_us > 0) {
    sample.cost = both_us / whole_us;
    sample.glimpse_cost = glimpse_us / whole_us;
  }
  return sample;
}

std::vector<KernelRecord> extrapolated(const SampledSection& sample,
                                       const std::vector<KernelRecord>& shorter,
                                       const std::vector<KernelRecord>& longer) {
  std::vector<KernelRecord> whole = longer;
  Lengths lengths;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const auto from_both = [&](std::int64_t b, std::int64_t a) {
      return b + std::llround(sample.times[i] * static_cast<double>(b - a));
    };
    for_each_count(whole[i], shorter[i], [&](std::int64_t& count, std::int64_t less) {
      count = std::max<std::int64_t>(from_both(count, less), 0);
    });
    L2::Counters& l2 = whole[i].l2;
    l2.hit_bytes = std::min(l2.hit_bytes, l2.read_bytes);
    const std::int64_t cycles = longer[i].cycles.value;
    const std::int64_t cores = cores_of(longer[i]);
    lengths.put(whole[i], from_both(cycles, shorter[i].cycles.value));
    balance(whole[i].core_cycles, cores * whole[i].cycles.value);
  }
  return whole;
}

std::vector<KernelRecord> at_other_clock(std::vector<KernelRecord> kernels, double times) {
  Lengths lengths;
  for (KernelRecord& kernel : kernels) {
    const std::int64_t cores = cores_of(kernel);
    double waited = 0;
    for (const Cause cause : {Cause::hbm, Cause::link}) {
      std::int64_t& cycles = kernel.core_cycles[static_cast<std::size_t>(cause)];
      waited += static_cast<double>(cycles);
      cycles = std::llround(times * static_cast<double>(cycles));
    }
    const double more =
        (times - 1) * waited / static_cast<double>(std::max<std::int64_t>(cores, 1));
    lengths.put(kernel, kernel.cycles.value + std::llround(more));
    balance(kernel.core_cycles, cores * kernel.cycles.value);
  }
  return kernels;
}

std::vector<KernelRecord> in_proportion(const SampledSection& sample, const ChipConfig& chip,
                                        std::vector<KernelRecord> glimpse) {
  Lengths lengths;
  const std::int64_t once = std::llround((chip.launch.gap_us + begin_us) * chip.clock.core_mhz);
  for (std::size_t i = 0; i < glimpse.size(); ++i) {
    KernelRecord& kernel = glimpse[i];
    const auto whole = [share = sample.glimpse_share[i]](std::int64_t count) {
      return std::llround(static_cast<double>(count) / share);
    };
    for_each_count(kernel, kernel, [&](std::int64_t& a, std::int64_t) { a = whole(a); });
    lengths.put(kernel, once + whole(std::max<std::int64_t>(kernel.cycles.value - once, 0)));
  }
  return glimpse;
}

}  // namespace tessera

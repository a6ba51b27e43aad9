#include "sim/engine/governed_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "sim/base/error.h"
#include "sim/engine/sampling.h"
#include "sim/frontend/roofline.h"
#include "sim/trace/digest.h"
#include "sim/trace/link_bytes.h"

namespace tessera {
namespace {

/// Throws InputError if the section takes longer than max_section_s at the chip's peaks.
double least_us(const Section& section, const ChipConfig& chip, double clock_mhz) {
  double sum = 0;
  for (std::size_t i = 0; i < section.ops.size(); ++i) {
    sum += roofline(section.ops[i], chip, clock_mhz, sent_bytes(section, i, chip)).us();
  }
  if (sum > max_section_s * 1e6) {
    throw InputError("workload",
                     fmt::format("'{}' takes {:.3g} s on {} even at its peaks", section.name,
                                 sum * 1e-6, chip.name),
                     fmt::format("take smaller sizes: up to {} s are simulated", max_section_s));
  }
  return sum;
}

/// What the simulated sections did and took.
PowerProfile simulated_profile(const Jobs& run, const Trace& trace, const ChipConfig& clocked,
                               Operands operands) {
  PowerProfile profile;
  profile.clock_mhz = clocked.clock.core_mhz;
  profile.activity.operands = operands;
  for (std::size_t i = 0; i < trace.sections.size(); ++i) {
    const Section& section = trace.sections[i];
    // One job stands for all repetitions, or there is a job for each.
    const double times = run.jobs_of[i].size() == 1 ? static_cast<double>(section.repeat) : 1.0;
    for (const std::size_t job : run.jobs_of[i]) {
      for (const KernelRecord& k : run.jobs[job].record.kernels) {
        profile.activity.add(switching_of(k, section.ops[static_cast<std::size_t>(k.op)], operands),
                             times);
        profile.seconds += times * static_cast<double>(k.cycles.value) / (profile.clock_mhz * 1e6);
        // What waits for memory or links waits as long at any clock.
        const auto waited = static_cast<double>(k.core_cycles[static_cast<int>(Cause::hbm)] +
                                                k.core_cycles[static_cast<int>(Cause::link)]);
        profile.fixed_seconds += times * waited / clocked.core.count / (profile.clock_mhz * 1e6);
      }
    }
  }
  return profile;
}

// The power controller moves the clock in steps of 15 MHz (nvidia-smi -q -d SUPPORTED_CLOCKS on
// H100); up to two steps below what the simulated counts allow is close enough.
constexpr double clock_step_mhz = 15;
constexpr int most_attempts = 6;
// Where samples are taken, work of this length or more goes to another clock up to so many steps
// away without being simulated again: in short work, more waits for memory than counts as that.
constexpr double least_moved_s = 100e-6;
constexpr double most_moved_steps = 8;

// Where samples cost more than this part of the whole, they are not worth their error.
constexpr double most_sampling_cost = 0.6;
// Where glimpses do, they are no help in finding the clock.
constexpr double most_glimpse_cost = 0.5;

/// How to simulate the jobs: each as a whole, or by samples of it.
class Simulator {
 public:
  Simulator(Jobs& run, const SimulationOptions& options, const ChipConfig& chip)
      : run_(run), options_(options) {
    if (options_.clock_mhz > 0 && !options_.takes_samples()) return;
    double whole_us = 0, glimpse_us = 0;
    for (const SectionJob& job : run_.jobs) {
      samples_.push_back(sampled(*job.section, chip));
      const double us = least_us(*job.section, chip, chip.clock.core_mhz);
      whole_us += us;
      glimpse_us += samples_.back().glimpse_cost * us;
    }
    can_glance_ = glimpse_us < most_glimpse_cost * whole_us;
  }

  /// Whether a glance costs much less than the simulation.
  bool can_glance() const { return can_glance_; }

  /// About what simulate() would count; false if that cannot be told.
  bool glance(const ChipConfig& clocked) {
    SimulationOptions options = options_;
    options.activity_bins = 0;
    options.timeline.reset();
    options.progress = {};
    options.last_of_process = false;
    std::vector<SectionJob> parts;
    for (std::size_t i = 0; i < run_.jobs.size(); ++i) {
      parts.push_back({&samples_[i].glimpse, run_.jobs[i].least_us, {}});
    }
    try {
      start(parts, clocked, options);
    } catch (const SimulationError&) {
      return false;  // if the whole fails as well, it says why
    }
    for (std::size_t i = 0; i < parts.size(); ++i) {
      run_.jobs[i].record = std::move(parts[i].record);
      run_.jobs[i].record.kernels =
          in_proportion(samples_[i], clocked, std::move(run_.jobs[i].record.kernels));
    }
    return true;
  }

  void simulate(const ChipConfig& clocked, bool last_of_process) {
    SimulationOptions options = options_;
    options.last_of_process = last_of_process;
    if (!options_.takes_samples()) {
      start(run_.jobs, clocked, options);
      return;
    }
    std::vector<SectionJob> parts;
    for (std::size_t i = 0; i < run_.jobs.size(); ++i) {
      const SectionJob& job = run_.jobs[i];
      if (is_sampled(i)) {
        const double least = job.least_us * samples_[i].cost / 2;
        parts.push_back({&samples_[i].shorter, least, {}});
        parts.push_back({&samples_[i].longer, least, {}});
      } else {
        parts.push_back({job.section, job.least_us, {}});
      }
    }
    start(parts, clocked, options);
    run_.sampled = 0;
    auto part = parts.begin();
    for (std::size_t i = 0; i < run_.jobs.size(); ++i) {
      SectionRecord& record = run_.jobs[i].record;
      if (!is_sampled(i)) {
        record = std::move((part++)->record);
        continue;
      }
      run_.sampled += std::count_if(samples_[i].times.begin(), samples_[i].times.end(),
                                    [](double times) { return times > 0; });
      const SectionRecord shorter = std::move((part++)->record);
      record = std::move((part++)->record);
      record.kernels = extrapolated(samples_[i], shorter.kernels, record.kernels);
      record.events += shorter.events;
      record.peak_rss_bytes = std::max(record.peak_rss_bytes, shorter.peak_rss_bytes);
    }
  }

  /// Takes what simulate() has counted to another clock.
  void move_to(double clock_mhz, ChipConfig& clocked) {
    const double times = clock_mhz / clocked.clock.core_mhz;
    for (SectionJob& job : run_.jobs) {
      job.record.kernels = at_other_clock(std::move(job.record.kernels), times);
    }
    clocked.clock.core_mhz = clock_mhz;
  }

 private:
  bool is_sampled(std::size_t job) const { return samples_[job].cost < most_sampling_cost; }

  void start(std::vector<SectionJob>& jobs, const ChipConfig& clocked,
             const SimulationOptions& options) {
    run_sections(jobs, clocked, options);
    options_.beside = {};
  }

  Jobs& run_;
  SimulationOptions options_;
  std::vector<SampledSection> samples_;
  bool can_glance_ = false;
};

}  // namespace

Jobs::Jobs(const Trace& trace, bool reuse) : jobs_of(trace.sections.size()) {
  std::map<std::string, std::size_t> known;
  for (std::size_t i = 0; i < trace.sections.size(); ++i) {
    const Section& section = trace.sections[i];
    if (reuse) {
      const auto found = known.emplace(execution_digest(section), jobs.size());
      if (found.second) jobs.push_back({&section, 0, {}});
      jobs_of[i].push_back(found.first->second);
      reused += section.repeat - (found.second ? 1 : 0);
    } else {
      for (std::int64_t copy = 0; copy < section.repeat; ++copy) {
        jobs_of[i].push_back(jobs.size());
        jobs.push_back({&section, 0, {}});
      }
    }
  }
}

double sent_bytes(const Section& section, std::size_t op, const ChipConfig& chip) {
  return link_bytes(section, op, chip.collective.in_switch != 0);
}

Activity switching_of(const KernelRecord& record, const OpRecord& op, Operands operands) {
  Activity activity;
  activity.operands = operands;
  activity.add_tensor_flops(op.format, static_cast<double>(record.cores.tensor_flops));
  activity.vector_flops = static_cast<double>(record.cores.vector_flops);
  activity.scratchpad_bytes = static_cast<double>(record.cores.operand_bytes);
  activity.l2_bytes = static_cast<double>(record.l2.read_bytes + record.l2.write_bytes);
  activity.hbm_bytes = static_cast<double>(record.l2.hbm_read_bytes + record.l2.hbm_write_bytes);
  activity.add_exchange(static_cast<double>(record.cores.link_bytes),
                        static_cast<double>(record.cores.exchange_bytes));
  return activity;
}

void run_at_governed_clock(Jobs& run, const Trace& trace, const ChipConfig& chip,
                           ChipConfig& clocked, const SimulationOptions& options) {
  const double boost = chip.clock.core_mhz;
  const bool locked = options.clock_mhz > 0;
  Simulator simulator(run, options, chip);
  const auto set_clock = [&](double clock) {
    clocked.clock.core_mhz = clock;
    for (SectionJob& job : run.jobs) job.least_us = least_us(*job.section, clocked, clock);
  };
  const auto allowed_mhz = [&](const PowerProfile& profile) {
    return governed_clock_mhz(profile, chip, options.length);
  };
  // Below what is allowed, so that a power which rises a little with the new clock stays within.
  const auto clock_below = [&](double allowed, double below) {
    return allowed < boost ? std::max(chip.clock.min_mhz, std::floor(allowed - below)) : boost;
  };
  double clock =
      locked ? options.clock_mhz : allowed_mhz(estimated_profile(trace, chip, options.operands));
  const auto glanced = [&] {
    set_clock(clock);
    return simulator.glance(clocked);
  };
  if (!locked && clock < boost && simulator.can_glance() && glanced()) {
    clock = clock_below(allowed_mhz(simulated_profile(run, trace, clocked, options.operands)),
                        clock_step_mhz / 2);
  }
  for (int attempt = 1;; ++attempt) {
    set_clock(clock);
    // Another attempt may follow, which a process that has elaborated once cannot make.
    simulator.simulate(clocked, locked && options.last_of_process);
    if (locked) return;
    const PowerProfile profile = simulated_profile(run, trace, clocked, options.operands);
    const double allowed = allowed_mhz(profile);
    if (options.takes_samples() && profile.seconds >= least_moved_s &&
        std::abs(clock - allowed) <= most_moved_steps * clock_step_mhz) {
      simulator.move_to(std::floor(allowed), clocked);
      return;
    }
    const bool near = allowed < boost ? clock >= allowed - 2 * clock_step_mhz : clock == boost;
    if (near && clock <= allowed + clock_step_mhz) {
      clocked.clock.core_mhz = std::min(clock, std::floor(allowed));
      return;
    }
    if (clock <= allowed && attempt >= most_attempts) return;
    if (clock <= chip.clock.min_mhz && allowed <= clock) return;
    clock = clock_below(
        allowed, attempt < most_attempts / 2 ? clock_step_mhz / 2 : clock_step_mhz * attempt);
  }
}

}  // namespace tessera

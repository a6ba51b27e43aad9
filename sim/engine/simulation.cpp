#include "sim/engine/simulation.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "sim/base/error.h"
#include "sim/config/loader.h"
#include "sim/engine/governed_run.h"
#include "sim/engine/governor.h"
#include "sim/engine/section_run.h"
#include "sim/engine/timeline.h"
#include "sim/frontend/roofline.h"
#include "sim/trace/digest.h"

namespace tessera {
namespace {

/// Share of the memory's peak bandwidth from which an operation is bound by it, whatever its cores
/// were charged for: with few blocks most cores idle while the memory is saturated.
constexpr double saturated_share = 0.7;

Bound bound_of(const OpResult& op, const ChipConfig& chip, double clock_mhz) {
  const double us = static_cast<double>(op.cycles.value) / clock_mhz;
  const auto traffic = static_cast<double>((op.hbm_read + op.hbm_write).value);
  if (us > 0 && traffic / us >= saturated_share * chip.hbm.bandwidth_gbps * 1e3) return Bound::hbm;
  const auto at = [&](Cause cause) { return op.core_cycles[static_cast<std::size_t>(cause)]; };
  const std::pair<Bound, std::int64_t> groups[] = {
      {Bound::compute, at(Cause::tensor_core) + at(Cause::scratchpad) + at(Cause::vector) +
                           at(Cause::special_function) + at(Cause::epilogue)},
      {Bound::hbm, at(Cause::hbm)},
      {Bound::l2, at(Cause::l2)},
      {Bound::noc, at(Cause::noc)},
      {Bound::link, at(Cause::link)},
      {Bound::latency,
       at(Cause::barrier) + at(Cause::pipeline) + at(Cause::launch) + at(Cause::idle)},
  };
  return std::max_element(std::begin(groups), std::end(groups),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

// Chips that HGX and DGX nodes of A100, H100 and H200 link to each other.
constexpr std::int64_t chips_of_a_node = 8;

/// Of the exchanges of all with all, the one among most chips; 0: there is none.
std::int64_t most_ranks(const Trace& trace) {
  std::int64_t most = 0;
  for (const Section& section : trace.sections) {
    for (const Kernel& kernel : section.kernels) {
      for (const Role& role : kernel.roles) {
        for (const Instruction& instruction : role.code) {
          const auto* exchange = std::get_if<Collective>(&instruction);
          if (exchange != nullptr && exchange->kind != CollectiveKind::p2p)
            most = std::max(most, exchange->ranks);
        }
      }
    }
  }
  return most;
}

void append_ops(RunResult& result, const Section& section, const SectionRecord& record,
                std::int64_t repeat, const std::string& prefix, const ChipConfig& chip,
                Operands operands) {
  const std::size_t first = result.ops.size();
  // A trace says how many FLOPs its operations need; no more are counted than its kernels execute.
  std::vector<std::int64_t> executed(section.ops.size());
  for (const KernelRecord& k : record.kernels) {
    executed[static_cast<std::size_t>(k.op)] += k.cores.tensor_flops;
  }
  for (std::size_t i = 0; i < section.ops.size(); ++i) {
    OpRecord op = section.ops[i];
    if (op.tensor_flops.value > executed[i]) {
      result.notes.push_back(fmt::format(
          "{}{}: the trace declares {} tensor-core FLOPs and executes {}; the latter count", prefix,
          op.name, op.tensor_flops.value, executed[i]));
      op.tensor_flops = Flops(executed[i]);
    }
    OpResult r;
    r.name = prefix + op.name;
    r.kind = op.kind;
    r.precision = op.precision;
    r.repeat = repeat;
    r.tensor_flops = op.tensor_flops;
    r.vector_flops = op.vector_flops;
    r.flops = op.tensor_flops.value > 0 ? op.tensor_flops : op.vector_flops;
    r.roofline_us = roofline(op, chip, result.clock_mhz, sent_bytes(section, i, chip)).us();
    result.ops.push_back(r);
  }
  for (std::size_t i = 0; i < record.kernels.size(); ++i) {
    const KernelRecord& k = record.kernels[i];
    OpResult& r = result.ops[first + static_cast<std::size_t>(k.op)];
    r.cycles += k.cycles;
    r.hbm_read += Bytes(k.l2.hbm_read_bytes);
    r.hbm_write += Bytes(k.l2.hbm_write_bytes);
    r.l2_read += Bytes(k.l2.read_bytes);
    r.l2_hit += Bytes(k.l2.hit_bytes);
    r.scratchpad_bytes += Bytes(k.cores.operand_bytes);
    for (std::size_t c = 0; c < cause_count; ++c) r.core_cycles[c] += k.core_cycles[c];
    const Activity activity =
        switching_of(k, section.ops[static_cast<std::size_t>(k.op)], operands);
    r.energy_j +=
        dynamic_energy_j(activity, chip.power, chip.clock, result.clock_mhz) +
        chip.power.idle_w * static_cast<double>(k.cycles.value) / (result.clock_mhz * 1e6);
  }
  for (std::size_t i = first; i < result.ops.size(); ++i) {
    result.ops[i].bound = bound_of(result.ops[i], chip, result.clock_mhz);
  }
}

void check(const Trace& trace) {
  for (const Section& section : trace.sections) {
    for (const Kernel& kernel : section.kernels) {
      if (kernel.op < 0 || kernel.op >= static_cast<std::int64_t>(section.ops.size())) {
        throw InputError("kernel " + kernel.name,
                         fmt::format("operation {} of {}", kernel.op, section.ops.size()),
                         "an index into the section's operations");
      }
    }
  }
}

/// The section over time; `first_op` is where its operations stand in the result.
SectionActivity activity_of(const Section& section, const SectionRecord& record,
                            std::int64_t repeat, const std::string& name, std::size_t first_op,
                            const std::vector<double>& energy_j) {
  SectionActivity activity;
  activity.name = name;
  activity.repeat = repeat;
  activity.cycles = cycles_of(record);
  for (std::size_t i = 0; i < record.kernels.size(); ++i) {
    const KernelRecord& k = record.kernels[i];
    activity.kernels.push_back(
        {section.kernels[i].name, static_cast<std::int64_t>(first_op) + k.op, k.start, k.end});
  }
  activity.bin_width = record.samples.width;
  activity.bins = record.samples.bins;
  activity.energy_j = energy_j;
  return activity;
}

void check(const TimelineRequest& request, const ChipConfig& chip) {
  for (const int core : request.cores) {
    if (core < 0 || core >= chip.core.count) {
      throw InputError("--timeline-cores", fmt::format("{} has no core {}", chip.name, core),
                       fmt::format("give cores from 0 to {}, or all", chip.core.count - 1));
    }
  }
}

/// Refuses what a report could not add up: a section's repeat multiplies all its counts.
void check_totals(const RunResult& result) {
  __extension__ using Wide = __int128;
  Wide total = 0;
  for (const OpResult& op : result.ops) {
    Wide counts = Wide{op.cycles.value} + op.flops.value + op.tensor_flops.value +
                  op.vector_flops.value + op.hbm_read.value + op.hbm_write.value +
                  op.l2_read.value + op.l2_hit.value + op.scratchpad_bytes.value;
    for (const std::int64_t cycles : op.core_cycles) counts += cycles;
    total += counts * op.repeat;
    if (total > std::numeric_limits<std::int64_t>::max()) {
      throw InputError("operation " + op.name, fmt::format("{} repetitions", op.repeat),
                       "all cycles, core-cycles, FLOPs and bytes together stay below 2^63");
    }
  }
}

}  // namespace

MemoryModel parse_memory_model(std::string_view text) {
  const std::vector<MemoryModel> models = {MemoryModel::hbm, MemoryModel::fixed_latency};
  std::vector<std::string> names;
  for (const MemoryModel model : models) {
    if (name(model) == text) return model;
    names.emplace_back(name(model));
  }
  const std::string close = nearest(std::string(text), names);
  throw InputError("--memory", fmt::format("there is no memory model '{}'", text),
                   close.empty() ? fmt::format("give one of {}", fmt::join(names, ", "))
                                 : fmt::format("did you mean '{}'?", close));
}

RunResult simulate(const Trace& trace, const ChipConfig& chip, const SimulationOptions& options) {
  const auto began = std::chrono::steady_clock::now();
  check(trace);
  if (options.timeline) check(*options.timeline, chip);
  RunResult result;
  result.tool_version = trace.tool_version;
  result.chip = chip.name;
  result.workload = trace.workload;
  result.cores = chip.core.count;
  result.hbm_peak_gbps = chip.hbm.bandwidth_gbps;
  result.power_cap_w = chip.power.cap_w;
  Jobs run(trace, options.reuse);
  result.reused_sections = run.reused;
  result.simulated_sections = static_cast<std::int64_t>(run.jobs.size());
  ChipConfig clocked = chip;
  run_at_governed_clock(run, trace, chip, clocked, options);
  result.clock_mhz = clocked.clock.core_mhz;
  const std::vector<SectionJob>& jobs = run.jobs;
  const std::vector<std::vector<std::size_t>>& jobs_of = run.jobs_of;

  std::map<Format, double> flops_of_format;
  std::vector<SectionPlace> places;
  for (std::size_t i = 0; i < trace.sections.size(); ++i) {
    const Section& section = trace.sections[i];
    const bool numbered = !options.reuse && section.repeat > 1;
    for (std::size_t copy = 0; copy < jobs_of[i].size(); ++copy) {
      const std::size_t job = jobs_of[i][copy], first_op = result.ops.size();
      const std::int64_t repeat = options.reuse ? section.repeat : 1;
      const std::string place = numbered ? fmt::format("{}[{}]", section.name, copy) : section.name;
      // Power keeps the boost clock as its reference, so the unclocked chip is passed.
      append_ops(result, section, jobs[job].record, repeat, place + ".", chip, options.operands);
      const SectionRecord& record = jobs[job].record;
      const std::vector<double> energy =
          energy_over_time_j(record.samples.bins, record.samples.width, cycles_of(record),
                             options.operands, chip, result.clock_mhz);
      places.push_back({i, job, repeat, energy});
      if (options.activity_bins > 0)
        result.activity.push_back(activity_of(section, record, repeat, place, first_op, energy));
    }
    for (const OpRecord& op : section.ops) {
      flops_of_format[op.format] +=
          static_cast<double>(op.tensor_flops.value) * static_cast<double>(section.repeat);
    }
  }
  check_totals(result);
  if (options.timeline)
    options.timeline->take(timeline_json(trace, clocked, places, jobs, *options.timeline));
  Format dominant = Format::bf16;
  for (const auto& [format, flops] : flops_of_format) {
    if (flops > flops_of_format[dominant]) dominant = format;
  }
  result.peak_flops_per_cycle =
      static_cast<double>(chip.core.count) * chip.tensor_core.flops_per_cycle(dominant);
  double energy = 0, seconds = 0;
  for (const OpResult& op : result.ops) {
    energy += op.energy_j * static_cast<double>(op.repeat);
    seconds += static_cast<double>(op.cycles.value) * static_cast<double>(op.repeat) /
               (result.clock_mhz * 1e6);
  }
  result.power_w = seconds > 0 ? energy / seconds : 0;
  std::string inputs = digest(trace) + canonical_text(clocked);
  if (options.memory != MemoryModel::hbm) {
    inputs += name(options.memory);
    result.notes.push_back(fmt::format("the memory is the {} model", name(options.memory)));
  }
  if (options.takes_samples()) {
    inputs += "sampling";
    result.notes.push_back(
        run.sampled == 0
            ? "no kernel was simulated in part: none is long, repeats itself and leaves the L2 to "
              "the next one as its part would"
            : fmt::format("{} simulated in part (--sampling)",
                          run.sampled == 1 ? "one kernel was"
                                           : fmt::format("{} kernels were", run.sampled)));
  }
  if (options.before.flushed) {
    inputs += "flushed";
    result.notes.push_back("the L2 was flushed before");
  } else if (options.before.copies > 0) {
    inputs += fmt::format("copies {}", options.before.copies);
    result.notes.push_back(fmt::format(
        "repeated on {} copies in turn: the L2 holds what it can of them", options.before.copies));
  }
  if (options.operands == Operands::zeros) {
    inputs += "zeros";
    result.notes.push_back("operands are zeros, which take less energy");
  }
  result.digest = content_digest(inputs);
  if (result.reused_sections > 0) {
    result.notes.push_back(fmt::format(
        "{} of {} sections took the result of an identical one (--no-reuse simulates all)",
        result.reused_sections, result.reused_sections + result.simulated_sections));
  }
  const std::int64_t ranks = chip.link.bandwidth_gbps > 0 ? most_ranks(trace) : 0;
  if (ranks > chips_of_a_node) {
    result.notes.push_back(
        fmt::format("an exchange among {} ranks counts as one inside a node (an HGX node has {} "
                    "chips)",
                    ranks, chips_of_a_node));
  }
  if (options.clock_mhz > chip.clock.core_mhz) {
    result.notes.push_back(
        fmt::format("the clock is locked at {:.0f} MHz, above the boost clock of {:.0f} MHz",
                    options.clock_mhz, chip.clock.core_mhz));
  }
  if (options.clock_mhz <= 0 && result.power_w > chip.power.cap_w &&
      result.clock_mhz <= chip.clock.min_mhz) {
    result.notes.push_back(fmt::format(
        "at its lowest clock, {:.0f} MHz, the chip draws {:.0f} W: the {:.0f} W power cap is "
        "exceeded (boost: {:.0f})",
        result.clock_mhz, result.power_w, chip.power.cap_w, chip.clock.core_mhz));
  } else if (options.clock_mhz > 0 && result.power_w > chip.power.cap_w) {
    result.notes.push_back(
        fmt::format("at the locked clock the chip draws {:.0f} W, its cap is {:.0f} W",
                    result.power_w, chip.power.cap_w));
  } else if (result.clock_mhz < chip.clock.core_mhz && options.clock_mhz <= 0) {
    result.notes.push_back(fmt::format(
        "the {:.0f} W power cap holds the clock at {:.0f} MHz{} (boost: {:.0f})", chip.power.cap_w,
        result.clock_mhz, options.length.is_sustained() ? "" : " on average over the burst",
        chip.clock.core_mhz));
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  result.simulator.peak_rss_bytes = usage.ru_maxrss * 1024;
  for (const SectionJob& job : jobs) {
    result.simulator.events += job.record.events;
    result.simulator.peak_rss_bytes =
        std::max(result.simulator.peak_rss_bytes, job.record.peak_rss_bytes);
    for (const KernelRecord& k : job.record.kernels)
      result.simulator.simulated_cycles += k.cycles.value;
  }
  result.simulator.wall_s =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return result;
}

}  // namespace tessera

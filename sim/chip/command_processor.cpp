#include "sim/chip/command_processor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/base/error.h"

namespace tessera {

CommandProcessor::CommandProcessor(sc_core::sc_module_name name, const ChipConfig& chip,
                                   const ClockDomain& clock, const Section& section, L2& l2,
                                   Arbiter& arbiter, const std::vector<int>& construction_order,
                                   TimelineRecorder* recorder)
    : sc_module(name), chip_(chip), clock_(clock), section_(section), l2_(l2), recorder_(recorder) {
  programs_.reserve(section.kernels.size());
  for (const Kernel& kernel : section.kernels)
    programs_.emplace_back(kernel, section.tensors, chip);
  const auto count = static_cast<std::size_t>(chip.core.count);
  cores_.resize(count);
  sequencers_.resize(count);
  for (const int id : construction_order) {
    const auto i = static_cast<std::size_t>(id);
    cores_[i] = std::make_unique<CoreUnits>(chip);
    cores_[i]->id = id;
    sequencers_[i] = std::make_unique<Sequencer>(id, chip, l2, arbiter, *this, recorder);
  }
  SC_METHOD(start_kernel);
  sensitive << start_;
  dont_initialize();
  SC_METHOD(finish_kernel);
  sensitive << finish_;
  dont_initialize();
  if (!section.kernels.empty()) {
    start_at_ = gap(section.kernels.front());
    start_.notify(clock.delay_until(start_at_));
  }
}

Cycles CommandProcessor::gap(const Kernel& kernel) const {
  double us = chip_.launch.gap_us;
  if (kernel.early_launch) us = std::max(0.0, us - chip_.launch.overlap_us);
  return Cycles(static_cast<std::int64_t>(std::llround(us * chip_.clock.core_mhz)));
}

void CommandProcessor::start_kernel() {
  if (recorder_ != nullptr) recorder_->begin_kernel(static_cast<std::int32_t>(next_));
  program_ = &programs_[next_++];
  const Kernel& kernel = program_->kernel();
  running_ = true;
  flags_.assign(static_cast<std::size_t>(kernel.flags), 0);
  flag_waiters_.clear();
  next_cluster_ = retired_ = 0;
  clusters_ = kernel.grid / kernel.cluster;
  before_ = KernelRecord{};
  before_.l2 = l2_.counters();
  before_.cores = counters();
  visible_ = start_at_;
  const auto cluster = static_cast<std::size_t>(kernel.cluster);
  for (std::size_t i = 0; i < sequencers_.size(); ++i) {
    cores_[i]->ledger.open(end_);
    std::vector<CoreUnits*> driven;
    if (i % cluster == 0 && i + cluster <= sequencers_.size()) {
      for (std::size_t r = 0; r < cluster; ++r) driven.push_back(cores_[i + r].get());
    }
    sequencers_[i]->prepare(*program_, std::move(driven));
  }
  const Cycles setup(chip_.launch.setup_cycles);
  for (std::int64_t place = 0; place < program_->resident_blocks(); ++place) {
    for (std::size_t i = 0; i + cluster <= sequencers_.size(); i += cluster) {
      if (next_cluster_ == clusters_) break;
      sequencers_[i]->start_cluster(next_cluster_++,
                                    start_at_ + setup + Cycles(place * chip_.launch.block_cycles));
    }
  }
  for (const auto& s : sequencers_) s->schedule(start_at_);
}

void CommandProcessor::cluster_done(Sequencer& sequencer, Cycles now) {
  ++retired_;
  if (next_cluster_ < clusters_) {
    sequencer.start_cluster(next_cluster_++,
                            now + Cycles(chip_.launch.block_cycles + chip_.launch.setup_cycles));
  } else if (retired_ == clusters_) {
    end_ = std::max(now, visible_);
    finish_.notify(clock_.delay_until(end_));
  }
}

void CommandProcessor::finish_kernel() {
  KernelRecord record;
  const Kernel& kernel = program_->kernel();
  record.op = kernel.op;
  record.start = start_at_;
  record.end = end_;
  for (const auto& core : cores_) {
    const CoreCycles charged =
        core->ledger.close(end_, program_->has_collective() ? Cause::link : Cause::idle);
    for (std::size_t c = 0; c < cause_count; ++c) record.core_cycles[c] += charged[c];
  }
  const L2::Counters& l2 = l2_.counters();
  record.l2.read_bytes = l2.read_bytes - before_.l2.read_bytes;
  record.l2.hit_bytes = l2.hit_bytes - before_.l2.hit_bytes;
  record.l2.write_bytes = l2.write_bytes - before_.l2.write_bytes;
  record.l2.hbm_read_bytes = l2.hbm_read_bytes - before_.l2.hbm_read_bytes;
  record.l2.hbm_write_bytes = l2.hbm_write_bytes - before_.l2.hbm_write_bytes;
  record.cores = counters();
  record.cores -= before_.cores;
  record.cycles = end_ - previous_end_;
  previous_end_ = end_;
  records_.push_back(record);
  running_ = false;
  if (next_ < section_.kernels.size()) {
    const Cycles wait = gap(section_.kernels[next_]);
    start_at_ = end_ + wait;
    start_.notify(clock_.delay_until(start_at_));
  }
}

Sequencer::Counters CommandProcessor::counters() const {
  Sequencer::Counters sum;
  for (const auto& s : sequencers_) sum += s->counters();
  return sum;
}

void CommandProcessor::raise_flag(std::int64_t flag, Cycles now) {
  if (flag < 0 || flag >= static_cast<std::int64_t>(flags_.size())) {
    throw SimulationError(
        fmt::format("kernel {}: flag {} of {}", program_->kernel().name, flag, flags_.size()));
  }
  const std::int64_t count = ++flags_[static_cast<std::size_t>(flag)];
  // A poll of L2 sees the flag one near latency later.
  const Cycles when = now + Cycles(std::max(1, chip_.l2.near_latency_cycles));
  for (const int id : flag_waiters_) {
    sequencers_[static_cast<std::size_t>(id)]->flag_raised(flag, count, when, now);
  }
}

std::int64_t CommandProcessor::flag(std::int64_t index) const {
  if (index < 0 || index >= static_cast<std::int64_t>(flags_.size())) {
    throw SimulationError(
        fmt::format("kernel {}: flag {} of {}", program_->kernel().name, index, flags_.size()));
  }
  return flags_[static_cast<std::size_t>(index)];
}

std::string CommandProcessor::explain() const {
  std::vector<std::string> lines;
  for (const auto& s : sequencers_) s->explain(lines);
  constexpr std::size_t most = 12;
  std::string text = fmt::format(
      "deadlock in kernel {}: {} of {} clusters retired, {} contexts wait",
      program_ != nullptr ? program_->kernel().name : "(none)", retired_, clusters_, lines.size());
  for (std::size_t i = 0; i < std::min(most, lines.size()); ++i) text += "\n  " + lines[i];
  if (lines.size() > most) text += fmt::format("\n  ... and {} more", lines.size() - most);
  return text;
}

}  // namespace tessera

#include "sim/engine/timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "sim/chip/simulation_time.h"
#include "sim/trace/names.h"

namespace tessera {
namespace {

// Processes of the trace; core i is core_process + i.
constexpr int chip_process = 1, memory_process = 2, core_process = 10;
// Tracks of the chip.
constexpr int sections_track = 1, kernels_track = 2, detail_track = 3;
// Tracks of a core: units, then lanes of copies and stores, then contexts by appearance.
constexpr int tensor_core_track = 1, vector_lanes_track = 2, special_function_track = 3;
constexpr int first_copy_track = 10, first_store_track = 1000, first_context_track = 2000;

std::string json_string(const std::string& text) {
  // Names come from the user's files and may not be UTF-8.
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string copy_name(const Role& role, int copy) {
  return role.copies > 1 ? fmt::format("{}[{}]", role.name, copy) : role.name;
}

std::string box(const Section& section, std::uint16_t tensor, std::int64_t rows,
                std::int64_t cols) {
  return fmt::format("{} {}x{}", section.tensors[tensor].name, rows, cols);
}

/// What a slice on a unit's track was busy with, or, on a context's, what the context was.
std::string slice_name(const Section& section, const Slice& slice) {
  const Kernel& kernel = section.kernels[static_cast<std::size_t>(slice.kernel)];
  const Role& role = kernel.roles[slice.at.role];
  const auto index = static_cast<std::size_t>(slice.instruction);
  if (index >= role.code.size()) return "wait for stores";
  const Instruction& instruction = role.code[index];
  if (const auto* wait = std::get_if<Wait>(&instruction)) {
    const std::string& ring = kernel.barriers[wait->barrier].name;
    return slice.phase >= 0 ? ring + " complete" : "wait for " + ring;
  }
  if (const auto* mma = std::get_if<Mma>(&instruction))
    return fmt::format("mma {}x{}x{} {}", mma->m, mma->n, mma->k, name(mma->format));
  if (const auto* vector = std::get_if<Vector>(&instruction))
    return fmt::format("{} {}", vector_cost(vector->function).name, vector->elements);
  if (const auto* load = std::get_if<Load>(&instruction)) {
    if (slice.at.kind == TrackKind::context) return "wait for copy engine";
    return (load->multicast ? "multicast "
            : load->gather  ? "gather "
                            : "load ") +
           box(section, load->tensor, load->rows, load->cols);
  }
  if (const auto* store = std::get_if<Store>(&instruction)) {
    return (store->reduce ? "reduce " : "store ") +
           box(section, store->tensor, store->rows, store->cols);
  }
  if (std::holds_alternative<MmaWait>(instruction)) return "wait for mma";
  if (std::holds_alternative<StoreWait>(instruction)) return "wait for stores";
  if (std::holds_alternative<Signal>(instruction)) return "wait for stores";
  if (std::holds_alternative<AwaitSignal>(instruction)) return "wait for flag";
  if (const auto* collective = std::get_if<Collective>(&instruction))
    return std::string(name(collective->kind));
  return std::string(instruction_keyword(instruction.index()));
}

/// Collects the events and writes them in the order of their times.
class Writer {
 public:
  explicit Writer(const ChipConfig& chip)
      : clock_(chip.clock.core_mhz), stacks_(std::max(1, chip.hbm.stacks)) {
    name_process(chip_process, "chip");
    name_process(memory_process, "L2 and memory");
    name_track(chip_process, sections_track, "sections");
    name_track(chip_process, kernels_track, "kernels");
    name_track(chip_process, detail_track, "recorded");
  }

  std::int64_t nanoseconds(Cycles cycles) const { return clock_.picoseconds(cycles).value / 1000; }

  /// A slice of the chip's; `arguments` is the inside of a JSON object.
  void chip_slice(int track, Cycles start, Cycles end, const std::string& name,
                  const std::string& arguments) {
    add_slice(chip_process, track, start, end, json_string(name), arguments);
  }

  void detail(const Section& section, std::size_t section_number, const SectionRecord& record,
              Cycles offset) {
    for (const Slice& slice : record.slices) {
      const Kernel& kernel = section.kernels[static_cast<std::size_t>(slice.kernel)];
      const Role& role = kernel.roles[slice.at.role];
      std::string arguments = fmt::format(R"("cycle":{},"cycles":{})", slice.at.start.value,
                                          (slice.at.end - slice.at.start).value);
      if (slice.phase >= 0) arguments += fmt::format(R"(,"phase":{})", slice.phase);
      if (slice.bytes > 0) arguments += fmt::format(R"(,"bytes":{})", slice.bytes);
      if (slice.phase < 0) arguments += fmt::format(R"(,"cause":"{}")", name(slice.cause));
      if (slice.at.kind != TrackKind::context) {
        arguments += ",\"for\":" + json_string(copy_name(role, slice.at.copy));
      }
      const auto key = std::make_tuple(section_number, slice.kernel, slice.at.role,
                                       slice.instruction, slice.at.kind, slice.phase >= 0);
      const auto known = names_.find(key);
      const std::string& text =
          known != names_.end()
              ? known->second
              : names_.emplace(key, json_string(slice_name(section, slice))).first->second;
      add_slice(process_of(slice.at.core), track_of(slice.at, role), offset + slice.at.start,
                offset + slice.at.end, text, arguments);
    }
    for (const Flow& flow : record.flows) add_flow(section, flow, offset);
  }

  void counters(const ActivitySamples& samples, Cycles offset, Cycles end) {
    const Picoseconds began = clock_.picoseconds(offset), ends = clock_.picoseconds(end);
    for (std::size_t i = 0; i < samples.bins.size(); ++i) {
      const Picoseconds start = began + samples.width * static_cast<std::int64_t>(i);
      if (start >= ends && i > 0) break;
      const ActivityBin& bin = samples.bins[i];
      add_counters(start.value / 1000, samples, bin,
                   samples.channel_bytes.data() + i * static_cast<std::size_t>(samples.channels));
    }
    const std::vector<std::int64_t> none(static_cast<std::size_t>(samples.channels));
    add_counters(ends.value / 1000, samples, {}, none.data());
  }

  /// Power over the section that begins at `offset`. A last stretch shorter than half of the others
  /// joins the one before, and so do those behind the section's end.
  void power(const ActivitySamples& samples, const std::vector<double>& energy_j, Cycles offset,
             Cycles end) {
    const Picoseconds began = clock_.picoseconds(offset), ends = clock_.picoseconds(end);
    const auto start = [&](std::size_t i) {
      return began + samples.width * static_cast<std::int64_t>(i);
    };
    for (std::size_t i = 0; i < energy_j.size();) {
      const Picoseconds from = start(i);
      double joules = energy_j[i++];
      while (i < energy_j.size() && (ends - start(i)) * 2 < samples.width) joules += energy_j[i++];
      const Picoseconds until = i == energy_j.size() ? ends : start(i);
      mean_power(from, until, joules);
    }
  }
  /// The same as one stretch.
  void mean_power(const std::vector<double>& energy_j, Cycles offset, Cycles end) {
    double joules = 0;
    for (const double part : energy_j) joules += part;
    mean_power(clock_.picoseconds(offset), clock_.picoseconds(end), joules);
  }
  void idle_power(Cycles now, double watts) {
    add_power(clock_.picoseconds(now).value / 1000, watts);
  }

  std::string json(const std::string& other_data) {
    std::stable_sort(events_.begin(), events_.end(), [](const Event& a, const Event& b) {
      return std::tie(a.time, a.order) < std::tie(b.time, b.order);
    });
    std::string text = R"({"displayTimeUnit":"ns","otherData":{)" + other_data +
                       "},\n\"traceEvents\":[\n" + metadata_;
    std::size_t size = text.size() + 8;
    for (const Event& event : events_) size += event.text.size() + 2;
    text.reserve(size);
    for (const Event& event : events_) text.append(",\n").append(event.text);
    return text + "\n]}\n";
  }

 private:
  // Slices stand before the flows that bind to them.
  enum class Order : std::uint8_t { counter, slice, flow_start, flow_end };
  struct Event {
    std::int64_t time = 0;
    Order order = Order::slice;
    std::string text;
  };

  /// Microseconds, as the format wants them, exact to the nanosecond.
  static std::string microseconds(std::int64_t ns) {
    return fmt::format("{}.{:03}", ns / 1000, ns % 1000);
  }

  void name_process(int process, const std::string& name) {
    metadata_ += fmt::format(
        "{}{{\"ph\":\"M\",\"pid\":{},\"tid\":0,\"name\":\"process_name\",\"args\":{{\"name\":{}}}}}"
        ",\n{{\"ph\":\"M\",\"pid\":{},\"tid\":0,\"name\":\"process_sort_index\",\"args\":"
        "{{\"sort_index\":{}}}}}",
        metadata_.empty() ? "" : ",\n", process, json_string(name), process, process);
  }
  void name_track(int process, int track, const std::string& name) {
    metadata_ += fmt::format(
        ",\n{{\"ph\":\"M\",\"pid\":{},\"tid\":{},\"name\":\"thread_name\",\"args\":{{\"name\":{}}}}"
        "}"
        ",\n{{\"ph\":\"M\",\"pid\":{},\"tid\":{},\"name\":\"thread_sort_index\",\"args\":"
        "{{\"sort_index\":{}}}}}",
        process, track, json_string(name), process, track, track);
  }

  int process_of(int core) {
    const int process = core_process + core;
    if (cores_.insert(core).second) name_process(process, fmt::format("core {}", core));
    return process;
  }

  int track_of(const TrackPoint& at, const Role& role) {
    const bool context = at.kind == TrackKind::context;
    const auto key = std::make_tuple(at.core, at.kind, at.lane,
                                     context ? copy_name(role, at.copy) : std::string());
    const auto known = tracks_.find(key);
    if (known != tracks_.end()) return known->second;
    int track = 0;
    std::string name;
    switch (at.kind) {
      case TrackKind::tensor_core:
        track = tensor_core_track;
        name = "tensor core";
        break;
      case TrackKind::vector_lanes:
        track = vector_lanes_track;
        name = "vector lanes";
        break;
      case TrackKind::special_function:
        track = special_function_track;
        name = "special functions";
        break;
      case TrackKind::copy:
        track = first_copy_track + at.lane;
        name = fmt::format("copy engine {}", at.lane);
        break;
      case TrackKind::store:
        track = first_store_track + at.lane;
        name = fmt::format("store {}", at.lane);
        break;
      case TrackKind::context:
        track = first_context_track + contexts_[at.core]++;
        name = fmt::format("block {} {}", at.lane, copy_name(role, at.copy));
        break;
    }
    name_track(process_of(at.core), track, name);
    tracks_.emplace(key, track);
    return track;
  }

  void add_slice(int process, int track, Cycles start, Cycles end, const std::string& name,
                 const std::string& arguments) {
    const std::int64_t from = nanoseconds(start), to = nanoseconds(end);
    events_.push_back(
        {from, Order::slice,
         fmt::format(R"({{"ph":"X","pid":{},"tid":{},"ts":{},"dur":{},"name":{},"args":{{{}}}}})",
                     process, track, microseconds(from), microseconds(to - from), name,
                     arguments)});
  }

  void add_flow(const Section& section, const Flow& flow, Cycles offset) {
    const std::int64_t from = nanoseconds(offset + flow.from.start);
    const std::int64_t to = nanoseconds(offset + flow.to.start);
    // A slice shorter than a nanosecond has no inside for a flow to begin or end in.
    if (from == nanoseconds(offset + flow.from.end) || to == nanoseconds(offset + flow.to.end))
      return;
    const Kernel& kernel = section.kernels[static_cast<std::size_t>(flow.kernel)];
    const auto end = [&](const char* phase, const TrackPoint& at, std::int64_t time, Order order) {
      const int track = track_of(at, kernel.roles[at.role]);
      events_.push_back(
          {time, order,
           fmt::format(
               R"({{"ph":"{}",{}"id":{},"cat":"barrier","name":"barrier","pid":{},"tid":{},"ts":{}}})",
               phase, order == Order::flow_end ? R"("bp":"e",)" : "", flows_, process_of(at.core),
               track, microseconds(time))});
    };
    ++flows_;
    end("s", flow.from, from, Order::flow_start);
    end("f", flow.to, to, Order::flow_end);
  }

  void mean_power(Picoseconds from, Picoseconds until, double joules) {
    if (from < until)
      add_power(from.value / 1000, joules / (static_cast<double>((until - from).value) * 1e-12));
  }

  void add_power(std::int64_t ns, double watts) {
    events_.push_back(
        {ns, Order::counter,
         fmt::format(
             R"({{"ph":"C","pid":{},"tid":0,"ts":{},"name":"power W","args":{{"chip":{:.2f}}}}})",
             chip_process, microseconds(ns), watts)});
  }

  void add_counters(std::int64_t ns, const ActivitySamples& samples, const ActivityBin& bin,
                    const std::int64_t* channel_bytes) {
    // Bytes per picosecond are 10^12 byte/s.
    const auto rate = [&](std::int64_t count) {
      return static_cast<double>(count) * 1e3 / static_cast<double>(samples.width.value);
    };
    const auto add = [&](const std::string& name, const std::string& series) {
      events_.push_back(
          {ns, Order::counter,
           fmt::format(R"({{"ph":"C","pid":{},"tid":0,"ts":{},"name":"{}","args":{{{}}}}})",
                       memory_process, microseconds(ns), name, series)});
    };
    add("memory GB/s",
        fmt::format(R"("read":{:.1f},"write":{:.1f})", rate(bin.hbm_read), rate(bin.hbm_write)));
    add("L2 GB/s", fmt::format(R"("read":{:.1f},"hit":{:.1f},"write":{:.1f})", rate(bin.l2_read),
                               rate(bin.l2_hit), rate(bin.l2_write)));
    add("tensor cores TFLOP/s",
        fmt::format(R"("all cores":{:.1f})", rate(bin.tensor_flops()) * 1e-3));
    const std::int64_t per_stack = ceil_div(samples.channels, stacks_);
    for (std::int64_t first = 0; first < samples.channels; first += per_stack) {
      std::string series;
      for (std::int64_t c = first; c < std::min(first + per_stack, samples.channels); ++c) {
        series += fmt::format("{}\"channel {}\":{:.1f}", series.empty() ? "" : ",", c - first,
                              rate(channel_bytes[c]));
      }
      add(fmt::format("HBM stack {} GB/s", first / per_stack), series);
    }
  }

  ClockDomain clock_;
  int stacks_;
  std::string metadata_;
  std::vector<Event> events_;
  std::int64_t flows_ = 0;
  std::set<int> cores_;
  std::map<int, int> contexts_;  // tracks of a core
  std::map<std::tuple<std::int32_t, TrackKind, std::int32_t, std::string>, int> tracks_;
  std::map<std::tuple<std::size_t, std::int32_t, std::uint16_t, std::int32_t, TrackKind, bool>,
           std::string>
      names_;
};

/// Executions that stand in the trace one by one; what follows of a longer run of equal ones is one
/// slice.
constexpr std::int64_t most_executions = 1000;

std::string place_name(const Section& section, std::int64_t first, std::int64_t last) {
  if (section.repeat <= 1) return section.name;
  return first == last ? fmt::format("{}[{}]", section.name, first)
                       : fmt::format("{}[{}-{}]", section.name, first, last);
}

std::string stretches(const SectionRecord& record) {
  if (record.window == record.period) return "all";
  return fmt::format("{} of every {} cycles", record.window.value, record.period.value);
}

/// Where on the chip's track the cores' slices are kept.
void add_stretches(Writer& writer, const SectionRecord& record, Cycles offset, Cycles cycles) {
  const std::string arguments = fmt::format(R"("stretches":"{}")", stretches(record));
  if (record.window == record.period) {
    writer.chip_slice(detail_track, offset, offset + cycles, "recorded", arguments);
    return;
  }
  for (Cycles start; start < cycles; start += record.period) {
    writer.chip_slice(detail_track, offset + start,
                      offset + std::min(cycles, start + record.window), "recorded", arguments);
  }
}

}  // namespace

std::string timeline_json(const Trace& trace, const ChipConfig& chip,
                          const std::vector<SectionPlace>& places,
                          const std::vector<SectionJob>& jobs, const TimelineRequest& request) {
  Writer writer(chip);
  Cycles now;
  std::vector<std::string> first_name(jobs.size());
  std::vector<std::int64_t> copies_of(trace.sections.size());
  std::int64_t kernel_slices = 0, executions = 0;
  for (const SectionPlace& place : places) {
    const Section& section = trace.sections[place.section];
    const SectionRecord& record = jobs[place.job].record;
    const Cycles cycles = cycles_of(record);
    std::int64_t& copy = copies_of[place.section];
    const std::int64_t end = copy + place.copies;
    while (copy < end) {
      const bool simulated = first_name[place.job].empty();
      const bool single = ++executions <= most_executions || simulated;
      const std::int64_t count = single ? 1 : end - copy;
      const std::string name = place_name(section, copy, copy + count - 1);
      if (simulated) {
        first_name[place.job] = name;
        writer.detail(section, place.section, record, now);
        writer.counters(record.samples, now, now + cycles);
        writer.power(record.samples, place.energy_j, now, now + cycles);
        add_stretches(writer, record, now, cycles);
      } else {
        writer.mean_power(place.energy_j, now, now + cycles);
      }
      writer.chip_slice(sections_track, now, now + cycles * count, name,
                        simulated ? fmt::format(R"("cycles":{})", cycles.value)
                                  : fmt::format(R"("cycles":{},"reused from":{})", cycles.value,
                                                json_string(first_name[place.job])));
      for (std::size_t i = 0; single && i < record.kernels.size(); ++i) {
        if (!simulated && ++kernel_slices > request.most_events / 4) break;
        const KernelRecord& k = record.kernels[i];
        const Kernel& kernel = section.kernels[i];
        writer.chip_slice(kernels_track, now + k.start, now + k.end, kernel.name,
                          fmt::format(R"("op":{},"blocks":{},"cycles":{})",
                                      json_string(section.ops[static_cast<std::size_t>(k.op)].name),
                                      kernel.grid, (k.end - k.start).value));
      }
      now += cycles * count;
      copy += count;
    }
  }
  writer.idle_power(now, chip.power.idle_w);
  std::string cores = "all";
  if (!request.cores.empty()) cores = fmt::format("{}", fmt::join(request.cores, ","));
  return writer.json(
      fmt::format(R"("chip":{},"workload":{},"clock_mhz":"{}","cores":"{}","most_events":"{}")",
                  json_string(chip.name), json_string(trace.workload), chip.clock.core_mhz, cores,
                  request.most_events));
}

}  // namespace tessera

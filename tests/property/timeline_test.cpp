#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "tests/property/sound_run.h"

using namespace tessera;
using namespace tessera::test;

namespace {

using Json = nlohmann::json;
using Track = std::pair<int, int>;

struct Recorded {
  RunResult result;
  std::string text;
};

Recorded record(const Trace& trace, const ChipConfig& on, std::vector<int> cores,
                SimulationOptions options = {}, std::int64_t most_events = 100'000) {
  Recorded recorded;
  options.timeline = TimelineRequest{std::move(cores), most_events,
                                     [&](std::string text) { recorded.text = std::move(text); }};
  recorded.result = simulate(trace, on, options);
  return recorded;
}

Json events_of(const Recorded& recorded) { return Json::parse(recorded.text).at("traceEvents"); }

/// Nanoseconds of a time in microseconds with three decimals.
std::int64_t ns(const Json& us) { return std::llround(us.get<double>() * 1000); }

struct Span {
  std::int64_t start, end;
};

/// What chrome://tracing and Perfetto ask of a trace; returns what there is of each phase.
std::map<std::string, int> check_format(const std::string& text) {
  const Json trace = Json::parse(text);
  std::map<std::string, int> count;
  std::set<int> processes;
  std::set<Track> tracks;
  std::map<Track, std::int64_t> free;  // end of the track's latest slice
  std::map<Track, std::vector<Span>> slices;
  std::map<std::string, std::int64_t> counted;
  std::map<int, std::pair<int, int>> flows;  // begins and ends by id
  std::map<int, std::int64_t> begun;
  for (const Json& event : trace.at("traceEvents")) {
    const std::string phase = event.at("ph");
    const Track track{event.at("pid"), event.at("tid")};
    ++count[phase];
    if (phase == "M") {
      if (event.at("name") == "process_name") CHECK(processes.insert(track.first).second);
      if (event.at("name") == "thread_name") CHECK(tracks.insert(track).second);
      continue;
    }
    CHECK(processes.count(track.first) == 1);
    const std::int64_t time = ns(event.at("ts"));
    CHECK(time >= 0);
    if (phase == "C") {
      const std::string name = event.at("name");
      const auto before = counted.find(name);
      if (before != counted.end()) CHECK(before->second <= time);
      counted[name] = time;
      for (const Json& value : event.at("args")) CHECK(value.get<double>() >= 0);
      continue;
    }
    CHECK(tracks.count(track) == 1);
    if (phase == "X") {
      const std::int64_t duration = ns(event.at("dur"));
      CHECK(duration >= 0);
      // One after the other: the simplest kind of nesting.
      CHECK(free[track] <= time);
      free[track] = time + duration;
      slices[track].push_back({time, time + duration});
      CHECK_FALSE(event.at("name").get<std::string>().empty());
      continue;
    }
    REQUIRE((phase == "s" || phase == "f"));
    // It binds to the slice that is open at its time: already told, and not empty.
    REQUIRE_FALSE(slices[track].empty());
    CHECK(slices[track].back().start <= time);
    CHECK(time < slices[track].back().end);
    auto& ends = flows[event.at("id").get<int>()];
    ++(phase == "s" ? ends.first : ends.second);
    if (phase == "s") begun[event.at("id")] = time;
    if (phase == "f") {
      CHECK(event.at("bp") == "e");
      CHECK(begun.at(event.at("id")) <= time);
    }
  }
  for (const auto& [id, ends] : flows) {
    INFO("flow " << id);
    CHECK(ends == std::make_pair(1, 1));
  }
  return count;
}

Trace two_layers(const ChipConfig& on) {
  WorkloadOptions options;
  options.seq = 256;
  options.layers = 2;
  return model_trace("gpt2-xl", options, on);
}

}  // namespace

TEST_CASE("a timeline keeps the rules of the trace event format") {
  const std::vector<std::string> ops = {
      "gemm m=2100 n=4100 k=1000 dtype=bf16",
      "gemm m=128 n=512 k=16384 dtype=fp16",
      "attention batch=1 q_len=700 kv_len=700 heads=16 kv_heads=4 head_dim=128 causal=1",
      "moe tokens=300 hidden=1024 inter=704 topk=2 experts=8 dtype=bf16",
      "rmsnorm rows=3001 cols=4096 dtype=bf16",
      "allreduce ranks=8 bytes=1048576 dtype=bf16",
  };
  for (const char* chip_name : {"h100-sxm", "toy"}) {
    const ChipConfig on = chip(chip_name);
    for (const std::string& op : ops) {
      if (op.rfind("allreduce", 0) == 0 && on.link.bandwidth_gbps <= 0) continue;
      INFO(op << " on " << chip_name);
      const Recorded recorded = record(op_trace(op, on), on, {0, 1, 2, 3});
      std::map<std::string, int> count = check_format(recorded.text);
      CHECK(count["X"] > 3);
      CHECK(count["C"] > 3);
      if (op.rfind("gemm", 0) == 0) CHECK(count["s"] > 10);
    }
  }
}

TEST_CASE("the tensor core's slices of all cores are its time in the report") {
  const ChipConfig on = chip("toy");
  const Recorded recorded =
      record(op_trace("gemm m=512 n=512 k=512 dtype=bf16", on), on, {}, {}, 10'000'000);
  std::int64_t cycles = 0;
  const Json events = events_of(recorded);
  for (const Json& event : events) {
    if (event.at("ph") == "X" && event.at("name").get<std::string>().rfind("mma", 0) == 0)
      cycles += event.at("args").at("cycles").get<std::int64_t>();
  }
  const OpResult& op = recorded.result.ops.front();
  const auto charged = [&](Cause cause) { return op.core_cycles[static_cast<std::size_t>(cause)]; };
  const std::int64_t issue = charged(Cause::pipeline);
  CHECK(cycles >= charged(Cause::tensor_core) + charged(Cause::scratchpad));
  CHECK(cycles <= charged(Cause::tensor_core) + charged(Cause::scratchpad) + issue);
}

TEST_CASE("watching a run changes nothing of it") {
  for (const char* chip_name : {"h100-sxm", "toy"}) {
    const ChipConfig on = chip(chip_name);
    const Trace trace = two_layers(on);
    const std::string expected = report(simulate(trace, on));
    CHECK(report(record(trace, on, {}).result) == expected);
    SimulationOptions options;
    options.activity_bins = 100;
    RunResult sampled = simulate(trace, on, options);
    CHECK_FALSE(sampled.activity.empty());
    sampled.activity.clear();
    CHECK(report(sampled) == expected);
  }
}

TEST_CASE("the timeline depends neither on the jobs nor on the order of construction") {
  const ChipConfig on = chip("h100-sxm");
  const Trace trace = two_layers(on);
  const std::string expected = record(trace, on, {0, 5}).text;
  SimulationOptions options;
  options.jobs = 3;
  options.construction_seed = 7;
  CHECK(record(trace, on, {0, 5}, options).text == expected);
}

TEST_CASE("the size of a timeline is bounded, and says what it keeps") {
  const ChipConfig on = chip("h100-sxm");
  const Trace trace = op_trace("gemm m=4096 n=4096 k=4096 dtype=bf16", on);
  for (const std::int64_t most : {100, 3000}) {
    const Recorded recorded = record(trace, on, {}, {}, most);
    std::map<std::string, int> count = check_format(recorded.text);
    std::int64_t stretches = 0;
    const Json events = events_of(recorded);
    for (const Json& event : events) {
      if (event.at("ph") != "X" || event.at("name") != "recorded") continue;
      ++stretches;
      CHECK(event.at("args").at("stretches").get<std::string>().find(" of every ") !=
            std::string::npos);
    }
    CHECK(stretches > 1);
    CHECK(stretches < 64);
    // A section, a kernel, the stretches; the rest is what was kept.
    CHECK(count["X"] + count["s"] <= most + stretches + 2);
    CHECK(count["X"] > most / 20);
  }
}

TEST_CASE("layers that took another's result stand in their places and say so") {
  const ChipConfig on = chip("toy");
  WorkloadOptions options;
  options.seq = 64;
  options.layers = 5;
  const Trace trace = model_trace("gpt2-xl", options, on);
  const Recorded recorded = record(trace, on, {0});
  check_format(recorded.text);
  std::int64_t cycles = 0;
  int reused = 0;
  std::map<std::string, int> kernels;
  const Json events = events_of(recorded);
  for (const Json& event : events) {
    if (event.at("ph") != "X" || event.at("pid") != 1) continue;
    if (event.at("tid") == 1) {
      cycles += event.at("args").at("cycles").get<std::int64_t>();
      reused += event.at("args").contains("reused from") ? 1 : 0;
    }
    if (event.at("tid") == 2) ++kernels[event.at("name")];
  }
  std::int64_t expected = 0, executed = 0;
  for (const OpResult& op : recorded.result.ops) expected += op.cycles.value * op.repeat;
  for (const Section& section : trace.sections)
    executed += section.repeat * static_cast<std::int64_t>(section.kernels.size());
  CHECK(cycles == expected);
  CHECK(reused == recorded.result.reused_sections);
  int shown = 0;
  for (const auto& [name, times] : kernels) shown += times;
  CHECK(shown == executed);
}

TEST_CASE("a million equal sections take one slice behind the first thousand") {
  OneKernel k;
  k.role("worker", {Setup{100}});
  const Recorded recorded = record(k.trace(1'000'000), chip("toy"), {0});
  std::map<std::string, int> count = check_format(recorded.text);
  CHECK(count["X"] < 3000);
  CHECK(recorded.text.find("\"test[1000-999999]\"") != std::string::npos);
}

TEST_CASE("activity adds up to the report's totals") {
  for (const char* chip_name : {"h100-sxm", "toy"}) {
    const ChipConfig on = chip(chip_name);
    SimulationOptions options;
    options.activity_bins = 64;
    const RunResult result = simulate(two_layers(on), on, options);
    REQUIRE_FALSE(result.activity.empty());
    ActivityBin sum;
    std::int64_t cycles = 0, read = 0, write = 0, l2_read = 0, l2_hit = 0, all = 0;
    for (const SectionActivity& section : result.activity) {
      CHECK(section.bins.size() <= 256);
      const auto ps = static_cast<double>(section.bin_width.value);
      for (std::size_t i = 0; i < section.bins.size(); ++i) {
        const ActivityBin& bin = section.bins[i];
        // The last may hold what its memory has yet to write.
        if (i + 1 < section.bins.size()) {
          CHECK(static_cast<double>(bin.hbm_read + bin.hbm_write) <=
                on.hbm.bandwidth_gbps * 1e-3 * ps);
          CHECK(static_cast<double>(bin.tensor_flops()) <=
                result.peak_flops_per_cycle * result.clock_mhz * 1e-6 * ps * 1.0001);
        }
        sum.hbm_read += bin.hbm_read * section.repeat;
        sum.hbm_write += bin.hbm_write * section.repeat;
        sum.l2_read += bin.l2_read * section.repeat;
        sum.l2_hit += bin.l2_hit * section.repeat;
      }
      Cycles before;
      for (const KernelSpan& kernel : section.kernels) {
        CHECK(before <= kernel.start);
        CHECK(kernel.start < kernel.end);
        before = kernel.end;
      }
      CHECK(before == section.cycles);
      cycles += section.cycles.value * section.repeat;
    }
    for (const OpResult& op : result.ops) {
      all += op.cycles.value * op.repeat;
      read += op.hbm_read.value * op.repeat;
      write += op.hbm_write.value * op.repeat;
      l2_read += op.l2_read.value * op.repeat;
      l2_hit += op.l2_hit.value * op.repeat;
    }
    CHECK(cycles == all);
    CHECK(sum.hbm_read == read);
    CHECK(sum.hbm_write == write);
    CHECK(sum.l2_read == l2_read);
    CHECK(sum.l2_hit == l2_hit);
  }
}

TEST_CASE("activity keeps to the peak of a chip that has fp16 alone of the 16-bit formats") {
  ChipConfig on = chip("h100-sxm");
  on.tensor_core.bf16_flops_per_cycle = 0;
  SimulationOptions options;
  options.activity_bins = 64;
  const RunResult result =
      simulate(op_trace("gemm m=2048 n=2048 k=2048 dtype=fp16", on), on, options);
  for (const SectionActivity& section : result.activity) {
    const auto ps = static_cast<double>(section.bin_width.value);
    for (std::size_t i = 0; i + 1 < section.bins.size(); ++i) {
      CHECK(static_cast<double>(section.bins[i].tensor_flops()) <=
            static_cast<double>(on.tensor_core.flops_per_cycle(Format::fp16) * on.core.count) *
                result.clock_mhz * 1e-6 * ps * 1.0001);
    }
  }
}

TEST_CASE("the area under the power counter is the run's energy") {
  WorkloadOptions workload;
  workload.seq = 64;
  workload.layers = 3;
  for (const char* chip_name : {"h100-sxm", "toy"}) {
    const ChipConfig on = chip(chip_name);
    const std::vector<Trace> traces = {model_trace("gpt2-xl", workload, on),
                                       op_trace("gemm m=1024 n=1024 k=1024 dtype=bf16", on),
                                       op_trace("allreduce ranks=8 bytes=1048576", on)};
    for (const Trace& trace : traces) {
      for (const bool reuse : {true, false}) {
        INFO(trace.workload << " on " << chip_name << (reuse ? ", reused" : ""));
        SimulationOptions options;
        options.reuse = reuse;
        const Recorded recorded = record(trace, on, {0}, options);
        double joules = 0, before_us = 0, watts = 0, energy = 0;
        const Json events = events_of(recorded);
        for (const Json& event : events) {
          if (event.at("name") != "power W") continue;
          const double us = event.at("ts").get<double>();
          joules += watts * (us - before_us) * 1e-6;
          before_us = us;
          watts = event.at("args").at("chip").get<double>();
        }
        for (const OpResult& op : recorded.result.ops)
          energy += op.energy_j * static_cast<double>(op.repeat);
        CHECK(joules == Approx(energy).epsilon(0.002));
        CHECK(watts == on.power.idle_w);  // behind the end
      }
    }
  }
}

TEST_CASE("an exchange draws its power evenly, for as long as it takes") {
  const ChipConfig on = chip("h100-sxm");
  SimulationOptions options;
  options.activity_bins = 64;
  const RunResult run = simulate(op_trace("allreduce ranks=8 bytes=67108864", on), on, options);
  REQUIRE(run.activity.size() == 1);
  const SectionActivity& section = run.activity[0];
  REQUIRE(section.bins.size() > 8);
  std::int64_t sent = 0, own = 0;
  for (std::size_t i = 0; i < section.bins.size(); ++i) {
    sent += section.bins[i].link_bytes;
    own += section.bins[i].exchange_bytes;
    // The first holds the launch gap, the last may be short.
    if (i > 0 && i + 2 < section.bins.size())
      CHECK(section.energy_j[i] == Approx(section.energy_j[i + 1]).epsilon(0.05));
  }
  CHECK(sent == 67108864LL * 9 / 8);
  CHECK(own == 2 * 67108864LL);
}

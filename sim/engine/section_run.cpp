#include "sim/engine/section_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <type_traits>

#include "sim/base/error.h"
#include "sim/chip/chip.h"
#include "sim/engine/process_pool.h"

namespace tessera {
namespace {

static_assert(std::is_trivially_copyable<KernelRecord>::value, "records cross a pipe as bytes");

// First byte of a child's answer.
enum class Outcome : char { done = 'D', bad_input = 'I', failed = 'F' };

std::vector<int> construction_order(int cores, std::uint64_t seed) {
  std::vector<int> order(static_cast<std::size_t>(cores));
  std::iota(order.begin(), order.end(), 0);
  // Fisher-Yates with a 64-bit linear congruential step (Knuth): any permutation will do.
  for (std::size_t i = order.size(); seed != 0 && i > 1; --i) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    std::swap(order[i - 1], order[(seed >> 33) % i]);
  }
  return order;
}

void append(std::string& out, const void* data, std::size_t size) {
  out.append(static_cast<const char*>(data), size);
}

std::string simulate_section(const Section& section, const ChipConfig& config,
                             const SimulationOptions& options) {
  std::string answer;
  try {
    Chip chip("chip", config, section, options.memory,
              construction_order(config.core.count, options.construction_seed));
    sc_core::sc_report_handler::set_actions(sc_core::SC_INFO, sc_core::SC_DO_NOTHING);
    sc_core::sc_start();
    chip.arbiter().rethrow();
    if (!chip.processor().finished()) throw SimulationError(chip.processor().explain());
    const std::int64_t events = chip.arbiter().events();
    answer.push_back(static_cast<char>(Outcome::done));
    append(answer, &events, sizeof events);
    for (const KernelRecord& record : chip.processor().records())
      append(answer, &record, sizeof record);
  } catch (const InputError& error) {
    answer = std::string(1, static_cast<char>(Outcome::bad_input)) + error.what();
  } catch (const std::exception& error) {
    answer = std::string(1, static_cast<char>(Outcome::failed)) + error.what();
  }
  return answer;
}

struct Failure {
  std::size_t job;
  Outcome outcome;
  std::string text;
};

SectionRecord parse(const std::string& answer) {
  SectionRecord record;
  const char* at = answer.data() + 1;
  std::memcpy(&record.events, at, sizeof record.events);
  at += sizeof record.events;
  const std::size_t count = (answer.size() - 1 - sizeof record.events) / sizeof(KernelRecord);
  record.kernels.resize(count);
  if (count > 0) std::memcpy(record.kernels.data(), at, count * sizeof(KernelRecord));
  return record;
}

}  // namespace

void run_sections(std::vector<SectionJob>& jobs, const ChipConfig& chip,
                  const SimulationOptions& options) {
  std::vector<Failure> failures;
  const auto task = [&](std::size_t i) {
    return simulate_section(*jobs[i].section, chip, options);
  };
  const auto answered = [&](std::size_t i, const ProcessAnswer& answer) {
    if (!answer.failure.empty()) {
      failures.push_back(
          {i, Outcome::failed,
           fmt::format("the simulation of section {} {}", jobs[i].section->name, answer.failure)});
    } else if (answer.text[0] != static_cast<char>(Outcome::done)) {
      failures.push_back({i, static_cast<Outcome>(answer.text[0]), answer.text.substr(1)});
    } else {
      jobs[i].record = parse(answer.text);
      jobs[i].record.peak_rss_bytes = answer.peak_rss_bytes;
    }
    return failures.empty() ? AfterAnswer::go_on : AfterAnswer::start_no_more;
  };
  run_processes(jobs.size(), options.jobs, task, answered);
  if (failures.empty()) return;
  const Failure& first =
      *std::min_element(failures.begin(), failures.end(),
                        [](const Failure& a, const Failure& b) { return a.job < b.job; });
  if (first.outcome == Outcome::bad_input) throw InputError("", first.text, "");
  throw SimulationError(first.text);
}

}  // namespace tessera

#include "sim/engine/section_run.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <optional>
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

/// Chip time that each job has simulated: memory that the children share with their parent.
class ProgressBoard {
 public:
  using Entry = std::atomic<std::int64_t>;  // picoseconds
  static_assert(Entry::is_always_lock_free, "shared between processes");

  explicit ProgressBoard(std::size_t jobs) : count_(jobs) {
    void* const memory = mmap(nullptr, count_ * sizeof(Entry), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      throw SimulationError(fmt::format("shared memory: {}", std::strerror(errno)));
    }
    entries_ = static_cast<Entry*>(memory);  // zero pages are zero counts
  }
  ~ProgressBoard() { munmap(entries_, count_ * sizeof(Entry)); }
  ProgressBoard(const ProgressBoard&) = delete;
  ProgressBoard& operator=(const ProgressBoard&) = delete;

  Entry& operator[](std::size_t job) { return entries_[job]; }
  double simulated_us() const {
    double sum = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      sum += static_cast<double>(entries_[i].load(std::memory_order_relaxed)) * 1e-6;
    }
    return sum;
  }

 private:
  std::size_t count_;
  Entry* entries_ = nullptr;
};

/// Runs until nothing is pending, noting the time now and then.
void run_to_the_end(ProgressBoard::Entry* noted) {
  if (noted == nullptr) {
    sc_core::sc_start();
    return;
  }
  constexpr Picoseconds stretch(20'000'000);
  while (sc_core::sc_pending_activity() && sc_core::sc_get_status() != sc_core::SC_STOPPED) {
    sc_core::sc_start(ClockDomain::to_sc_time(stretch), sc_core::SC_EXIT_ON_STARVATION);
    noted->store(ClockDomain::from_sc_time(sc_core::sc_time_stamp()).value,
                 std::memory_order_relaxed);
  }
}

void append(std::string& out, const void* data, std::size_t size) {
  out.append(static_cast<const char*>(data), size);
}

std::string simulate_section(const Section& section, const ChipConfig& config,
                             const SimulationOptions& options, ProgressBoard::Entry* noted) {
  std::string answer;
  try {
    Chip chip("chip", config, section, options.memory,
              construction_order(config.core.count, options.construction_seed));
    sc_core::sc_report_handler::set_actions(sc_core::SC_INFO, sc_core::SC_DO_NOTHING);
    run_to_the_end(noted);
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
  std::optional<ProgressBoard> board;
  double least_us = 0;
  if (options.progress && !jobs.empty()) {
    board.emplace(jobs.size());
    for (const SectionJob& job : jobs) least_us += job.least_us;
  }
  const auto task = [&](std::size_t i) {
    return simulate_section(*jobs[i].section, chip, options, board ? &(*board)[i] : nullptr);
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
  WhileWaiting meanwhile;
  meanwhile.once = options.beside;
  if (board) meanwhile.often = [&] { options.progress(board->simulated_us(), least_us); };
  run_processes(jobs.size(), options.jobs, task, answered, meanwhile);
  if (failures.empty()) return;
  const Failure& first =
      *std::min_element(failures.begin(), failures.end(),
                        [](const Failure& a, const Failure& b) { return a.job < b.job; });
  if (first.outcome == Outcome::bad_input) throw InputError("", first.text, "");
  throw SimulationError(first.text);
}

}  // namespace tessera

#include "sim/engine/section_run.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>
#include <numeric>
#include <optional>
#include <string>
#include <type_traits>

#include "sim/base/error.h"
#include "sim/chip/chip.h"
#include "sim/engine/process_pool.h"

namespace tessera {
namespace {

// First byte of a child's answer.
enum class Outcome : char { done = 'D', bad_input = 'I', failed = 'F', no_memory = 'M' };

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

/// Runs until nothing is pending, noting the time and the chip's counters now and then.
void run_to_the_end(ProgressBoard::Entry* noted, ActivitySampler* sampler) {
  if (noted == nullptr && sampler == nullptr) {
    sc_core::sc_start();
    return;
  }
  constexpr Picoseconds stretch(20'000'000);
  while (sc_core::sc_pending_activity() && sc_core::sc_get_status() != sc_core::SC_STOPPED) {
    const Picoseconds next = sampler != nullptr ? sampler->width() : stretch;
    sc_core::sc_start(ClockDomain::to_sc_time(next), sc_core::SC_RUN_TO_TIME);
    if (sampler != nullptr) sampler->sample();
    if (noted != nullptr) {
      noted->store(ClockDomain::from_sc_time(sc_core::sc_time_stamp()).value,
                   std::memory_order_relaxed);
    }
  }
}

// Records cross the pipe as bytes.
template <class Item>
void put(std::string& out, const Item& item) {
  static_assert(std::is_trivially_copyable<Item>::value);
  out.append(reinterpret_cast<const char*>(&item), sizeof item);
}

template <class Item>
void put(std::string& out, const std::vector<Item>& items) {
  static_assert(std::is_trivially_copyable<Item>::value);
  put(out, items.size());
  out.append(reinterpret_cast<const char*>(items.data()), items.size() * sizeof(Item));
}

class Answer {
 public:
  explicit Answer(const std::string& text) : at_(text.data() + 1) {}

  template <class Item>
  void take(Item& item) {
    std::memcpy(&item, at_, sizeof item);
    at_ += sizeof item;
  }
  template <class Item>
  void take(std::vector<Item>& items) {
    std::size_t count = 0;
    take(count);
    items.resize(count);
    if (count > 0) std::memcpy(items.data(), at_, count * sizeof(Item));
    at_ += count * sizeof(Item);
  }

 private:
  const char* at_;
};

/// How one section is watched while it runs.
struct Watch {
  std::size_t activity_bins = 0;  // 0: none
  std::size_t most_events = 0;    // of the timeline; 0: none
};

/// A total over `jobs` sections, shared among them.
Watch watch_of(const SimulationOptions& options, std::size_t jobs) {
  Watch watch;
  const auto share = [&](std::int64_t total) { return static_cast<std::size_t>(total) / jobs; };
  if (options.activity_bins > 0 || options.timeline) {
    constexpr std::int64_t usual_bins = 2048;
    watch.activity_bins =
        std::clamp<std::size_t>(
            share(options.activity_bins > 0 ? options.activity_bins : usual_bins), 8, 256) &
        ~std::size_t{1};
  }
  if (options.timeline)
    watch.most_events = std::max<std::size_t>(share(options.timeline->most_events), 1);
  return watch;
}

std::vector<bool> chosen_cores(const TimelineRequest& request, int cores) {
  std::vector<bool> chosen(static_cast<std::size_t>(cores), request.cores.empty());
  for (const int core : request.cores) chosen[static_cast<std::size_t>(core)] = true;
  return chosen;
}

std::string simulate_section(const Section& section, const ChipConfig& config,
                             const SimulationOptions& options, const Watch& watch,
                             ProgressBoard::Entry* noted) {
  std::string answer;
  try {
    std::optional<TimelineRecorder> recorder;
    if (watch.most_events > 0)
      recorder.emplace(chosen_cores(*options.timeline, config.core.count), watch.most_events);
    Chip chip("chip", config, section, options.memory, options.before,
              construction_order(config.core.count, options.construction_seed),
              recorder ? &*recorder : nullptr);
    std::optional<ActivitySampler> sampler;
    if (watch.activity_bins > 0) sampler.emplace(chip, config, section, watch.activity_bins);
    sc_core::sc_report_handler::set_actions(sc_core::SC_INFO, sc_core::SC_DO_NOTHING);
    if (noted == nullptr && !sampler) chip.run_ahead();
    run_to_the_end(noted, sampler ? &*sampler : nullptr);
    chip.arbiter().rethrow();
    if (!chip.processor().finished()) throw SimulationError(chip.processor().explain());
    answer.push_back(static_cast<char>(Outcome::done));
    put(answer, chip.arbiter().events());
    put(answer, chip.processor().records());
    const ActivitySamples samples = sampler ? sampler->finish() : ActivitySamples{};
    put(answer, samples.width);
    put(answer, samples.bins);
    put(answer, samples.channels);
    put(answer, samples.channel_bytes);
    put(answer, recorder ? recorder->slices() : std::vector<Slice>{});
    put(answer, recorder ? recorder->flows() : std::vector<Flow>{});
    put(answer, recorder ? recorder->period() : Cycles(0));
    put(answer, recorder ? recorder->window() : Cycles(0));
  } catch (const InputError& error) {
    answer = std::string(1, static_cast<char>(Outcome::bad_input)) + error.what();
  } catch (const std::bad_alloc&) {
    answer = std::string(1, static_cast<char>(Outcome::no_memory));
  } catch (const std::exception& error) {
    answer = std::string(1, static_cast<char>(Outcome::failed)) + error.what();
  }
  return answer;
}

SectionRecord parse(const std::string& text) {
  SectionRecord record;
  Answer answer(text);
  answer.take(record.events);
  answer.take(record.kernels);
  answer.take(record.samples.width);
  answer.take(record.samples.bins);
  answer.take(record.samples.channels);
  answer.take(record.samples.channel_bytes);
  answer.take(record.slices);
  answer.take(record.flows);
  answer.take(record.period);
  answer.take(record.window);
  return record;
}

struct Failure {
  std::size_t job;
  Outcome outcome;
  std::string text;
};

}  // namespace

Cycles cycles_of(const SectionRecord& record) {
  Cycles cycles;
  for (const KernelRecord& kernel : record.kernels) cycles += kernel.cycles;
  return cycles;
}

void run_sections(std::vector<SectionJob>& jobs, const ChipConfig& chip,
                  const SimulationOptions& options) {
  std::vector<Failure> failures;
  std::optional<ProgressBoard> board;
  double least_us = 0;
  if (options.progress && !jobs.empty()) {
    board.emplace(jobs.size());
    for (const SectionJob& job : jobs) least_us += job.least_us;
  }
  const Watch watch = watch_of(options, std::max<std::size_t>(jobs.size(), 1));
  const auto task = [&](std::size_t i) {
    return simulate_section(*jobs[i].section, chip, options, watch, board ? &(*board)[i] : nullptr);
  };
  const auto answered = [&](std::size_t i, const ProcessAnswer& answer) {
    if (!answer.failure.empty()) {
      failures.push_back(
          {i, answer.end == ProcessEnd::out_of_memory ? Outcome::no_memory : Outcome::failed,
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
  if (options.last_of_process && jobs.size() == 1 && !options.beside) {
    ProcessAnswer answer;
    answer.text = task(0);
    answered(0, answer);
  } else {
    run_processes(jobs.size(), options.jobs, task, answered, meanwhile);
  }
  if (failures.empty()) return;
  const Failure& first =
      *std::min_element(failures.begin(), failures.end(),
                        [](const Failure& a, const Failure& b) { return a.job < b.job; });
  if (first.outcome == Outcome::no_memory) throw std::bad_alloc();
  if (first.outcome == Outcome::bad_input) throw InputError("", first.text, "");
  throw SimulationError(first.text);
}

}  // namespace tessera

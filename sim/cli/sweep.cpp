#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "sim/base/error.h"
#include "sim/cli/data_dirs.h"
#include "sim/cli/flag_value.h"
#include "sim/cli/output_file.h"
#include "sim/cli/terminal.h"
#include "sim/cli/verb.h"
#include "sim/cli/version.h"
#include "sim/sweep/plan.h"
#include "sim/sweep/results_database.h"
#include "sim/sweep/results_report.h"
#include "sim/sweep/slurm.h"
#include "sim/sweep/sweep_file.h"
#include "sim/sweep/sweep_run.h"

namespace tessera::cli {
namespace {

constexpr const char* example = R"(Examples:
  tessera sweep configs/sweeps/hbm-against-l2.yaml --out results.db
  tessera report results.db
  tessera sweep configs/sweeps/hbm-against-l2.yaml --out results.db --resume
  tessera sweep configs/sweeps/hbm-against-l2.yaml --out part-2.db --shard 2/8
  tessera sweep configs/sweeps/hbm-against-l2.yaml --out results.db --resume --merge part-2.db

docs/sweeps.md describes the file, the database, and sweeps on many machines. Ctrl-C stops a sweep
with status 130; --resume goes on where it was, also after a kill -9.
)";

std::atomic<bool> stop_wanted{false};

extern "C" void want_stop(int) { stop_wanted.store(true); }

/// From here on SIGINT, SIGTERM and SIGHUP ask the sweep to stop. Its children inherit that, and so
/// go on until they are ended: what a terminal or a scheduler sends to all of them is no crash.
void stop_on_signals() {
  static_assert(std::atomic<bool>::is_always_lock_free);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction old {};
    if (sigaction(signal, nullptr, &old) == 0 && old.sa_handler == SIG_IGN) continue;
    struct sigaction action {};
    action.sa_handler = want_stop;
    sigaction(signal, &action, nullptr);
  }
  // A file that grows beyond its limit is an error of the write, not the end of the program.
  std::signal(SIGXFSZ, SIG_IGN);
}

/// How far a sweep is: a line that changes on a terminal, else a line now and then.
class SweepProgress {
 public:
  void update(std::size_t done, std::size_t of) {
    terminal_.update(done, of);
    if (terminal_.is_shown() || done == 0) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - printed_ < std::chrono::seconds(10)) return;
    printed_ = now;
    const double elapsed = std::chrono::duration<double>(now - began_).count();
    const double rate = static_cast<double>(done) / elapsed;
    fmt::print(stderr, "{} of {} points, {:.1f}/s, {:.0f} s left\n", done, of, rate,
               static_cast<double>(of - done) / rate);
  }

 private:
  Progress terminal_{"sweeping"};
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point printed_ = began_;
};

struct Sweep {
  std::string file, out, jobs, shard, points, json, cache, executor, chunk;
  std::vector<std::string> merge, sbatch;
  bool resume = false, retry = false, no_wait = false;

  bool on_slurm() const { return executor == "slurm"; }

  void check_flags() const {
    if (file.empty()) throw InputError("FILE.yaml", "missing", "give a sweep file");
    if (out.empty()) throw InputError("--out", "missing", "give the database to write");
    if (!executor.empty() && executor != "local" && executor != "slurm")
      throw InputError("--executor", fmt::format("there is no executor '{}'", executor),
                       "give local or slurm");
    if (!shard.empty() && !points.empty())
      throw InputError("--points", "given with --shard", "give one of the two");
    const bool is_part = !shard.empty() || !points.empty();
    if (on_slurm() && (is_part || !merge.empty()))
      throw InputError("--executor", "slurm shares out all points by itself",
                       "leave --shard, --points and --merge out");
    if (!merge.empty() && is_part)
      throw InputError("--merge", "given with a part of the points", "leave --shard, --points out");
    if (!on_slurm() && (!chunk.empty() || !sbatch.empty() || no_wait))
      throw InputError("--executor", "--chunk, --sbatch and --no-wait are for slurm",
                       "add --executor slurm");
  }

  /// The points of this part of the sweep, ascending; empty: all.
  std::vector<std::int64_t> part(const SweepPlan& plan) const {
    const auto count = static_cast<std::int64_t>(plan.points.points.size());
    if (!shard.empty()) {
      const std::size_t slash = shard.find('/');
      if (slash == std::string::npos)
        throw InputError("--shard", fmt::format("'{}' is no I/N", shard), "e.g. 2/8");
      const std::int64_t shards =
          parse_count("--shard", shard.substr(slash + 1), 1, max_sweep_points);
      const auto ids =
          shard_points(plan, parse_count("--shard", shard.substr(0, slash), 1, shards), shards);
      if (ids.empty())
        throw InputError("--shard", fmt::format("{} of {} points is none", shard, count),
                         fmt::format("make at most {} shards", count));
      return ids;
    }
    if (points.empty()) return {};
    std::vector<std::int64_t> ids;
    std::ifstream stream(points);
    for (std::string line; std::getline(stream, line);)
      ids.push_back(parse_count("--points", line, 1, count));
    if (ids.empty())
      throw InputError("--points", fmt::format("no points in '{}'", points),
                       "give a file with an id a line");
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    return ids;
  }

  ResultsDatabase open_database(const SweepFile& sweep, const SweepPlan& plan,
                                const std::vector<std::int64_t>& wanted) const {
    std::error_code ignored;
    if (!std::filesystem::exists(out, ignored))
      return ResultsDatabase::create(out, sweep, plan, wanted);
    if (!resume)
      throw InputError({out, 0}, "", "exists", "go on with --resume, or give another --out");
    ResultsDatabase database = ResultsDatabase::open(out, sweep, plan);
    const std::vector<std::int64_t> held = database.ids();
    const bool whole = held.size() == plan.points.points.size();
    if (wanted.empty() ? !whole : held != wanted)
      throw InputError({out, 0}, "",
                       whole ? "holds the whole sweep, not a part of it"
                             : fmt::format("is a part of the sweep, {} of its {} points, and not "
                                           "the one asked for",
                                           held.size(), plan.points.points.size()),
                       "give --shard or --points as when it was made, or another --out; --merge "
                       "puts parts together");
    return database;
  }

  std::string tasks_folder() const { return std::filesystem::absolute(out).string() + ".tasks"; }

  /// What of the flags can be wrong only once files are read: nothing is written before.
  void check_values() const {
    parse_jobs(jobs);
    if (!chunk.empty()) parse_count("--chunk", chunk, 1, max_sweep_points);
    if (on_slurm()) check_slurm(tasks_folder());
    for (const std::string& other : merge)
      if (!std::filesystem::exists(other))
        throw InputError("--merge", fmt::format("there is no {}", other),
                         "give a database of the same sweep");
  }

  SweepSummary run_here(const SweepFile& sweep, const SweepPlan& plan, PointBuilder& builder,
                        ResultsDatabase& database, const std::vector<std::int64_t>& wanted) const {
    SweepOptions options;
    options.jobs = parse_jobs(jobs);
    options.retry = retry;
    options.only = wanted;
    if (!cache.empty()) options.cache = ResultsDatabase::done_points(cache);
    SweepProgress progress;
    options.stop = [] { return stop_wanted.load(); };
    options.progress = [&](std::size_t done, std::size_t of) { progress.update(done, of); };
    return run_sweep(sweep, plan, builder, database, options);
  }

  /// Takes over what the tasks of the last job have done, submits the rest, and waits for it.
  SweepSummary run_on_slurm(ResultsDatabase& database) const {
    const std::string folder = tasks_folder();
    SweepSummary summary;
    const auto merge_tasks = [&] {
      for (const std::string& result : task_results(folder)) {
        const DatabaseLock lock(result);
        summary.ran += database.merge(result);
        std::filesystem::remove(result);
      }
    };
    const std::string last = submitted_job(folder);
    if (!last.empty() && is_active(last))
      throw InputError({out, 0}, "", fmt::format("job {} still works on it", last),
                       fmt::format("wait for it, or end it: scancel {}", last));
    merge_tasks();
    SlurmJob job;
    job.points = database.open_points(retry);
    if (job.points.empty()) {
      remove_tasks(folder);
      return summary;
    }
    job.folder = folder;
    job.arguments = sbatch;
    if (!jobs.empty()) job.processors = parse_jobs(jobs);
    if (!chunk.empty()) job.chunk = parse_count("--chunk", chunk, 1, max_sweep_points);
    job.command = {std::filesystem::read_symlink("/proc/self/exe").string(), "sweep",
                   std::filesystem::absolute(file).string(), "--jobs",
                   std::to_string(job.processors)};
    if (retry) job.command.emplace_back("--retry");
    if (!cache.empty()) {
      job.command.emplace_back("--cache");
      job.command.push_back(std::filesystem::absolute(cache).string());
    }
    const std::string number = submit(job);
    fmt::print(stderr, "job {}: {} points\n", number, job.points.size());
    while (!no_wait && is_active(number)) {
      for (int tenth = 0; tenth < 10 && !stop_wanted.load(); ++tenth)
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      if (stop_wanted.load()) {
        fmt::print(stderr, "job {} goes on; --resume takes over what it does\n", number);
        summary.stopped = true;
        return summary;
      }
    }
    if (no_wait) return summary;
    merge_tasks();
    // The logs of tasks that did not get through are worth reading.
    if (database.open_points(retry).empty()) {
      remove_tasks(folder);
    } else {
      summary.left = database.count(PointStatus::pending) > 0;
      if (summary.left) fmt::print(stderr, "tasks left points undone: see {}/task-*.log\n", folder);
    }
    return summary;
  }

  nlohmann::ordered_json summary_json(ResultsDatabase& database, const SweepSummary& summary,
                                      double wall_s) const {
    nlohmann::ordered_json result{{"schema", results_schema}, {"results", out}};
    std::size_t all = 0;
    for (const PointStatus status :
         {PointStatus::done, PointStatus::invalid, PointStatus::failed, PointStatus::crashed,
          PointStatus::timeout, PointStatus::out_of_memory, PointStatus::pending}) {
      result[std::string(name(status))] = database.count(status);
      all += database.count(status);
    }
    result["points"] = all;
    result["ran"] = summary.ran;
    result["cached"] = summary.cached;
    result["stopped"] = summary.stopped;
    result["wall_s"] = wall_s;
    return result;
  }

  static std::string summary_text(const nlohmann::ordered_json& result) {
    const auto count = [&](const char* key) { return result[key].get<std::size_t>(); };
    std::string text = fmt::format("{} of {} points done", count("done"), count("points"));
    for (const char* status :
         {"invalid", "failed", "crashed", "timeout", "out-of-memory", "pending"})
      if (count(status) > 0) text += fmt::format(", {} {}", count(status), status);
    text += fmt::format("; {} in {:.1f} s", count("ran"), result["wall_s"].get<double>());
    if (count("cached") > 0) text += fmt::format(" ({} from equal points)", count("cached"));
    const std::string results = result["results"];
    return text + fmt::format("\n{}: `tessera report {}`{}\n", results, results,
                              count("pending") > 0 ? "; --resume goes on" : "");
  }

  int run() {
    check_flags();
    std::optional<OutputFile> json_output;
    if (!json.empty()) json_output.emplace("--json", json);
    std::vector<InputFile> inputs = {{"FILE.yaml", file}, {"--cache", cache}, {"--points", points}};
    for (const std::string& other : merge) inputs.push_back({"--merge", other});
    refuse_input_as_output("--out", out, inputs);
    inputs.push_back({"--out", out});
    if (json_output) refuse_same_target({&*json_output}, inputs);
    const SweepFile sweep = read_sweep_file(file);
    PointBuilder builder(sweep, {chip_dirs(), model_dirs()});
    const SweepPlan plan = make_plan(sweep, builder, version);

    check_values();
    const std::vector<std::int64_t> wanted = part(plan);
    const auto began = std::chrono::steady_clock::now();
    const DatabaseLock lock(out);
    stop_on_signals();
    ResultsDatabase database = open_database(sweep, plan, wanted);
    SweepSummary summary;
    if (!merge.empty()) {
      for (const std::string& part : merge) summary.ran += database.merge(part);
    } else if (on_slurm()) {
      summary = run_on_slurm(database);
    } else {
      summary = run_here(sweep, plan, builder, database, wanted);
    }
    const double wall_s =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    const auto result = summary_json(database, summary, wall_s);
    if (json_output) json_output->commit(result.dump(2) + "\n");
    if (!json_output || !json_output->is_stdout()) print(summary_text(result));
    if (summary.stopped) return exit_interrupted;
    return summary.left ? exit_simulation_failed : exit_done;
  }
};

}  // namespace

Verb add_sweep(CLI::App& program) {
  CLI::App* app =
      add_verb(program, "sweep", "Simulate many chips and workloads", [] { return example; });
  const auto sweep = std::make_shared<Sweep>();
  app->add_option("FILE.yaml", sweep->file, "What to vary (docs/sweeps.md)");
  add_value(*app, "--out", sweep->out, "RESULTS.db", "The database to write");
  add_value(*app, "--jobs", sweep->jobs, "N",
            "Points that run at the same time (default: one per CPU)");
  app->add_flag("--resume", sweep->resume, "Go on with a database that exists");
  app->add_flag("--retry", sweep->retry, "Also run points again that crashed or exceeded a limit");
  add_value(*app, "--shard", sweep->shard, "I/N",
            "Run only the I-th of N parts, for a scheduler of your own");
  add_value(*app, "--points", sweep->points, "FILE",
            "Run only the points whose ids stand in this file, one a line");
  add_repeatable(*app, "--merge", sweep->merge, "PART.db",
                 "Run nothing: take over the results of a part; repeatable");
  add_value(*app, "--cache", sweep->cache, "OTHER.db",
            "Take the results of equal points from another sweep");
  add_value(*app, "--executor", sweep->executor, "NAME",
            "Where points run: local (default), or slurm: as a job array; --resume submits what is "
            "missing");
  add_value(*app, "--chunk", sweep->chunk, "N",
            "With slurm: points of a task (default: 50 or more)");
  add_repeatable(*app, "--sbatch", sweep->sbatch, "ARGUMENT",
                 "With slurm: for sbatch, e.g. --sbatch=--partition=long; repeatable");
  app->add_flag("--no-wait", sweep->no_wait,
                "With slurm: end once the job is submitted; --resume takes over its results");
  add_value(*app, "--json", sweep->json, "FILE",
            "Write the summary as JSON to this file (-: standard output)");
  return {app, [sweep] { return sweep->run(); }};
}

}  // namespace tessera::cli

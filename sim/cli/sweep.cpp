#include <fmt/format.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
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
  explicit SweepProgress(std::size_t points)
      : terminal_(fmt::format("sweeping {} points", points)) {}

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
  Progress terminal_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point printed_ = began_;
};

struct Sweep {
  std::string file, out, jobs, shard, json, cache;
  std::vector<std::string> merge;
  bool resume = false, retry = false;

  void parse_shard(SweepOptions& options) const {
    if (shard.empty()) return;
    const std::size_t slash = shard.find('/');
    if (slash == std::string::npos)
      throw InputError("--shard", fmt::format("'{}' is no I/N", shard), "e.g. 2/8");
    options.shards = parse_count("--shard", shard.substr(slash + 1), 1, max_sweep_points);
    options.shard = parse_count("--shard", shard.substr(0, slash), 1, options.shards);
  }

  nlohmann::ordered_json summary_json(ResultsDatabase& database, const SweepSummary& summary,
                                      std::size_t points, double wall_s) const {
    nlohmann::ordered_json result{{"schema", results_schema}, {"results", out}, {"points", points}};
    for (const PointStatus status :
         {PointStatus::done, PointStatus::invalid, PointStatus::failed, PointStatus::crashed,
          PointStatus::timeout, PointStatus::out_of_memory, PointStatus::pending})
      result[std::string(name(status))] = database.count(status);
    result["ran"] = summary.ran;
    result["cached"] = summary.cached;
    result["stopped"] = summary.stopped;
    result["wall_s"] = wall_s;
    return result;
  }

  static std::string summary_text(const nlohmann::ordered_json& result) {
    std::string text = fmt::format("{} of {} points done", result["done"].get<std::size_t>(),
                                   result["points"].get<std::size_t>());
    for (const char* status :
         {"invalid", "failed", "crashed", "timeout", "out-of-memory", "pending"})
      if (result[status].get<std::size_t>() > 0)
        text += fmt::format(", {} {}", result[status].get<std::size_t>(), status);
    text += fmt::format("; {} run in {:.1f} s", result["ran"].get<std::size_t>(),
                        result["wall_s"].get<double>());
    if (result["cached"].get<std::size_t>() > 0)
      text += fmt::format(" ({} taken from equal points)", result["cached"].get<std::size_t>());
    const std::string results = result["results"];
    return text + fmt::format("\n{}: `tessera report {}`{}\n", results, results,
                              result["pending"].get<std::size_t>() > 0 ? "; --resume goes on" : "");
  }

  int run() {
    if (file.empty()) throw InputError("FILE.yaml", "missing", "give a sweep file");
    if (out.empty()) throw InputError("--out", "missing", "give the database to write");
    SweepOptions options;
    options.jobs = parse_jobs(jobs);
    options.retry = retry;
    parse_shard(options);
    std::optional<OutputFile> json_output;
    if (!json.empty()) json_output.emplace("--json", json);

    const SweepFile sweep = read_sweep_file(file);
    PointBuilder builder(sweep, {chip_dirs(), model_dirs()});
    const SweepPlan plan = make_plan(sweep, builder, version);
    if (!cache.empty()) options.cache = ResultsDatabase::done_points(cache);

    const auto began = std::chrono::steady_clock::now();
    std::error_code ignored;
    const bool exists = std::filesystem::exists(out, ignored);
    if (exists && !resume)
      throw InputError({out, 0}, "", "exists", "go on with --resume, or give another --out");
    const DatabaseLock lock(out);
    stop_on_signals();
    ResultsDatabase database = exists ? ResultsDatabase::open(out, sweep, plan)
                                      : ResultsDatabase::create(out, sweep, plan);
    SweepSummary summary;
    for (const std::string& part : merge) summary.ran += database.merge(part);
    if (merge.empty()) {
      SweepProgress progress(plan.points.points.size());
      options.stop = [] { return stop_wanted.load(); };
      options.progress = [&](std::size_t done, std::size_t of) { progress.update(done, of); };
      summary = run_sweep(sweep, plan, builder, database, options);
    }
    const double wall_s =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    const auto result = summary_json(database, summary, plan.points.points.size(), wall_s);
    if (json_output) json_output->commit(result.dump(2) + "\n");
    if (!json_output || !json_output->is_stdout()) print(summary_text(result));
    if (summary.stopped) return exit_interrupted;
    return exit_done;
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
  add_repeatable(*app, "--merge", sweep->merge, "PART.db",
                 "Run nothing: take over the results of a part; repeatable");
  add_value(*app, "--cache", sweep->cache, "OTHER.db",
            "Take the results of equal points from another sweep");
  add_value(*app, "--json", sweep->json, "FILE",
            "Write the summary as JSON to this file (-: standard output)");
  return {app, [sweep] { return sweep->run(); }};
}

}  // namespace tessera::cli

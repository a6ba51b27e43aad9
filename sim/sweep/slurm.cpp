#include "sim/sweep/slurm.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "sim/base/error.h"

extern char** environ;

namespace tessera {
namespace {

namespace fs = std::filesystem;

// Fewer points are not worth a task's start; Slurm's default MaxArraySize allows 1000 tasks.
constexpr std::int64_t least_chunk = 50;
constexpr std::int64_t most_tasks = 1000;

struct CommandResult {
  int status = 0;
  std::string output;  ///< of both streams
};

CommandResult run_command(const std::vector<std::string>& words) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    throw SimulationError(fmt::format("pipe: {}", std::strerror(errno)));
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  pid_t pid = -1;
  const int failed = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  CommandResult result;
  if (failed != 0) {
    close(ends[0]);
    throw InputError("--executor", fmt::format("{}: {}", words[0], std::strerror(failed)),
                     "run where Slurm's commands are, or without --executor");
  }
  char buffer[4096];
  for (ssize_t n = 0; (n = read(ends[0], buffer, sizeof buffer)) != 0;) {
    if (n > 0) result.output.append(buffer, static_cast<std::size_t>(n));
    if (n < 0 && errno != EINTR) break;
  }
  close(ends[0]);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  while (!result.output.empty() && result.output.back() == '\n') result.output.pop_back();
  return result;
}

std::string shell_quoted(const std::string& word) {
  std::string quoted = "'";
  for (const char c : word) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

void write_file(const fs::path& path, const std::string& text) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream << text;
  stream.close();
  if (!stream)
    throw InputError({path.string(), 0}, "",
                     fmt::format("cannot be written: {}", std::strerror(errno)),
                     "free some space, or give a database in another folder");
}

/// Whether a submission or a task writes files of this name.
bool is_ours(const std::string& name) {
  if (name == "job" || name == "submitting" || name == "task.sh") return true;
  static const std::regex numbered(
      R"((points-\d+\.txt|task-\d+\.log|part-\d+\.db(\.lock|-journal|-wal|-shm)?))");
  return std::regex_match(name, numbered);
}

std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code missing;
  for (fs::directory_iterator it(folder, missing), end; !missing && it != end;
       it.increment(missing))
    files.push_back(it->path());
  return files;
}

}  // namespace

void remove_tasks(const std::string& folder) {
  std::error_code error;
  for (const fs::path& path : files_of(folder))
    if (is_ours(path.filename().string())) fs::remove(path, error);
  fs::remove(folder, error);  // unless something is left in it
}

void check_slurm(const std::string& folder) {
  for (const fs::path& path : files_of(folder)) {
    const std::string name = path.filename().string();
    if (is_ours(name)) continue;
    throw InputError({folder, 0}, "", fmt::format("has {}, which no sweep wrote", name),
                     "move it away, or give another --out");
  }
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string commands; std::getline(folders, commands, ':');)
    if (access((fs::path(commands) / "sbatch").c_str(), X_OK) == 0) return;
  throw InputError("--executor", "sbatch is not there",
                   "run where Slurm's commands are, or without --executor");
}

std::string submit(const SlurmJob& job) {
  const fs::path folder(job.folder);
  remove_tasks(job.folder);
  std::error_code error;
  fs::create_directories(folder, error);
  const auto count = static_cast<std::int64_t>(job.points.size());
  const std::int64_t chunk =
      job.chunk > 0 ? job.chunk : std::max(least_chunk, (count + most_tasks - 1) / most_tasks);
  std::int64_t tasks = 0;
  for (std::int64_t first = 0; first < count; first += chunk) {
    std::string ids;
    for (std::int64_t i = first; i < std::min(first + chunk, count); ++i)
      ids += fmt::format("{}\n", job.points[static_cast<std::size_t>(i)]);
    write_file(folder / fmt::format("points-{}.txt", ++tasks), ids);
  }
  std::string script = "#!/bin/sh\nexec";
  for (const std::string& word : job.command) script += " " + shell_quoted(word);
  // --resume: a task that Slurm starts again goes on where it was.
  script += fmt::format(
      " --out {0}/part-\"$SLURM_ARRAY_TASK_ID\".db --resume"
      " --points {0}/points-\"$SLURM_ARRAY_TASK_ID\".txt\n",
      shell_quoted(job.folder));
  write_file(folder / "task.sh", script);

  std::vector<std::string> words = {"sbatch",
                                    "--parsable",
                                    "--job-name=tessera-sweep",
                                    fmt::format("--array=1-{}", tasks),
                                    fmt::format("--cpus-per-task={}", job.processors),
                                    "--open-mode=append",
                                    fmt::format("--output={}/task-%a.log", job.folder)};
  words.insert(words.end(), job.arguments.begin(), job.arguments.end());
  words.push_back((folder / "task.sh").string());
  write_file(folder / "submitting", "");
  const CommandResult result = run_command(words);
  if (result.status != 0) {
    remove_tasks(job.folder);
    throw InputError("--executor", fmt::format("sbatch refuses the job: {}", result.output),
                     "give what it wants with --sbatch");
  }
  // "17" or "17;cluster"; warnings come before it.
  const std::string last = result.output.substr(result.output.rfind('\n') + 1);
  const std::string number = last.substr(0, last.find(';'));
  write_file(folder / "job", number + "\n");
  fs::remove(folder / "submitting", error);
  return number;
}

std::string submitted_job(const std::string& folder) {
  std::string number;
  std::ifstream(fs::path(folder) / "job") >> number;
  std::error_code unknown;
  if (number.empty() && fs::exists(fs::path(folder) / "submitting", unknown))
    throw InputError(
        {folder, 0}, "submitting", "a submission was interrupted here",
        "end its job if there is one (squeue --name=tessera-sweep), and remove the file");
  return number;
}

bool is_active(const std::string& job) {
  const CommandResult result = run_command({"squeue", "--noheader", "--jobs=" + job});
  if (result.status == 0) return !result.output.empty();
  // Slurm forgets a job some minutes after its end.
  if (result.output.find("Invalid job id") != std::string::npos) return false;
  throw InputError("--executor", fmt::format("Slurm does not answer: {}", result.output),
                   "try again when it does; nothing is lost");
}

std::vector<std::string> task_results(const std::string& folder) {
  std::vector<std::string> results;
  for (const fs::path& path : files_of(folder))
    if (path.filename().string().rfind("part-", 0) == 0 && path.extension() == ".db")
      results.push_back(path.string());
  std::sort(results.begin(), results.end());
  return results;
}

}  // namespace tessera

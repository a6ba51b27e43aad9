#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tessera {

/// Points of a sweep as a job array of Slurm: each task runs a chunk of them and writes a database
/// of its own (docs/sweeps.md#slurm). Everything of a job lies in one folder, which all nodes see.
struct SlurmJob {
  std::vector<std::string> command;  ///< `tessera sweep FILE` and flags, without --out and --points
  std::string folder;
  std::vector<std::int64_t> points;    ///< ids
  std::int64_t chunk = 0;              ///< points of a task; 0: chosen
  int processors = 1;                  ///< of a task
  std::vector<std::string> arguments;  ///< more of sbatch's own
};

/// Writes the folder, submits the job and returns its number. Throws InputError with what sbatch
/// says.
std::string submit(const SlurmJob& job);

/// The number of the job last submitted from the folder; "" if there is none. Throws InputError if
/// a submission was interrupted, so that nobody knows whether its job runs.
std::string submitted_job(const std::string& folder);
/// Removes what submissions and tasks have written to the folder, and the folder if nothing else is
/// in it.
void remove_tasks(const std::string& folder);
/// Throws InputError if Slurm's commands are not there, or the folder has files that no sweep wrote.
void check_slurm(const std::string& folder);
/// Whether tasks of the job wait or run. Throws InputError if Slurm does not answer.
bool is_active(const std::string& job);
/// Databases that the tasks have written, in order.
std::vector<std::string> task_results(const std::string& folder);

}  // namespace tessera

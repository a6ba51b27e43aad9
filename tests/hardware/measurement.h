#pragma once

#include <cstddef>
#include <istream>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace hardware {

// What the collection program does without a GPU: its plan, its statistics and its files.

/// One operation to measure, as in `tessera run --op`: "gemm m=4096 n=4096 k=4096 dtype=bf16".
struct Operation {
  std::string op;
  std::map<std::string, std::string> fields;

  /// Throws std::runtime_error where the field is missing or not a positive whole number.
  long long size(const std::string& field) const;
  std::string text() const;
};

/// The operations of a plan: one a line; `#` begins a comment. Throws std::runtime_error with the
/// line's number: no operation, a field without '=' or twice, a column no measured table has.
std::vector<Operation> read_plan(std::istream& plan);

/// Of repeated samples of one time.
struct Samples {
  double median = 0, p10 = 0, p90 = 0;
  std::size_t count = 0;
};
/// Nearest rank; the median of an even number is the mean of the middle two. Throws
/// std::runtime_error without samples.
Samples summary(std::vector<double> samples);

/// How long a row is repeated: what `tessera validate --duration` is to be told.
constexpr double row_ms = 85;

/// Rotations of `copies` launches each in one replay of a graph: so many that it takes up to 5 ms
/// where a rotation takes `rotation_us`, of at most 2000 launches, at least one.
int rotations_of_replay(double rotation_us, int copies);

/// Replays of a graph, one after the other: together they take row_ms, and the last of them, 15 or
/// fewer, are measured. At least two warm up and three are measured, however long they take.
struct Replays {
  int warm = 2, measured = 3;
};
Replays replays_of_row(double replay_us);

/// Of the times of `launches` launches' kernels, in order: the sum of each launch. Throws
/// std::runtime_error where the launches cannot have had the same number of kernels.
std::vector<double> sums_of_launches(const std::vector<double>& kernels_us, std::size_t launches);

/// In a row's source: it is the time of the kernels alone, without the gap before each.
constexpr const char* kernel_only = "kernel-only";

/// A measured operation.
struct Row {
  Operation operation;
  Samples us;
  std::string how;       ///< for the column source
  std::string choice{};  ///< line of the table of the library's choices, if it tells them
};
/// The table `tessera validate` reads, every column of it: its header, and a row's line.
std::string measured_header();
std::string measured_line(const Row& row, const std::string& gpu);

/// A file that grows by lines, as "PATH.part", which finish() renames to PATH: a program that dies
/// leaves the lines it had. Without lines there is no file. Throws std::runtime_error where it
/// cannot be written.
class GrowingFile {
 public:
  GrowingFile(std::string path, std::string header);
  /// `line` ends with "\n".
  void add(const std::string& line);
  void finish();
  std::size_t lines() const { return lines_; }

 private:
  std::string path_, header_;
  std::size_t lines_ = 0;
};

/// A number that is no operation's time: a bandwidth, a latency, a clock.
struct Fact {
  std::string quantity, conditions;
  double value = 0;
  std::string unit;
};
std::string facts_csv(const std::vector<Fact>& facts);

/// What a core's cycle counter and a timer in nanoseconds read at one moment; 0 where the core was
/// not looked at.
struct Tick {
  unsigned long long cycles = 0, ns = 0;
};
/// Mean clock of the cores between two moments, of those looked at both times; 0 without any.
double mean_clock_mhz(const std::vector<Tick>& first, const std::vector<Tick>& last);

/// "h100-80gb-hbm3" of "NVIDIA H100 80GB HBM3": the stem of the files' names.
std::string file_stem(const std::string& gpu);

/// Copies of a buffer that a rotation needs so that each is cold when its turn comes round: so many
/// that the others fill the L2 three times over, at least 2 and at most `most`.
int rotated_copies(std::size_t bytes, std::size_t l2_bytes, int most);

}  // namespace hardware

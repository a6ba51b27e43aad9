#include "tests/hardware/measurement.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace hardware {
namespace {

const char* const columns[] = {"op",       "dtype",  "m",     "n",        "k",           "batch",
                               "q_len",    "kv_len", "heads", "kv_heads", "head_dim",    "causal",
                               "kv_dtype", "rows",   "cols",  "ranks",    "bytes",       "tokens",
                               "hidden",   "inter",  "topk",  "experts",  "measured_us", "source"};

bool is_field(const std::string& name) {
  return name != "op" && name != "measured_us" && name != "source" &&
         std::find(std::begin(columns), std::end(columns), name) != std::end(columns);
}

std::string number(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

/// RFC 4180.
std::string cell(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

}  // namespace

long long Operation::size(const std::string& field) const {
  const auto found = fields.find(field);
  if (found == fields.end()) throw std::runtime_error(text() + ": " + field + " is missing");
  const std::string& digits = found->second;
  if (digits.empty() || digits.size() > 15 ||
      digits.find_first_not_of("0123456789") != std::string::npos || std::stoll(digits) == 0)
    throw std::runtime_error(text() + ": " + field + " is not a positive whole number");
  return std::stoll(digits);
}

std::string Operation::text() const {
  std::string all = op;
  for (const auto& [name, value] : fields) all += " " + name + "=" + value;
  return all;
}

std::vector<Operation> read_plan(std::istream& plan) {
  std::vector<Operation> operations;
  std::string line;
  for (int at = 1; std::getline(plan, line); ++at) {
    std::istringstream words(line.substr(0, line.find('#')));
    Operation operation;
    if (!(words >> operation.op)) continue;
    const auto refuse = [&](const std::string& why) {
      throw std::runtime_error("line " + std::to_string(at) + ": " + why);
    };
    if (operation.op.find('=') != std::string::npos) refuse("begins with a field");
    std::string word;
    while (words >> word) {
      const std::size_t equals = word.find('=');
      if (equals == std::string::npos || equals + 1 == word.size())
        refuse("'" + word + "' is not FIELD=VALUE");
      const std::string name = word.substr(0, equals);
      if (!is_field(name)) refuse("'" + name + "' is no field of an operation");
      if (!operation.fields.emplace(name, word.substr(equals + 1)).second)
        refuse("'" + name + "' stands twice");
    }
    operations.push_back(operation);
  }
  return operations;
}

Samples summary(std::vector<double> samples) {
  if (samples.empty()) throw std::runtime_error("no samples");
  std::sort(samples.begin(), samples.end());
  const std::size_t n = samples.size();
  const auto rank = [&](double share) {
    return samples[static_cast<std::size_t>(std::ceil(share * static_cast<double>(n))) - 1];
  };
  return {(samples[(n - 1) / 2] + samples[n / 2]) / 2, rank(0.1), rank(0.9), n};
}

int rotations_of_replay(double rotation_us, int copies) {
  constexpr double replay_us = 5000;
  const double most = std::max(1.0, std::floor(2000.0 / copies));
  return static_cast<int>(std::clamp(std::floor(replay_us / rotation_us), 1.0, most));
}

Replays replays_of_row(double replay_us) {
  const double all = std::clamp(std::round(row_ms * 1e3 / replay_us), 5.0, 1e6);
  const int measured = std::min(15, static_cast<int>(all) - 2);
  return {static_cast<int>(all) - measured, measured};
}

std::vector<double> sums_of_launches(const std::vector<double>& kernels_us, std::size_t launches) {
  const std::size_t count = kernels_us.size();
  if (launches == 0 || count == 0 || count % launches != 0)
    throw std::runtime_error(std::to_string(count) + " kernels of " + std::to_string(launches) +
                             " launches");
  std::vector<double> sums(launches);
  for (std::size_t i = 0; i < count; ++i) sums[i / (count / launches)] += kernels_us[i];
  return sums;
}

std::string measured_header() {
  std::string header;
  for (const char* column : columns) header += (header.empty() ? "" : ",") + std::string(column);
  return header + "\n";
}

std::string measured_line(const Row& row, const std::string& gpu) {
  std::string line;
  for (const std::string column : columns) {
    std::string value;
    if (column == "op") {
      value = row.operation.op;
    } else if (column == "measured_us") {
      value = number(row.us.median, 6);
    } else if (column == "source") {
      value = gpu + ": " + row.how + "; median of " + std::to_string(row.us.count) + ", p10 " +
              number(row.us.p10, 6) + ", p90 " + number(row.us.p90, 6);
    } else {
      const auto found = row.operation.fields.find(column);
      if (found != row.operation.fields.end()) value = found->second;
    }
    line += (column == "op" ? "" : ",") + cell(value);
  }
  return line + "\n";
}

GrowingFile::GrowingFile(std::string path, std::string header)
    : path_(std::move(path)), header_(std::move(header)) {}

void GrowingFile::add(const std::string& line) {
  std::ofstream file(path_ + ".part",
                     lines_ == 0 ? std::ios::binary : std::ios::binary | std::ios::app);
  if (lines_ == 0) file << header_;
  file << line;
  file.close();
  if (!file) throw std::runtime_error(path_ + ".part: cannot be written");
  ++lines_;
}

void GrowingFile::finish() {
  if (lines_ > 0 && std::rename((path_ + ".part").c_str(), path_.c_str()) != 0)
    throw std::runtime_error(path_ + ": cannot be written");
}

std::string facts_csv(const std::vector<Fact>& facts) {
  std::string csv = "quantity,conditions,value,unit\n";
  for (const Fact& fact : facts) {
    csv += cell(fact.quantity) + "," + cell(fact.conditions) + "," + number(fact.value, 6) + "," +
           cell(fact.unit) + "\n";
  }
  return csv;
}

double mean_clock_mhz(const std::vector<Tick>& first, const std::vector<Tick>& last) {
  double cycles = 0, ns = 0;
  for (std::size_t i = 0; i < std::min(first.size(), last.size()); ++i) {
    if (first[i].ns == 0 || last[i].ns <= first[i].ns || last[i].cycles < first[i].cycles) continue;
    cycles += static_cast<double>(last[i].cycles - first[i].cycles);
    ns += static_cast<double>(last[i].ns - first[i].ns);
  }
  return ns > 0 ? cycles / ns * 1e3 : 0;
}

std::string file_stem(const std::string& gpu) {
  std::string stem;
  for (const char c : gpu) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0) {
      stem += static_cast<char>(std::tolower(byte));
    } else if (!stem.empty() && stem.back() != '-') {
      stem += '-';
    }
  }
  while (!stem.empty() && stem.back() == '-') stem.pop_back();
  const std::string vendor = "nvidia-";
  if (stem.compare(0, vendor.size(), vendor) == 0) stem.erase(0, vendor.size());
  return stem.empty() ? "gpu" : stem;
}

int rotated_copies(std::size_t bytes, std::size_t l2_bytes, int most) {
  if (bytes == 0) return 2;
  const std::size_t others = (3 * l2_bytes + bytes - 1) / bytes;
  return std::clamp(static_cast<int>(std::min<std::size_t>(others, 1 << 20)) + 1, 2,
                    std::max(2, most));
}

}  // namespace hardware

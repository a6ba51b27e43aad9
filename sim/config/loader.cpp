#include "sim/config/loader.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include "sim/base/error.h"
#include "sim/config/chip_unit.h"
#include "sim/config/schema.h"
#include "sim/config/suggestion.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFileBytes = 1 << 20;
constexpr std::size_t kMaxLineBytes = 4096;  // bounds what the scanner looks ahead
constexpr int kMaxNesting = 16;
constexpr std::size_t kMaxBases = 8;
constexpr std::size_t kMaxTextBytes = 200;

// --- one file -----------------------------------------------------------------------------------

struct Entry {
  std::string key;  // dotted
  std::string text;
  bool in_quotes = false;
  SourceLocation where;
};

struct ChipFile {
  std::string path;
  std::string base;  // empty = none
  SourceLocation base_where;
  std::vector<Entry> entries;
};

// Reads the YAML as a stream of events, never as a document in memory: a chip file is two levels
// of mappings with plain values, and whatever else stands there is refused where it starts.
class ChipFileReader : public YAML::EventHandler {
 public:
  ChipFileReader(ChipFile& file, const std::string& text) : file_(file), text_(text) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) fail(mark, "", "a second document", "a chip file is one document");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    if (depth_ == 0) fail(mark, "", "the file is empty", "write the keys of a chip");
    if (pending().empty()) fail(mark, "", "an empty key", "write 'key: value'");
    fail(mark, key_name(pending()), "no value", "give one, or leave the key out");
  }
  void OnAnchor(const YAML::Mark& mark, const std::string&) override { refuse_anchor(mark); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { refuse_anchor(mark); }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (anchor != 0) refuse_anchor(mark);
    const bool in_quotes = tag == "!";
    refuse_tag(mark, tag);
    if (in_quotes) check_quotes(mark);
    if (depth_ == 0)
      fail(mark, "", excerpt(value) + " is not a mapping", "write 'key: value' lines");
    if (!pending().empty()) {
      take(mark, key_name(pending()), value, in_quotes);
      pending().clear();
      return;
    }
    if (value.empty()) fail(mark, "", "an empty key", "write 'key: value'");
    pending() = value;
    key_mark_ = mark;
    if (value == "<<") fail(mark, value, "merge keys are not supported", "use base: instead");
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    fail(mark, depth_ == 0 ? "" : key_name(pending()), "a list", "every value is a single one");
  }
  void OnSequenceEnd() override {}

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    if (anchor != 0) refuse_anchor(mark);
    refuse_tag(mark, tag);
    if (depth_ == 0) {
      depth_ = 1;
      return;
    }
    if (pending().empty()) fail(mark, "", "a mapping as a key", "write 'key: value'");
    const std::string section = key_name(pending());
    if (depth_ == 2)
      fail(key_mark_, section, "nested too deep",
           "sections hold values only, 'section: {key: value}'");
    const std::vector<std::string>& sections = chip_sections();
    if (std::find(sections.begin(), sections.end(), section) == sections.end()) {
      if (find_key(section) != nullptr)
        fail(key_mark_, section, "a section", "give a single value");
      const std::string near = section.size() > 100 ? "" : nearest(section, sections);
      fail(key_mark_, shown(section), "unknown section",
           near.empty() ? fmt::format("one of {}", fmt::join(sections, ", "))
                        : "did you mean '" + near + "'?");
    }
    const auto [first, is_new] = seen_.emplace(section, line(key_mark_));
    if (!is_new)
      fail(key_mark_, section, fmt::format("given twice, first in line {}", first->second),
           "put all its keys in one place");
    depth_ = 2;
  }

  void OnMapEnd() override {
    --depth_;
    if (depth_ == 1) pending_[1].clear();
  }

 private:
  std::string& pending() { return pending_[depth_]; }
  std::string key_name(const std::string& word) const {
    return depth_ == 2 ? pending_[1] + "." + word : word;
  }
  static std::string shown(const std::string& key) {
    const std::string text = excerpt(key);
    return text.substr(1, text.size() - 2);
  }
  static int line(const YAML::Mark& mark) { return mark.line + 1; }

  [[noreturn]] void fail(const YAML::Mark& mark, const std::string& key, const std::string& wrong,
                         const std::string& right) const {
    throw InputError(SourceLocation{file_.path, line(mark)}, key, wrong, right);
  }
  [[noreturn]] void refuse_anchor(const YAML::Mark& mark) const {
    fail(mark, "", "YAML anchors and aliases are not supported", "write the value out");
  }
  void refuse_tag(const YAML::Mark& mark, const std::string& tag) const {
    if (!tag.empty() && tag != "?" && tag != "!")
      fail(mark, "", "the YAML tag " + excerpt(tag), "leave it out");
  }

  // yaml-cpp takes an open quote for closed by the end of the file, which would drop all keys
  // after it without a word: quoted text must end in its line.
  void check_quotes(const YAML::Mark& mark) const {
    std::size_t at = 0;
    for (int i = 0; i < mark.line; ++i) at = text_.find('\n', at) + 1;
    at += static_cast<std::size_t>(mark.column);
    const char quote = at < text_.size() ? text_[at] : '\n';
    if (quote != '"' && quote != '\'') return;  // a block scalar
    for (++at; at < text_.size() && text_[at] != '\n'; ++at) {
      if (text_[at] == quote) return;
      if (text_[at] == '\\' && quote == '"') ++at;
    }
    fail(mark, "", "a quote without its end in the same line", "close it");
  }

  void take(const YAML::Mark& mark, const std::string& key, const std::string& text,
            bool in_quotes) {
    if (key != "base" && find_key(key) == nullptr) {
      const std::vector<std::string>& sections = chip_sections();
      if (std::find(sections.begin(), sections.end(), key) != sections.end())
        fail(mark, key, excerpt(text) + " where a section belongs",
             "write its keys below it, indented");
      fail(mark, shown(key), "unknown key", key_advice(key, text));
    }
    const auto [first, is_new] = seen_.emplace(key, line(mark));
    if (!is_new)
      fail(mark, key, fmt::format("given twice, first in line {}", first->second), "keep one");
    const SourceLocation where{file_.path, line(mark)};
    if (key == "base") {
      if (text.empty()) fail(mark, key, "no value", "name a chip or a file");
      file_.base = text;
      file_.base_where = where;
    } else {
      file_.entries.push_back({key, text, in_quotes, where});
    }
  }

  ChipFile& file_;
  const std::string& text_;
  int documents_ = 0;
  int depth_ = 0;           // 0 before the mapping, 1 at the top level, 2 in a section
  std::string pending_[3];  // the key whose value comes next, by depth
  YAML::Mark key_mark_;     // where the last key stands
  std::map<std::string, int> seen_;
};

// Depth of brackets, counted before parsing: the parser recurses and the scanner queues.
void check_shape(const std::string& path, const std::string& text) {
  int line = 1, depth = 0;
  std::size_t line_start = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const SourceLocation where{path, line};
    if (c == '\n') {
      ++line;
      line_start = i + 1;
      continue;
    }
    if (i - line_start >= kMaxLineBytes)
      throw InputError(where, "", fmt::format("a line of more than {} bytes", kMaxLineBytes),
                       "is this a chip file?");
    if (c < 0x20 && c != '\t' && c != '\r')
      throw InputError(where, "", fmt::format("the control character \\x{:02x}", c),
                       "chip files are plain text");
    if (c == '#' && (i == line_start || text[i - 1] == ' ' || text[i - 1] == '\t')) {
      const std::size_t end = text.find('\n', i);
      if (end == std::string::npos) return;
      i = end - 1;
      continue;
    }
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (depth > kMaxNesting)
      throw InputError(where, "", fmt::format("brackets nested more than {} deep", kMaxNesting),
                       "a chip file has sections with keys");
  }
}

std::string read_text(const std::string& path, const std::function<void(std::string)>& fail) {
  std::error_code error;
  if (fs::is_directory(path, error)) fail("is a folder");
  std::ifstream stream(path, std::ios::binary);
  if (!stream) fail("cannot be read");
  std::string text(kMaxFileBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) fail("cannot be read");
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.compare(0, 3, "\xef\xbb\xbf") == 0) text.erase(0, 3);  // byte order mark
  if (text.size() > kMaxFileBytes)
    throw InputError(SourceLocation{path, 0}, "", "larger than 1 MiB", "is this a chip file?");
  return text;
}

ChipFile read_chip_file(const std::string& path) {
  ChipFile file;
  file.path = path;
  const std::string text = read_text(path, [&](const std::string& what) {
    throw InputError(SourceLocation{path, 0}, "", what, "give a chip's YAML file");
  });
  check_shape(path, text);
  std::istringstream stream(text);
  ChipFileReader reader(file, text);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(reader)) {
    }
  } catch (const YAML::Exception& error) {
    throw InputError(SourceLocation{path, error.mark.line + 1}, "", "not valid YAML: " + error.msg,
                     "see docs/reference/chip-keys.md for the form of a chip file");
  }
  return file;
}

// --- finding files ------------------------------------------------------------------------------

bool is_file_name(const std::string& text) {
  const auto ends_in = [&](const std::string& end) {
    return text.size() >= end.size() &&
           text.compare(text.size() - end.size(), end.size(), end) == 0;
  };
  return text.find('/') != std::string::npos || ends_in(".yaml") || ends_in(".yml");
}

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error) && !fs::is_directory(path, error);
}

// The same file under any spelling of its path compares equal.
std::string identity(const fs::path& path) {
  std::error_code error;
  const fs::path canonical = fs::weakly_canonical(path, error);
  return (error ? path.lexically_normal() : canonical).string();
}

std::string not_found_advice(const std::string& name, const std::vector<std::string>& dirs) {
  const std::vector<std::string> known = chip_names(dirs);
  const std::string near = name.size() > 100 ? "" : nearest(name, known);
  if (!near.empty()) return "did you mean '" + near + "'?";
  if (known.empty()) return "no chips are installed here: give a YAML file";
  return fmt::format("known chips: {}; or give a YAML file", fmt::join(known, ", "));
}

// The file of a name in `dirs`, or "". A file is not its own base: `except` is passed over, so
// that a user's h100-sxm.yaml may have the installed h100-sxm as its base.
std::string find_chip(const std::string& name, const std::vector<std::string>& dirs,
                      const std::string& except = "") {
  for (const std::string& dir : dirs) {
    const fs::path path = fs::path(dir) / (name + ".yaml");
    if (is_file(path) && (except.empty() || identity(path) != except)) return path.string();
  }
  return "";
}

std::string base_path(const ChipFile& file, const std::vector<std::string>& search_dirs) {
  const fs::path folder = fs::path(file.path).parent_path();
  if (is_file_name(file.base)) {
    const fs::path path =
        fs::path(file.base).is_absolute() ? fs::path(file.base) : folder / file.base;
    if (!is_file(path))
      throw InputError(file.base_where, "base", "no file " + excerpt(path.string()),
                       "give a chip's name, or a file relative to this one");
    return path.string();
  }
  std::vector<std::string> dirs = {folder.empty() ? "." : folder.string()};
  dirs.insert(dirs.end(), search_dirs.begin(), search_dirs.end());
  const std::string path = find_chip(file.base, dirs, identity(file.path));
  if (path.empty()) {
    if (!find_chip(file.base, dirs).empty())
      throw InputError(file.base_where, "base", "a chip cannot be its own base",
                       "name another chip, or leave base out");
    throw InputError(file.base_where, "base", "no chip " + excerpt(file.base),
                     not_found_advice(file.base, dirs));
  }
  return path;
}

// The file and its bases, the file first.
std::vector<ChipFile> read_chain(const std::string& path,
                                 const std::vector<std::string>& search_dirs) {
  std::vector<ChipFile> chain = {read_chip_file(path)};
  std::vector<std::string> seen = {identity(path)};
  while (!chain.back().base.empty()) {
    const ChipFile& file = chain.back();
    const std::string next = base_path(file, search_dirs);
    const std::string id = identity(next);
    if (std::find(seen.begin(), seen.end(), id) != seen.end()) {
      std::string cycle;
      for (const ChipFile& one : chain) cycle += fs::path(one.path).stem().string() + " -> ";
      throw InputError(file.base_where, "base",
                       "the bases form a cycle: " + cycle + fs::path(next).stem().string(),
                       "one of them must be complete without a base");
    }
    if (chain.size() > kMaxBases)
      throw InputError(file.base_where, "base", fmt::format("more than {} bases", kMaxBases),
                       "write a shorter chain");
    seen.push_back(id);
    chain.push_back(read_chip_file(next));
  }
  return chain;
}

// --- values -------------------------------------------------------------------------------------

std::string trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// All of `text` as a decimal number, finite; no hexadecimal, no "inf".
bool parse_number(const std::string& text, double& value) {
  if (text.empty() || text.size() > 60) return false;
  if (text.find_first_not_of("0123456789+-.eE") != std::string::npos) return false;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data() + (text[0] == '+' ? 1 : 0), end, value);
  return error == std::errc() && rest == end && std::isfinite(value);
}

std::string expected(const KeyInfo& key) {
  const std::string unit = key.unit.empty() ? "" : " in " + key.unit;
  switch (key.type) {
    case KeyType::integer:
      return "give an integer" + unit + ", " + range_text(key);
    case KeyType::real:
      return "give a number" + unit + ", " + range_text(key);
    case KeyType::boolean:
      return "give 0 or 1";
    case KeyType::text:
      return "give text";
  }
  return "";
}

double parse_value(const KeyInfo& key, const Entry& entry) {
  const auto fail = [&](const std::string& wrong, const std::string& right) {
    throw InputError(entry.where, entry.key, wrong, right);
  };
  const std::string text = trimmed(entry.text);
  if (text.empty()) fail("no value", expected(key));
  if (key.type == KeyType::boolean) {
    if (!entry.in_quotes && (text == "0" || text == "false")) return 0;
    if (!entry.in_quotes && (text == "1" || text == "true")) return 1;
    fail(excerpt(text) + " is neither 0 nor 1", expected(key));
  }
  double value = 0;
  const bool is_number = parse_number(text, value);
  if (!is_number) {
    if (const auto measured = parse_measured(text)) {
      const std::string number = converted(*measured, key);
      fail(excerpt(text) + " carries a unit", "write the bare number" +
                                                  (key.unit.empty() ? "" : " in " + key.unit) +
                                                  (number.empty() ? "" : ": " + number));
    }
    fail(excerpt(text) + " is not a number", expected(key));
  }
  if (entry.in_quotes) fail("a number in quotes", "write " + text + " without quotes");
  if (value < key.min || value > key.max) fail(excerpt(text) + " is out of range", expected(key));
  if (key.type == KeyType::integer && text.find_first_of(".eE") != std::string::npos) {
    // In range, so below 2^53: the conversion is exact where the value is whole.
    const bool whole = value == std::floor(value);
    fail(excerpt(text) + " is not an integer",
         whole ? fmt::format("write {}", static_cast<std::int64_t>(value)) : expected(key));
  }
  return value == 0 ? 0 : value;  // -0 is 0
}

void set_text(const Entry& entry, std::string& member) {
  const auto fail = [&](const std::string& wrong) {
    throw InputError(entry.where, entry.key, wrong, "give one line of plain text");
  };
  if (entry.text.size() > kMaxTextBytes) fail(fmt::format("longer than {} bytes", kMaxTextBytes));
  if (std::any_of(entry.text.begin(), entry.text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x20 || byte == 0x7f;
      }))
    fail("control characters");
  member = entry.text;
}

struct Assign {
  const KeyInfo& key;
  const Entry& entry;
  ChipConfig& chip;
  void operator()(int* (*member)(ChipConfig&)) const {
    *member(chip) = static_cast<int>(parse_value(key, entry));
  }
  void operator()(std::int64_t* (*member)(ChipConfig&)) const {
    *member(chip) = static_cast<std::int64_t>(parse_value(key, entry));
  }
  void operator()(double* (*member)(ChipConfig&)) const { *member(chip) = parse_value(key, entry); }
  void operator()(std::string* (*member)(ChipConfig&)) const { set_text(entry, *member(chip)); }
};

// Where each key got its value; what is not in it has its default. Each file, and each override, is
// a layer above those before it.
struct Origin {
  SourceLocation where;
  int layer = 0;
};
using Origins = std::map<std::string, Origin>;

void assign(const Entry& entry, int layer, ChipConfig& chip, Origins& origins) {
  const KeyInfo* key = find_key(entry.key);  // known: the reader and parse_override refuse others
  std::visit(Assign{*key, entry, chip}, key->member);
  origins[entry.key] = {entry.where, layer};
}

// Throws InputError unless the entry's key is one of a chip.
void refuse_unknown(const Entry& entry) {
  if (find_key(entry.key) == nullptr)
    throw InputError(entry.where, entry.key.empty() ? "''" : excerpt(entry.key), "unknown key",
                     key_advice(entry.key, entry.text));
}

Entry parse_override(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos)
    throw InputError("--set", excerpt(text) + " has no '='",
                     "write KEY=VALUE, e.g. hbm.bandwidth_gbps=4800");
  Entry entry;
  entry.key = trimmed(text.substr(0, equals));
  entry.text = trimmed(text.substr(equals + 1));
  entry.where = {"--set", 0};
  if (entry.key == "base")
    throw InputError(entry.where, "base", "cannot be overridden", "choose the chip with --chip");
  refuse_unknown(entry);
  return entry;
}

// --- keys against each other --------------------------------------------------------------------

bool is_power_of_two(std::int64_t value) { return value > 0 && (value & (value - 1)) == 0; }

// `fail(keys, wrong, right)` throws: the first key is wrong, by itself or beside the others.
using Fail =
    std::function<void(const std::vector<std::string>&, const std::string&, const std::string&)>;

void check_ranges(const ChipConfig& chip, const Fail& fail) {
  for (const KeyInfo& key : chip_schema()) {
    if (key.type == KeyType::text) continue;
    const double value = value_number(key, chip);
    if (!(value >= key.min && value <= key.max))
      fail({key.name}, value_text(key, chip) + " is out of range", expected(key));
  }
}

void check_cores(const ChipConfig& chip, const Fail& fail) {
  if (chip.clock.min_mhz > chip.clock.core_mhz)
    fail({"clock.min_mhz", "clock.core_mhz"},
         fmt::format("{} is above clock.core_mhz", chip.clock.min_mhz),
         fmt::format("at most {}", chip.clock.core_mhz));
  if (chip.core.max_cluster > chip.core.count)
    fail({"core.max_cluster", "core.count"},
         fmt::format("{} is above core.count", chip.core.max_cluster),
         fmt::format("at most {}", chip.core.count));
  if (chip.core.max_blocks > chip.core.max_warps)
    fail({"core.max_blocks", "core.max_warps"},
         fmt::format("{} is above core.max_warps: a block has at least one warp",
                     chip.core.max_blocks),
         fmt::format("at most {}", chip.core.max_warps));
  const TensorCoreConfig& tensor = chip.tensor_core;
  if (tensor.fp16_flops_per_cycle + tensor.bf16_flops_per_cycle + tensor.tf32_flops_per_cycle +
          tensor.fp8_flops_per_cycle ==
      0)
    fail({"tensor_core.bf16_flops_per_cycle"}, "every tensor-core rate is 0",
         "give the rate of one format at least");
  if (chip.scratchpad.reserved_per_block_bytes >= std::int64_t{chip.scratchpad.size_kib} * 1024)
    fail({"scratchpad.reserved_per_block_bytes", "scratchpad.size_kib"},
         "leaves a block no scratchpad",
         fmt::format("below scratchpad.size_kib, {} B",
                     std::int64_t{chip.scratchpad.size_kib} * 1024));
}

void check_l2(const ChipConfig& chip, const Fail& fail) {
  const L2Config& l2 = chip.l2;
  const auto divides = [&](const char* key, std::int64_t value) {
    if (value % l2.partitions != 0)
      fail({key, "l2.partitions"},
           fmt::format("{} does not divide by l2.partitions, {}", value, l2.partitions),
           fmt::format("a multiple of {}, e.g. {}", l2.partitions,
                       std::max<std::int64_t>(1, value / l2.partitions) * l2.partitions));
  };
  divides("l2.size_mib", l2.size_mib);
  divides("l2.read_bytes_per_cycle", l2.read_bytes_per_cycle);
  divides("l2.write_bytes_per_cycle", l2.write_bytes_per_cycle);
  if (l2.partitions > chip.core.count)
    fail({"l2.partitions", "core.count"}, fmt::format("{} is above core.count", l2.partitions),
         fmt::format("at most {}", chip.core.count));
  if (l2.partitions > 1 && l2.link_bytes_per_cycle == 0)
    fail({"l2.link_bytes_per_cycle", "l2.partitions"}, "0 with several partitions",
         "give the rate between them");
  if (!is_power_of_two(l2.line_bytes))
    fail({"l2.line_bytes"}, fmt::format("{} is not a power of two", l2.line_bytes), "e.g. 128");
  if (l2.far_latency_cycles < l2.near_latency_cycles)
    fail({"l2.far_latency_cycles", "l2.near_latency_cycles"},
         fmt::format("{} is below l2.near_latency_cycles", l2.far_latency_cycles),
         fmt::format("at least {}", l2.near_latency_cycles));
}

void check_hbm(const ChipConfig& chip, const Fail& fail) {
  const HbmConfig& hbm = chip.hbm;
  const auto power_of_two = [&](const char* key, int value, const char* example) {
    if (!is_power_of_two(value))
      fail({key}, fmt::format("{} is not a power of two", value), example);
  };
  power_of_two("hbm.row_bytes", hbm.row_bytes, "e.g. 1024");
  power_of_two("hbm.burst_bytes", hbm.burst_bytes, "e.g. 32 or 64");
  power_of_two("hbm.interleave_bytes", hbm.interleave_bytes, "e.g. 256 or 512");
  if (hbm.interleave_bytes % hbm.burst_bytes != 0)
    fail({"hbm.interleave_bytes", "hbm.burst_bytes"},
         fmt::format("{} is not a multiple of hbm.burst_bytes", hbm.interleave_bytes),
         fmt::format("a multiple of {}", hbm.burst_bytes));
  if (hbm.interleave_bytes > hbm.row_bytes)
    fail({"hbm.interleave_bytes", "hbm.row_bytes"},
         fmt::format("{} is above hbm.row_bytes", hbm.interleave_bytes),
         fmt::format("at most {}", hbm.row_bytes));
  if (hbm.banks % hbm.bank_groups != 0)
    fail({"hbm.banks", "hbm.bank_groups"},
         fmt::format("{} does not divide by hbm.bank_groups, {}", hbm.banks, hbm.bank_groups),
         fmt::format("a multiple of {}", hbm.bank_groups));
  power_of_two("hbm.banks", hbm.banks, "e.g. 16");
  power_of_two("hbm.bank_groups", hbm.bank_groups, "e.g. 4");
  if (hbm.tras_ns < hbm.trcd_ns)
    fail({"hbm.tras_ns", "hbm.trcd_ns"}, fmt::format("{} is below hbm.trcd_ns", hbm.tras_ns),
         fmt::format("at least {}", hbm.trcd_ns));
  if (hbm.trfc_ns >= hbm.trefi_ns)
    fail({"hbm.trfc_ns", "hbm.trefi_ns"},
         fmt::format("{} is not below hbm.trefi_ns: refresh would take all the time", hbm.trfc_ns),
         fmt::format("below {}", hbm.trefi_ns));
  // The memory model counts picoseconds: a burst must last some, and bandwidth must not be so low
  // that times overflow.
  const double channels = static_cast<double>(hbm.stacks) * hbm.pseudo_channels_per_stack;
  const double burst_ps = 1e3 * hbm.burst_bytes * channels / hbm.bandwidth_gbps;
  if (burst_ps < 10 || burst_ps > 1e9)
    fail({"hbm.bandwidth_gbps", "hbm.burst_bytes", "hbm.stacks", "hbm.pseudo_channels_per_stack"},
         fmt::format("one burst of {} B on one of {} pseudo-channels would take {:.3g} ns",
                     hbm.burst_bytes, channels, burst_ps / 1e3),
         "check the unit (10^9 bytes a second) and the number of channels");
}

void check_launch_and_power(const ChipConfig& chip, const Fail& fail) {
  if (chip.launch.overlap_us > chip.launch.gap_us)
    fail({"launch.overlap_us", "launch.gap_us"},
         fmt::format("{} is above launch.gap_us", chip.launch.overlap_us),
         fmt::format("at most {}", chip.launch.gap_us));
  if (chip.power.idle_w >= chip.power.cap_w)
    fail({"power.idle_w", "power.cap_w"},
         fmt::format("{} is not below power.cap_w", chip.power.idle_w),
         fmt::format("below {}", chip.power.cap_w));
  if (chip.power.peak_w > 0 && chip.power.peak_w < chip.power.cap_w)
    fail({"power.peak_w", "power.cap_w"}, fmt::format("{} is below power.cap_w", chip.power.peak_w),
         fmt::format("at least {}, or 0", chip.power.cap_w));
}

void check_relations(const ChipConfig& chip, const Fail& fail) {
  check_ranges(chip, fail);
  check_cores(chip, fail);
  check_units(chip, [&](const std::string& key, const std::string& wrong,
                        const std::string& right) { fail({key}, wrong, right); });
  check_l2(chip, fail);
  check_hbm(chip, fail);
  check_launch_and_power(chip, fail);
}

// Throws with the place of the key that was given last: where a file or an override contradicts
// what stands below it, the user has to look there.
[[noreturn]] void blame(const std::vector<std::string>& keys, const std::string& wrong,
                        const std::string& right, const ChipConfig& chip, const Origins& origins,
                        const std::string& path) {
  const std::string& first = keys.front();
  const auto origin_of = [&](const std::string& key) {
    const auto found = origins.find(key);
    return found == origins.end() ? Origin{{path, 0}, -1} : found->second;
  };
  std::string last = first;
  for (const std::string& key : keys) {
    if (origin_of(key).layer > origin_of(last).layer) last = key;
  }
  if (last == first) throw InputError(origin_of(first).where, first, wrong, right);
  throw InputError(
      origin_of(last).where, last,
      fmt::format("{} does not go with {}: {}", value_text(*find_key(last), chip), first, wrong),
      fmt::format("{} for {}", right, first));
}

std::string yaml_quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string table_cell(std::string text) {
  for (std::size_t at = text.find('|'); at != std::string::npos; at = text.find('|', at + 2))
    text.replace(at, 1, "\\|");
  return text;
}

}  // namespace

std::vector<std::string> chip_files(const std::string& name_or_path,
                                    const std::vector<std::string>& search_dirs) {
  std::vector<std::string> files;
  std::error_code error;
  std::string path =
      is_file_name(name_or_path) ? name_or_path : find_chip(name_or_path, search_dirs);
  try {
    while (is_file(path) && files.size() <= kMaxBases) {
      files.push_back(path);
      if (!fs::is_regular_file(path, error)) break;
      const ChipFile file = read_chip_file(path);
      if (file.base.empty()) break;
      path = base_path(file, search_dirs);
    }
  } catch (const InputError&) {
    // load_chip() says what is wrong.
  }
  return files;
}

ChipConfig load_chip(const std::string& name_or_path, const std::vector<std::string>& overrides,
                     const std::vector<std::string>& search_dirs) {
  std::string path = name_or_path;
  if (!is_file_name(name_or_path)) {
    path = find_chip(name_or_path, search_dirs);
    if (path.empty())
      throw InputError("--chip", "no chip " + excerpt(name_or_path),
                       not_found_advice(name_or_path, search_dirs));
  } else if (!is_file(path)) {
    std::error_code error;
    if (fs::is_directory(path, error))
      throw InputError("--chip", excerpt(path) + " is a folder", "give a chip's YAML file");
    const std::string stem = fs::path(path).stem().string();
    throw InputError("--chip", "no file " + excerpt(path), not_found_advice(stem, search_dirs));
  }

  const std::vector<ChipFile> chain = read_chain(path, search_dirs);
  ChipConfig chip;
  Origins origins;
  int layer = 0;
  for (auto file = chain.rbegin(); file != chain.rend(); ++file, ++layer) {
    const bool is_base = std::next(file) != chain.rend();
    for (const Entry& entry : file->entries) {
      // What a chip is called is its own.
      if (is_base && (entry.key == "name" || entry.key == "description")) continue;
      assign(entry, layer, chip, origins);
    }
  }
  for (const std::string& text : overrides) assign(parse_override(text), layer++, chip, origins);
  if (chip.name.empty()) chip.name = fs::path(path).stem().string();

  std::vector<std::string> missing;
  for (const KeyInfo& key : chip_schema())
    if (key.required && origins.count(key.name) == 0) missing.push_back(key.name);
  if (!missing.empty())
    throw InputError(SourceLocation{path, 0}, "",
                     fmt::format("missing {}: {}", missing.size() == 1 ? "key" : "keys",
                                 fmt::join(missing, ", ")),
                     "give them, or name a base: chip that does");

  check_relations(
      chip, [&](const std::vector<std::string>& keys, const std::string& wrong,
                const std::string& right) { blame(keys, wrong, right, chip, origins, path); });
  return chip;
}

void check_chip(const ChipConfig& chip) {
  check_relations(chip,
                  [](const std::vector<std::string>& keys, const std::string& wrong,
                     const std::string& right) { throw InputError(keys.front(), wrong, right); });
}

void set_key(ChipConfig& chip, const std::string& key, const std::string& text,
             const SourceLocation& where) {
  const Entry entry{key, text, false, where};
  refuse_unknown(entry);
  std::visit(Assign{*find_key(key), entry, chip}, find_key(key)->member);
}

std::vector<std::string> chip_names(const std::vector<std::string>& search_dirs) {
  std::set<std::string> names;
  for (const std::string& dir : search_dirs) {
    std::error_code error;
    for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
      if (it->path().extension() == ".yaml" && is_file(it->path()))
        names.insert(it->path().stem().string());
    }
  }
  return {names.begin(), names.end()};
}

std::string dump_yaml(const ChipConfig& chip) {
  std::string out;
  std::string section;
  for (const KeyInfo& key : chip_schema()) {
    const std::size_t dot = key.name.find('.');
    const std::string value =
        key.type == KeyType::text ? yaml_quoted(value_text(key, chip)) : value_text(key, chip);
    if (dot == std::string::npos) {
      out += key.name + ": " + value + "\n";
      continue;
    }
    if (key.name.compare(0, dot, section) != 0 || section.empty()) {
      section = key.name.substr(0, dot);
      out += "\n" + section + ":\n";
    }
    out += "  " + key.name.substr(dot + 1) + ": " + value + "\n";
  }
  return out;
}

std::string canonical_text(const ChipConfig& chip) {
  std::string out;
  for (const KeyInfo& key : chip_schema()) out += key.name + "=" + value_text(key, chip) + "\n";
  return out;
}

std::string reference_page() {
  std::string out =
      "# Keys of a chip\n\n"
      "Generated from the schema, `sim/config/schema.cpp`; a test fails when this page is stale "
      "and "
      "`test_config \"[update]\"` writes it anew.\n\n"
      "A chip is a YAML file of sections with keys, `configs/chips/NAME.yaml`. `base: NAME` (or a "
      "file, relative to this one) takes every key from another chip, so that the file gives only "
      "the differences; name and description are not inherited. On the command line "
      "`--set l2.size_mib=60` overrides any key. Values are bare numbers in the unit below; "
      "prefixes are decimal (GB/s = 10^9 B/s) or binary (MiB = 2^20 B) as written.\n\n"
      "A key without a default must be given. *Source* says where the number of a real chip is "
      "found; the chip files name the source of each of their numbers. *Plausible* is where the "
      "number of a GPU that exists may lie: `tessera calibrate` searches there.\n";
  std::string section = "-";
  for (const KeyInfo& key : chip_schema()) {
    const std::size_t dot = key.name.find('.');
    const std::string own = dot == std::string::npos ? "" : key.name.substr(0, dot);
    if (own != section) {
      section = own;
      out += "\n## " + (section.empty() ? "Top level" : section) +
             "\n\n| key | type | unit | default | range | plausible | meaning | source "
             "|\n"
             "|---|---|---|---|---|---|---|---|\n";
    }
    std::string initial = key.required ? "required" : default_text(key);
    if (key.name == "name") initial = "file name";
    out += fmt::format("| `{}` | {} | {} | {} | {} | {} | {} | {} |\n", key.name, name(key.type),
                       key.unit, initial, range_text(key), plausible_text(key),
                       table_cell(key.meaning), table_cell(key.source));
  }
  return out;
}

}  // namespace tessera

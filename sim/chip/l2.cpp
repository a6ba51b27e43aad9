#include "sim/chip/l2.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

#include "sim/base/overfull_sets.h"

namespace tessera {
namespace {

constexpr int segment_shift = 7;  // log2 of lines per segment
constexpr std::int64_t lines_per_segment = 1 << segment_shift;

std::uint64_t mix(std::uint64_t x) {
  // splitmix64's finaliser: spreads neighbouring segments over partitions.
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

/// The first `n` lines of a segment, [n].
constexpr std::array<LineMask, lines_per_segment + 1> first_lines = [] {
  std::array<LineMask, lines_per_segment + 1> masks{};
  for (std::size_t n = 1; n < masks.size(); ++n) masks[n] = masks[n - 1] << 1 | 1;
  return masks;
}();

/// The first row of a segment of 2^i rows, whose columns lie one behind the other, [i].
constexpr std::array<LineMask, segment_shift + 1> first_rows = [] {
  std::array<LineMask, segment_shift + 1> masks{};
  for (std::size_t i = 0; i < masks.size(); ++i) {
    for (int line = 0; line < lines_per_segment; line += 1 << i) masks[i] |= LineMask{1} << line;
  }
  return masks;
}();

int popcount(LineMask x) {
  return __builtin_popcountll(static_cast<std::uint64_t>(x)) +
         __builtin_popcountll(static_cast<std::uint64_t>(x >> 64));
}

/// Lines of `part`, which mostly is none or all of `lines`, of which there are `count`.
std::int64_t count_of(LineMask part, LineMask lines, std::int64_t count) {
  return part == lines ? count : part == 0 ? 0 : popcount(part);
}

int first_line(LineMask x) {
  const auto lower = static_cast<std::uint64_t>(x);
  return lower != 0 ? __builtin_ctzll(lower)
                    : 64 + __builtin_ctzll(static_cast<std::uint64_t>(x >> 64));
}

/// Shapes (rows, columns in elements) of the boxes that a section's kernels move of one tensor.
using Boxes = std::set<std::pair<std::int64_t, std::int64_t>>;

std::vector<Boxes> boxes_of(const Section& section) {
  std::vector<Boxes> boxes(section.tensors.size());
  for (const Kernel& kernel : section.kernels) {
    for (const Role& role : kernel.roles) {
      for (const Instruction& instruction : role.code) {
        if (const auto* load = std::get_if<Load>(&instruction)) {
          boxes[load->tensor].insert({load->gather ? 1 : load->rows, load->cols});
        } else if (const auto* store = std::get_if<Store>(&instruction)) {
          boxes[store->tensor].insert({store->rows, store->cols});
        }
      }
    }
  }
  return boxes;
}

/// log2 of the rows of the segments in which `boxes` touch the fewest segments per line moved; of
/// equals the tallest.
int best_row_shift(const Boxes& boxes, const Tensor& tensor, std::int64_t line_bytes) {
  int tallest = 0;
  while (tallest < segment_shift && (1LL << tallest) < tensor.rows) ++tallest;
  int best = tallest;
  double least = 1e300;
  for (int shift = tallest; shift >= 0; --shift) {
    double touched = 0;
    for (const auto& [box_rows, box_cols] : boxes) {
      const auto rows = static_cast<double>(std::min(box_rows, tensor.rows));
      const auto lines = static_cast<double>(
          ceil_div(bytes(tensor.format, std::min(box_cols, tensor.cols)).value, line_bytes));
      const double tall = std::ceil(rows / static_cast<double>(1LL << shift));
      const double wide = std::ceil(lines / static_cast<double>(lines_per_segment >> shift));
      touched += tall * wide / (rows * lines);
    }
    if (touched < least) {
      least = touched;
      best = shift;
    }
  }
  return best;
}

/// Bytes of a row that the boxes of a tensor move at a time; the whole tensor where they move whole
/// rows, which lie one behind the other.
std::int64_t run_bytes_of(const Boxes& boxes, const Tensor& tensor, std::int64_t line_bytes,
                          std::int64_t most) {
  std::int64_t run = most;
  for (const auto& [rows, cols] : boxes) {
    if (cols >= tensor.cols) continue;
    run = std::min(run, ceil_div(bytes(tensor.format, cols).value, line_bytes) * line_bytes);
  }
  return run;
}

/// Whether a benchmark that repeats a section has other copies of tensor `index`, which is loaded.
bool is_copied(const Section& section, const L2Footprint& footprint, int index) {
  const Tensor& tensor = section.tensors[static_cast<std::size_t>(index)];
  return !tensor.warm &&
         (footprint.written.count(index) == 0 || tensor.kind == TensorKind::kv_cache);
}

L2Footprint footprint_of(const Section& section) {
  L2Footprint f;
  for (const Kernel& kernel : section.kernels) {
    for (const Role& role : kernel.roles) {
      for (const Instruction& instruction : role.code) {
        if (const auto* load = std::get_if<Load>(&instruction)) {
          f.loaded.insert(load->tensor);
        } else if (const auto* store = std::get_if<Store>(&instruction)) {
          f.written.insert(store->tensor);
        }
      }
    }
  }
  return f;
}

}  // namespace

L2::L2(const ChipConfig& chip, MemoryPort& memory)
    : memory_(memory),
      line_bytes_(chip.l2.line_bytes),
      segment_bytes_(lines_per_segment * line_bytes_),
      near_latency_(chip.l2.near_latency_cycles),
      far_latency_(chip.l2.far_latency_cycles),
      to_memory_((chip.l2.near_latency_cycles + chip.hbm.controller_latency_cycles) / 2),
      replicate_far_(chip.l2.replicate_far != 0 && chip.l2.partitions > 1),
      capacity_lines_(std::max<std::int64_t>(
          chip.l2.size_mib * (1LL << 20) / chip.l2.partitions / chip.l2.line_bytes,
          lines_per_segment)),
      most_dirty_lines_(capacity_lines_ * chip.l2.max_dirty_percent / 100),
      recent_touches_(static_cast<std::uint32_t>(capacity_lines_ / lines_per_segment / 16)) {
  touches_twice_ = recent_touches_ < 2;
  const std::int64_t share_of_cores = ceil_div(chip.core.count, chip.l2.partitions);
  for (int core = 0; core < chip.core.count; ++core) {
    near_.push_back(static_cast<int>(core / share_of_cores));
  }
  const auto share = [&](int total) {
    return BandwidthCalendar(std::max(1, total / chip.l2.partitions));
  };
  for (int i = 0; i < chip.l2.partitions; ++i) {
    partitions_.emplace_back(share(chip.l2.read_bytes_per_cycle),
                             share(chip.l2.write_bytes_per_cycle),
                             BandwidthCalendar(std::max(1, chip.l2.link_bytes_per_cycle)));
  }
  read_ports_.assign(static_cast<std::size_t>(chip.core.count),
                     BandwidthCalendar(chip.noc.core_read_bytes_per_cycle));
  write_ports_.assign(static_cast<std::size_t>(chip.core.count),
                      BandwidthCalendar(chip.noc.core_write_bytes_per_cycle));
}

void L2::attach(const Section& section, const CacheBefore& before) {
  const std::vector<Tensor>& tensors = section.tensors;
  const std::vector<Boxes> boxes = boxes_of(section);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& tensor = tensors[i];
    TensorMap map;
    map.address = tensor.address;
    map.rows = tensor.rows;
    map.cols = tensor.cols;
    while ((bits(tensor.format) << map.line_shift) < 8 * line_bytes_) ++map.line_shift;
    map.lines_per_row = ((tensor.cols - 1) >> map.line_shift) + 1;
    map.row_shift = best_row_shift(boxes[i], tensor, line_bytes_);
    map.run_bytes = run_bytes_of(boxes[i], tensor, line_bytes_, segment_bytes_);
    const std::int64_t lines_wide = lines_per_segment >> map.row_shift;
    map.segments_per_row = ceil_div(map.lines_per_row, lines_wide);
    map.segments = map.segments_per_row * ceil_div(tensor.rows, 1LL << map.row_shift);
    tensors_.push_back(std::move(map));
  }
  const L2Footprint footprint = footprint_of(section);
  // What does not fit was written back before the section starts.
  attaching_ = true;
  if (!before.flushed) {
    double kept_inputs = 1;
    if (before.copies > 0) {
      const double capacity = static_cast<double>(capacity_lines_ * line_bytes_) *
                              static_cast<double>(partitions_.size());
      const auto kept = [&](int runs, bool one_copy) {
        return 1 - overfull_share(brought_by(section, footprint, runs, one_copy) / capacity);
      };
      const double kept_copies = kept(before.copies, false);
      for (const int i : footprint.loaded) {
        if (!is_copied(section, footprint, i)) continue;
        install_share(i, tensors[static_cast<std::size_t>(i)], kept_copies);
      }
      // Every run reads the same inputs, which nobody writes in between.
      kept_inputs = kept(1, true);
    }
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      if (tensors[i].warm) install_share(static_cast<int>(i), tensors[i], kept_inputs);
    }
  }
  attaching_ = false;
  begin_full(section, before, footprint);
}

void L2::install_share(int tensor, const Tensor& shape, double share) {
  // Less than half a line is none: tensors far beyond the L2 are not gone through for it.
  if (share * static_cast<double>(shape.size().value) < 0.5 * static_cast<double>(line_bytes_))
    return;
  // A line is there if the upper half of its hash is below this.
  const double below = std::ldexp(share, 32);
  const auto install_lines = [&](std::int64_t index, LineMask lines, std::int64_t count) {
    TensorMap& map = use(tensor);
    const std::int64_t address = address_of(map, index);
    if (share < 1) {
      for (std::int64_t line = 0; line < lines_per_segment; ++line) {
        const auto of_line = static_cast<std::uint64_t>(address + line * line_bytes_);
        if (static_cast<double>(mix(of_line) >> 32) >= below) lines &= ~(LineMask{1} << line);
      }
      count = popcount(lines);
      if (count == 0) return;
    }
    const int p = home(address);
    std::int32_t& place = places(map, index)[p];
    install(partitions_[static_cast<std::size_t>(p)], place, tensor, index).valid = lines;
    add_lines(Cycles(0), p, place, count);
  };
  visit(tensors_[static_cast<std::size_t>(tensor)], 0, 0, shape.rows, shape.cols, install_lines);
}

double L2::brought_by(const Section& section, const L2Footprint& footprint, int runs,
                      bool one_copy) const {
  const double partitions = replicate_far_ ? static_cast<double>(partitions_.size()) : 1;
  double bytes = 0;
  for (const int i : footprint.loaded) {
    const Tensor& tensor = section.tensors[static_cast<std::size_t>(i)];
    bytes += static_cast<double>(tensor.size().value) *
             (is_copied(section, footprint, i) ? runs : 1) *
             (tensor.warm && !one_copy ? partitions : (1 + partitions) / 2);
  }
  for (const int i : footprint.written) {
    if (footprint.loaded.count(i) != 0) continue;
    bytes += static_cast<double>(section.tensors[static_cast<std::size_t>(i)].size().value);
  }
  return bytes;
}

void L2::begin_full(const Section& section, const CacheBefore& before,
                    const L2Footprint& footprint) {
  const auto size_of = [&](int tensor) {
    return section.tensors[static_cast<std::size_t>(tensor)].size().value;
  };
  const double brought = brought_by(section, footprint, 1, false);
  std::int64_t written = 0, largest = 0, cached = 0, most_cached = 0;
  for (const OpRecord& op : section.ops) most_cached += op.compulsory_write.value;
  for (const int i : footprint.written) {
    const std::int64_t size = size_of(i);
    // Tokens are appended to a cache of keys and values: no more of it is written than has to be.
    if (section.tensors[static_cast<std::size_t>(i)].kind == TensorKind::kv_cache) {
      cached += size;
      continue;
    }
    written += size;
    if (size <= largest) continue;
    largest = size;
    old_address_ = section.tensors[static_cast<std::size_t>(i)].address;
    old_run_bytes_ = tensors_[static_cast<std::size_t>(i)].run_bytes;
  }
  if (largest == 0 && !before.flushed) return;
  written += std::min(cached, most_cached);
  const auto parts = static_cast<std::int64_t>(partitions_.size());
  const bool many_dirty = before.flushed || written > most_dirty_lines_ * parts * line_bytes_;
  for (Partition& p : partitions_) {
    p.old_lines = std::max<std::int64_t>(0, capacity_lines_ - p.lines);
  }
  if (!many_dirty) {
    // Lines that stay until the next run writes them again never go to memory.
    const double load = brought / static_cast<double>(capacity_lines_ * parts * line_bytes_);
    for (Partition& p : partitions_) {
      p.old_dirty_share = overfull_share(load) * static_cast<double>(written) / brought;
    }
    return;
  }
  old_dirty_is_counted_ = true;
  for (Partition& p : partitions_) {
    if (p.old_lines == 0) continue;
    p.old_dirty_lines = std::min(most_dirty_lines_, p.old_lines);
    p.old_dirty_share = static_cast<double>(p.old_dirty_lines) / static_cast<double>(p.old_lines);
  }
}

Cycles L2::write_old(Cycles now) {
  const std::int64_t address = old_address_;
  old_address_ += segment_bytes_;
  return write_back(now, address, segment_bytes_, old_run_bytes_);
}

Cycles L2::evict_old(Cycles now, int partition, std::int64_t lines) {
  Partition& p = partitions_[static_cast<std::size_t>(partition)];
  p.old_lines -= lines;
  p.old_lines_to_write += static_cast<double>(lines) * p.old_dirty_share;
  if (p.old_lines_to_write < static_cast<double>(lines_per_segment)) return now;
  p.old_lines_to_write -= static_cast<double>(lines_per_segment);
  if (old_dirty_is_counted_) {
    // Those that the limit has sent to memory are clean now.
    if (p.old_dirty_lines < lines_per_segment) return now;
    p.old_dirty_lines -= lines_per_segment;
  }
  return write_old(now);
}

void L2::forget_left(Partition& p) {
  while (!p.dirty.empty()) {
    const Partition::Soiled& oldest = p.dirty.front();
    const Segment& s = p.segments[static_cast<std::size_t>(oldest.slot)];
    if (s.dirty != 0 && s.soiled == oldest.soiled) return;
    p.dirty.pop_front();
  }
}

Cycles L2::clean(Cycles now, int partition, std::int32_t keep) {
  Partition& p = partitions_[static_cast<std::size_t>(partition)];
  Cycles room = now;
  while (p.dirty_lines + p.old_dirty_lines > most_dirty_lines_) {
    if (p.old_dirty_lines >= lines_per_segment) {
      p.old_dirty_lines -= lines_per_segment;
      room = std::max(room, write_old(now));
      continue;
    }
    p.old_dirty_lines = 0;
    forget_left(p);
    if (p.dirty.empty() || p.dirty.front().slot == keep) break;
    Segment& s = p.segments[static_cast<std::size_t>(p.dirty.front().slot)];
    p.dirty.pop_front();
    const TensorMap& map = tensors_[static_cast<std::size_t>(s.map)];
    const std::int64_t lines = popcount(s.dirty);
    s.dirty = 0;
    p.dirty_lines -= lines;
    room = std::max(room,
                    write_back(now, address_of(map, s.index), lines * line_bytes_, map.run_bytes));
  }
  return room;
}

Cycles L2::write_back(Cycles now, std::int64_t address, std::int64_t bytes,
                      std::int64_t run_bytes) {
  counters_.hbm_write_bytes += bytes;
  return memory_.write(now + to_memory_, address, bytes, run_bytes) - to_memory_;
}

template <class Visit>
void L2::visit(const TensorMap& map, std::int64_t row, std::int64_t col, std::int64_t rows,
               std::int64_t cols, Visit&& each) const {
  const std::int64_t row_end = std::min(row + rows, map.rows);
  const std::int64_t col_end = std::min(col + cols, map.cols);
  if (row >= row_end || col >= col_end) return;
  // Elements per line is a power of two: formats are 8, 16 or 32 bits wide, lines 2^i bytes.
  const std::int64_t first_line = col >> map.line_shift;
  const std::int64_t end_line = ((col_end - 1) >> map.line_shift) + 1;
  const int height = 1 << map.row_shift;
  const int wide_shift = segment_shift - map.row_shift;
  for (std::int64_t r = row; r < row_end;) {
    const std::int64_t band = r >> map.row_shift;
    const std::int64_t band_end = std::min(row_end, (band + 1) << map.row_shift);
    const int first_row = static_cast<int>(r - (band << map.row_shift));
    const int row_count = static_cast<int>(band_end - r);
    const bool whole_height = row_count == height;
    for (std::int64_t line = first_line; line < end_line;) {
      const std::int64_t column = line >> wide_shift;
      const std::int64_t column_end = std::min(end_line, (column + 1) << wide_shift);
      // Bit of a line: column within the segment * height + row within the segment.
      const int first = static_cast<int>((line - (column << wide_shift)) << map.row_shift);
      const int count = static_cast<int>(column_end - line) * row_count;
      LineMask lines = first_lines[static_cast<std::size_t>(whole_height ? count : row_count)];
      if (!whole_height && column_end - line > 1) {
        // The rows of one column times the bits where columns begin: the same rows of each.
        const auto width = static_cast<std::size_t>((column_end - line) << map.row_shift);
        lines *= first_rows[static_cast<std::size_t>(map.row_shift)] & first_lines[width];
      }
      each(band * map.segments_per_row + column, lines << (first + first_row), std::int64_t{count});
      line = column_end;
    }
    r = band_end;
  }
}

int L2::home(std::int64_t address) const {
  // The hash's upper half, scaled to the number of partitions without a division.
  const std::uint64_t upper = mix(static_cast<std::uint64_t>(address) >> 14) >> 32;
  return static_cast<int>((upper * partitions_.size()) >> 32);
}

L2::TensorMap& L2::use(int tensor) {
  TensorMap& map = tensors_[static_cast<std::size_t>(tensor)];
  if (map.slots.empty()) {
    map.slots.assign(static_cast<std::size_t>(map.segments) * partitions_.size(), -1);
  }
  return map;
}

void L2::unlink(Partition& p, std::int32_t slot) {
  Segment& s = p.segments[static_cast<std::size_t>(slot)];
  (s.newer >= 0 ? p.segments[static_cast<std::size_t>(s.newer)].older : p.newest) = s.older;
  (s.older >= 0 ? p.segments[static_cast<std::size_t>(s.older)].newer : p.oldest) = s.newer;
}

void L2::link_newest(Partition& p, std::int32_t slot) {
  Segment& s = p.segments[static_cast<std::size_t>(slot)];
  s.touched = p.touches++;
  s.newer = -1;
  s.older = p.newest;
  if (p.newest >= 0) p.segments[static_cast<std::size_t>(p.newest)].newer = slot;
  p.newest = slot;
  if (p.oldest < 0) p.oldest = slot;
}

L2::Segment& L2::install(Partition& p, std::int32_t& place, int tensor, std::int64_t index) {
  if (place >= 0) {
    touch(p, place);
  } else {
    if (p.free.empty()) {
      place = static_cast<std::int32_t>(p.segments.size());
      p.segments.emplace_back();
    } else {
      place = p.free.back();
      p.free.pop_back();
    }
    Segment& s = p.segments[static_cast<std::size_t>(place)];
    s = Segment{};
    s.map = tensor;
    s.index = static_cast<std::int32_t>(index);
    link_newest(p, place);
  }
  return p.segments[static_cast<std::size_t>(place)];
}

Cycles L2::evict(Cycles now, int partition, std::int32_t slot) {
  Partition& p = partitions_[static_cast<std::size_t>(partition)];
  Segment& s = p.segments[static_cast<std::size_t>(slot)];
  TensorMap& map = tensors_[static_cast<std::size_t>(s.map)];
  Cycles left = now;
  p.dirty_lines -= popcount(s.dirty);
  if (s.dirty != 0 && !attaching_) {
    left =
        write_back(now, address_of(map, s.index), popcount(s.dirty) * line_bytes_, map.run_bytes);
  }
  p.lines -= popcount(s.valid);
  places(map, s.index)[partition] = -1;
  unlink(p, slot);
  p.free.push_back(slot);
  return left;
}

void L2::drop_copies(int home_partition, const std::int32_t* places, LineMask lines) {
  for (int other = 0; other < static_cast<int>(partitions_.size()); ++other) {
    if (other == home_partition || places[other] < 0) continue;
    Partition& p = partitions_[static_cast<std::size_t>(other)];
    Segment& copy = p.segments[static_cast<std::size_t>(places[other])];
    const LineMask dropped = copy.valid & lines;
    if (dropped == 0) continue;
    p.lines -= popcount(dropped);
    copy.valid &= ~dropped;
  }
}

Cycles L2::add_lines(Cycles now, int partition, std::int32_t keep, std::int64_t added) {
  Partition& p = partitions_[static_cast<std::size_t>(partition)];
  p.lines += added;
  Cycles room = now;
  if (p.old_lines > 0 && p.lines + p.old_lines > capacity_lines_) {
    room =
        evict_old(now, partition, std::min(p.old_lines, p.lines + p.old_lines - capacity_lines_));
  }
  while (p.lines > capacity_lines_ && p.oldest != keep) {
    room = std::max(room, evict(now, partition, p.oldest));
  }
  return room;
}

inline void L2::read_segment(Request& request, TensorMap& map, std::int64_t index, LineMask lines,
                             std::int64_t count) {
  std::int32_t* const place = places(map, index);
  const int near_partition = request.near_partition;
  const std::int32_t slot = place[near_partition];
  Partition& p = partitions_[static_cast<std::size_t>(near_partition)];
  if (slot < 0 || (lines & ~p.segments[static_cast<std::size_t>(slot)].valid) != 0) {
    read_missing(request, index, lines, count);
    return;
  }
  // All of it is near: of what read_missing does, this is what is left to do.
  const std::int64_t bytes = count * line_bytes_;
  request.bytes += bytes;
  request.from_l2 = std::max(request.from_l2, p.read.book(request.now, bytes) + near_latency_);
  request.from_hbm = std::max(request.from_hbm, p.segments[static_cast<std::size_t>(slot)].ready);
  touch(p, slot);
  counters_.hit_bytes += bytes;
  // A copy is asked for once more when it is told to keep the lines that it has.
  if (touches_twice_ && replicate_far_ && home(address_of(map, index)) != near_partition)
    touch(p, slot);
}

void L2::read_missing(Request& request, std::int64_t index, LineMask lines, std::int64_t count) {
  const Cycles now = request.now;
  TensorMap& map = tensors_[static_cast<std::size_t>(request.tensor)];
  const std::int64_t address = address_of(map, index);
  std::int32_t* const place = places(map, index);
  const int home_partition = home(address);
  const int near_partition = request.near_partition;
  Partition& home_part = partitions_[static_cast<std::size_t>(home_partition)];
  Partition& near_part = partitions_[static_cast<std::size_t>(near_partition)];
  const std::int64_t bytes = count * line_bytes_;
  request.bytes += bytes;
  // Takes the lines that `p` has off the missing ones.
  LineMask missing = lines;
  const auto found_in = [&](Partition& p, std::int32_t slot, Cycles& ready) {
    if (slot < 0) return;
    const Segment& segment = p.segments[static_cast<std::size_t>(slot)];
    if ((segment.valid & missing) == 0) return;
    missing &= ~segment.valid;
    ready = std::max(ready, segment.ready);
    touch(p, slot);
  };

  // A copy in the near partition, home or not.
  Cycles done = near_part.read.book(now, bytes) + near_latency_;
  found_in(near_part, place[near_partition], request.from_hbm);
  Cycles fill_ready;
  if (missing != 0) {
    if (home_partition != near_partition) {
      const std::int64_t far_bytes = count_of(missing, lines, count) * line_bytes_;
      done = std::max(
          done, std::max(home_part.read.book(now, far_bytes), near_part.link.book(now, far_bytes)) +
                    far_latency_);
      found_in(home_part, place[home_partition], fill_ready);
    }
    const std::int64_t miss_bytes = count_of(missing, lines, count) * line_bytes_;
    counters_.hit_bytes -= miss_bytes;
    if (missing != 0) {
      const Cycles filled =
          memory_.read(now + to_memory_, address + first_line(missing) * line_bytes_, miss_bytes,
                       map.run_bytes) +
          to_memory_;
      counters_.hbm_read_bytes += miss_bytes;
      Segment& fresh = install(home_part, place[home_partition], request.tensor, index);
      const std::int64_t added = count_of(missing & ~fresh.valid, lines, count);
      fresh.valid |= missing;
      const Cycles room = add_lines(now, home_partition, place[home_partition], added);
      const Cycles ready = std::max(filled, room);
      fill_ready = std::max(fill_ready, ready);
      fresh.ready = std::max(fresh.ready, ready);
    }
  }
  counters_.hit_bytes += bytes;
  if (replicate_far_ && home_partition != near_partition) {
    Segment& copy = install(near_part, place[near_partition], request.tensor, index);
    const LineMask added = lines & ~copy.valid;
    if (added != 0) {
      copy.valid |= added;
      copy.ready = std::max(copy.ready, fill_ready);
      add_lines(now, near_partition, place[near_partition], count_of(added, lines, count));
    }
  }
  request.from_l2 = std::max(request.from_l2, done);
  request.from_hbm = std::max(request.from_hbm, fill_ready);
}

L2Answer L2::finish(const Request& request) {
  counters_.read_bytes += request.bytes;
  const Cycles port = deliver(request.now, request.core, request.bytes);
  L2Answer answer;
  answer.bytes = request.bytes;
  answer.arrival = std::max({request.from_l2, request.from_hbm, port});
  if (answer.arrival == request.from_hbm && request.from_hbm > request.from_l2) {
    answer.cause = Cause::hbm;
  } else if (answer.arrival == port && port > request.from_l2) {
    answer.cause = Cause::noc;
  }
  return answer;
}

L2Answer L2::read(Cycles now, int core, int tensor, std::int64_t row, std::int64_t col,
                  std::int64_t rows, std::int64_t cols) {
  TensorMap& map = use(tensor);
  Request request{now, core, tensor, near(core), 0, {}, {}};
  visit(map, row, col, rows, cols, [&](std::int64_t index, LineMask lines, std::int64_t count) {
    read_segment(request, map, index, lines, count);
  });
  return finish(request);
}

L2Answer L2::gather(Cycles now, int core, int tensor, std::int64_t row, std::int64_t col,
                    std::int64_t rows, std::int64_t cols) {
  TensorMap& map = use(tensor);
  Request request{now, core, tensor, near(core), 0, {}, {}};
  for (std::int64_t r = row; r < row + rows; ++r) {
    const auto place = static_cast<std::int64_t>(mix(static_cast<std::uint64_t>(r) + 1) %
                                                 static_cast<std::uint64_t>(map.rows));
    visit(map, place, col, 1, cols, [&](std::int64_t index, LineMask lines, std::int64_t count) {
      read_segment(request, map, index, lines, count);
    });
  }
  return finish(request);
}

L2Written L2::write(Cycles now, int core, int tensor, std::int64_t row, std::int64_t col,
                    std::int64_t rows, std::int64_t cols, bool accumulate) {
  TensorMap& map = use(tensor);
  Cycles done, taken;
  std::int64_t total = 0;
  const int near_partition = near(core);
  visit(map, row, col, rows, cols, [&](std::int64_t index, LineMask lines, std::int64_t count) {
    const std::int64_t bytes = count * line_bytes_;
    const int p = home(address_of(map, index));
    Partition& part = partitions_[static_cast<std::size_t>(p)];
    Cycles end = part.write.book(now, accumulate ? 2 * bytes : bytes) + near_latency_;
    if (p != near_partition) end = std::max(end, part.link.book(now, bytes) + far_latency_);
    std::int32_t* const place = places(map, index);
    if (replicate_far_) drop_copies(p, place, lines);
    Segment& segment = install(part, place[p], tensor, index);
    const std::int64_t added = count_of(lines & ~segment.valid, lines, count);
    const std::int64_t soiled = count_of(lines & ~segment.dirty, lines, count);
    if (segment.dirty == 0) {
      forget_left(part);
      segment.soiled = part.soilings++;
      part.dirty.push_back({place[p], segment.soiled});
    }
    segment.valid |= lines;
    segment.dirty |= lines;
    part.dirty_lines += soiled;
    // One after the other: old lines that make room are dirty no longer.
    Cycles room = add_lines(now, p, place[p], added);
    room = std::max(room, clean(now, p, place[p]));
    taken = std::max(taken, room);
    done = std::max({done, end, room + near_latency_});
    total += bytes;
  });
  counters_.write_bytes += total;
  const Cycles port = write_ports_[static_cast<std::size_t>(core)].book(now, total);
  return {std::max(port, taken), std::max(done, port + near_latency_), total};
}

Cycles L2::deliver(Cycles now, int core, std::int64_t bytes) {
  return read_ports_[static_cast<std::size_t>(core)].book(now, bytes) + near_latency_;
}

}  // namespace tessera

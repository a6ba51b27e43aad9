#include "sim/chip/l2.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

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

LineMask mask_of(int first, int count) {
  return count >= lines_per_segment ? ~LineMask{0} : ((LineMask{1} << count) - 1) << first;
}

int popcount(LineMask x) {
  return __builtin_popcountll(static_cast<std::uint64_t>(x)) +
         __builtin_popcountll(static_cast<std::uint64_t>(x >> 64));
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
int best_row_shift(const Boxes& boxes, const Tensor& tensor, int line_bytes) {
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

}  // namespace

L2::L2(const ChipConfig& chip, MemoryPort& memory)
    : memory_(memory),
      line_bytes_(chip.l2.line_bytes),
      near_latency_(chip.l2.near_latency_cycles),
      far_latency_(chip.l2.far_latency_cycles),
      to_memory_((chip.l2.near_latency_cycles + chip.hbm.controller_latency_cycles) / 2),
      replicate_far_(chip.l2.replicate_far != 0 && chip.l2.partitions > 1),
      capacity_lines_(std::max<std::int64_t>(
          chip.l2.size_mib * (1LL << 20) / chip.l2.partitions / chip.l2.line_bytes,
          lines_per_segment)),
      recent_touches_(static_cast<std::uint32_t>(capacity_lines_ / lines_per_segment / 16)) {
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

void L2::attach(const Section& section) {
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
    const std::int64_t lines_wide = lines_per_segment >> map.row_shift;
    map.segments_per_row = ceil_div(map.lines_per_row, lines_wide);
    map.segments = map.segments_per_row * ceil_div(tensor.rows, 1LL << map.row_shift);
    tensors_.push_back(std::move(map));
  }
  // What does not fit was written back before the section starts.
  attaching_ = true;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (!tensors[i].warm) continue;
    visit(tensors_[i], 0, 0, tensors[i].rows, tensors[i].cols,
          [&](std::int64_t index, LineMask lines, std::int64_t count) {
            TensorMap& map = tensors_[i];
            const int p = home(map.address + index * lines_per_segment * line_bytes_);
            Segment& segment = install(Cycles(0), p, static_cast<int>(i), map, index);
            segment.valid = segment.dirty = lines;
            add_lines(Cycles(0), p, slot_of(map, p, index), count);
          });
  }
  attaching_ = false;
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
  const std::int64_t height = 1LL << map.row_shift;
  const int wide_shift = segment_shift - map.row_shift;
  for (std::int64_t r = row; r < row_end;) {
    const std::int64_t band = r >> map.row_shift;
    const std::int64_t band_end = std::min(row_end, (band + 1) << map.row_shift);
    const int first_row = static_cast<int>(r - (band << map.row_shift));
    const int row_count = static_cast<int>(band_end - r);
    for (std::int64_t line = first_line; line < end_line;) {
      const std::int64_t column = line >> wide_shift;
      const std::int64_t column_end = std::min(end_line, (column + 1) << wide_shift);
      // Bit of a line: column within the segment * height + row within the segment.
      LineMask lines = 0;
      for (std::int64_t l = line; l < column_end; ++l) {
        const int offset = static_cast<int>((l - (column << wide_shift)) * height);
        lines |= mask_of(offset + first_row, row_count);
      }
      each(band * map.segments_per_row + column, lines, (column_end - line) * row_count);
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

std::int32_t& L2::slot_of(TensorMap& map, int partition, std::int64_t index) {
  const std::size_t partitions = partitions_.size();
  if (map.slots.empty()) map.slots.assign(static_cast<std::size_t>(map.segments) * partitions, -1);
  return map
      .slots[static_cast<std::size_t>(index) * partitions + static_cast<std::size_t>(partition)];
}

L2::Segment* L2::find(int partition, TensorMap& map, std::int64_t index) {
  const std::int32_t slot = slot_of(map, partition, index);
  return slot < 0 ? nullptr
                  : &partitions_[static_cast<std::size_t>(partition)]
                         .segments[static_cast<std::size_t>(slot)];
}

void L2::unlink(Partition& p, std::int32_t slot) {
  Segment& s = p.segments[static_cast<std::size_t>(slot)];
  (s.newer >= 0 ? p.segments[static_cast<std::size_t>(s.newer)].older : p.newest) = s.older;
  (s.older >= 0 ? p.segments[static_cast<std::size_t>(s.older)].newer : p.oldest) = s.newer;
}

void L2::touch(Partition& p, std::int32_t slot) {
  Segment& s = p.segments[static_cast<std::size_t>(slot)];
  const bool listed = s.newer >= 0 || s.older >= 0 || p.oldest == slot;
  if (listed && p.touches - s.touched < recent_touches_) return;
  if (listed) unlink(p, slot);
  s.touched = p.touches++;
  s.newer = -1;
  s.older = p.newest;
  if (p.newest >= 0) p.segments[static_cast<std::size_t>(p.newest)].newer = slot;
  p.newest = slot;
  if (p.oldest < 0) p.oldest = slot;
}

L2::Segment& L2::install(Cycles, int partition, int tensor, TensorMap& map, std::int64_t index) {
  Partition& p = partitions_[static_cast<std::size_t>(partition)];
  std::int32_t& slot = slot_of(map, partition, index);
  if (slot < 0) {
    if (p.free.empty()) {
      slot = static_cast<std::int32_t>(p.segments.size());
      p.segments.emplace_back();
    } else {
      slot = p.free.back();
      p.free.pop_back();
    }
    Segment& s = p.segments[static_cast<std::size_t>(slot)];
    s = Segment{};
    s.address = map.address + index * lines_per_segment * line_bytes_;
    s.map = tensor;
    s.index = static_cast<std::int32_t>(index);
  }
  touch(p, slot);
  return p.segments[static_cast<std::size_t>(slot)];
}

void L2::evict(Cycles now, int partition, std::int32_t slot) {
  Partition& p = partitions_[static_cast<std::size_t>(partition)];
  Segment& s = p.segments[static_cast<std::size_t>(slot)];
  if (s.dirty != 0 && !attaching_) {
    const std::int64_t bytes = static_cast<std::int64_t>(popcount(s.dirty)) * line_bytes_;
    memory_.write(now + to_memory_, s.address, bytes);
    counters_.hbm_write_bytes += bytes;
  }
  p.lines -= popcount(s.valid);
  slot_of(tensors_[static_cast<std::size_t>(s.map)], partition, s.index) = -1;
  unlink(p, slot);
  p.free.push_back(slot);
}

void L2::drop_copies(int home_partition, TensorMap& map, std::int64_t index, LineMask lines) {
  for (int other = 0; other < static_cast<int>(partitions_.size()); ++other) {
    if (other == home_partition) continue;
    if (Segment* copy = find(other, map, index)) {
      partitions_[static_cast<std::size_t>(other)].lines -= popcount(copy->valid & lines);
      copy->valid &= ~lines;
    }
  }
}

void L2::add_lines(Cycles now, int partition, std::int32_t keep, std::int64_t added) {
  Partition& p = partitions_[static_cast<std::size_t>(partition)];
  p.lines += added;
  while (p.lines > capacity_lines_ && p.oldest != keep) evict(now, partition, p.oldest);
}

void L2::read_segment(Cycles now, int core, int tensor, std::int64_t index, LineMask lines,
                      std::int64_t count, L2Answer& answer, Cycles& from_l2, Cycles& from_hbm) {
  TensorMap& map = tensors_[static_cast<std::size_t>(tensor)];
  const std::int64_t address = map.address + index * lines_per_segment * line_bytes_;
  const int home_partition = home(address);
  const int near_partition = near(core);
  const std::int64_t bytes = count * line_bytes_;
  answer.bytes += bytes;
  counters_.read_bytes += bytes;
  const auto count_of = [&](LineMask part) -> std::int64_t {
    return part == lines ? count : part == 0 ? 0 : popcount(part);
  };

  LineMask missing = lines;
  // A copy in the near partition, home or not.
  Partition& near_part = partitions_[static_cast<std::size_t>(near_partition)];
  Cycles done = near_part.read.book(now, bytes) + near_latency_;
  Segment* segment = find(near_partition, map, index);
  if (segment != nullptr && (segment->valid & lines) != 0) {
    missing = lines & ~segment->valid;
    if (from_hbm < segment->ready) from_hbm = segment->ready;
    touch(near_part, slot_of(map, near_partition, index));
  }
  Cycles fill_ready;
  if (missing != 0 && home_partition != near_partition) {
    Partition& home_part = partitions_[static_cast<std::size_t>(home_partition)];
    Cycles passed = home_part.read.book(now, count_of(missing) * line_bytes_);
    const Cycles link = near_part.link.book(now, count_of(missing) * line_bytes_);
    if (passed < link) passed = link;
    passed += far_latency_;
    if (done < passed) done = passed;
    Segment* far = find(home_partition, map, index);
    if (far != nullptr && (far->valid & missing) != 0) {
      missing &= ~far->valid;
      fill_ready = far->ready;
      touch(home_part, slot_of(map, home_partition, index));
    }
  }
  if (missing != 0) {
    const std::int64_t miss_bytes = count_of(missing) * line_bytes_;
    const int first = first_line(missing);
    const Cycles filled =
        memory_.read(now + to_memory_, address + first * line_bytes_, miss_bytes) + to_memory_;
    counters_.hbm_read_bytes += miss_bytes;
    if (fill_ready < filled) fill_ready = filled;
    Segment& fresh = install(now, home_partition, tensor, map, index);
    const std::int64_t added = count_of(missing & ~fresh.valid);
    fresh.valid |= missing;
    if (fresh.ready < filled) fresh.ready = filled;
    add_lines(now, home_partition, slot_of(map, home_partition, index), added);
  }
  counters_.hit_bytes += bytes - count_of(missing) * line_bytes_;
  if (replicate_far_ && home_partition != near_partition) {
    Segment& copy = install(now, near_partition, tensor, map, index);
    const LineMask added = lines & ~copy.valid;
    if (added != 0) {
      copy.valid |= added;
      if (copy.ready < fill_ready) copy.ready = fill_ready;
      add_lines(now, near_partition, slot_of(map, near_partition, index), count_of(added));
    }
  }
  if (from_l2 < done) from_l2 = done;
  if (from_hbm < fill_ready) from_hbm = fill_ready;
}

L2Answer L2::finish(Cycles now, int core, std::int64_t bytes, Cycles from_l2, Cycles from_hbm) {
  const Cycles port = read_ports_[static_cast<std::size_t>(core)].book(now, bytes) + near_latency_;
  L2Answer answer;
  answer.bytes = bytes;
  answer.arrival = std::max({from_l2, from_hbm, port});
  if (answer.arrival == from_hbm && from_hbm > from_l2) {
    answer.cause = Cause::hbm;
  } else if (answer.arrival == port && port > from_l2) {
    answer.cause = Cause::noc;
  }
  return answer;
}

L2Answer L2::read(Cycles now, int core, int tensor, std::int64_t row, std::int64_t col,
                  std::int64_t rows, std::int64_t cols) {
  const TensorMap& map = tensors_[static_cast<std::size_t>(tensor)];
  L2Answer answer;
  Cycles from_l2, from_hbm;
  visit(map, row, col, rows, cols, [&](std::int64_t index, LineMask lines, std::int64_t count) {
    read_segment(now, core, tensor, index, lines, count, answer, from_l2, from_hbm);
  });
  return finish(now, core, answer.bytes, from_l2, from_hbm);
}

L2Answer L2::gather(Cycles now, int core, int tensor, std::int64_t row, std::int64_t col,
                    std::int64_t rows, std::int64_t cols) {
  const TensorMap& map = tensors_[static_cast<std::size_t>(tensor)];
  L2Answer answer;
  Cycles from_l2, from_hbm;
  for (std::int64_t r = row; r < row + rows; ++r) {
    const auto place = static_cast<std::int64_t>(mix(static_cast<std::uint64_t>(r) + 1) %
                                                 static_cast<std::uint64_t>(map.rows));
    visit(map, place, col, 1, cols, [&](std::int64_t index, LineMask lines, std::int64_t count) {
      read_segment(now, core, tensor, index, lines, count, answer, from_l2, from_hbm);
    });
  }
  return finish(now, core, answer.bytes, from_l2, from_hbm);
}

L2Written L2::write(Cycles now, int core, int tensor, std::int64_t row, std::int64_t col,
                    std::int64_t rows, std::int64_t cols, bool accumulate) {
  TensorMap& map = tensors_[static_cast<std::size_t>(tensor)];
  Cycles done;
  std::int64_t total = 0;
  const int near_partition = near(core);
  visit(map, row, col, rows, cols, [&](std::int64_t index, LineMask lines, std::int64_t count) {
    const std::int64_t bytes = count * line_bytes_;
    const int p = home(map.address + index * lines_per_segment * line_bytes_);
    Partition& part = partitions_[static_cast<std::size_t>(p)];
    Cycles end = part.write.book(now, accumulate ? 2 * bytes : bytes) + near_latency_;
    if (p != near_partition) end = std::max(end, part.link.book(now, bytes) + far_latency_);
    if (replicate_far_) drop_copies(p, map, index, lines);
    Segment& segment = install(now, p, tensor, map, index);
    const std::int64_t added = popcount(lines & ~segment.valid);
    segment.valid |= lines;
    segment.dirty |= lines;
    add_lines(now, p, slot_of(map, p, index), added);
    done = std::max(done, end);
    total += bytes;
  });
  counters_.write_bytes += total;
  const Cycles port = write_ports_[static_cast<std::size_t>(core)].book(now, total);
  return {port, std::max(done, port + near_latency_)};
}

Cycles L2::deliver(Cycles now, int core, std::int64_t bytes) {
  return read_ports_[static_cast<std::size_t>(core)].book(now, bytes) + near_latency_;
}

}  // namespace tessera

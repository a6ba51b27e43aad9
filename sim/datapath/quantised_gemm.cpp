#include "sim/datapath/quantised_gemm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>

#include "sim/base/error.h"
#include "sim/base/parallel.h"
#include "sim/base/random.h"
#include "sim/base/units.h"
#include "sim/datapath/block_scaled.h"
#include "sim/datapath/cast.h"
#include "sim/datapath/gemm.h"

namespace tessera {
namespace {

constexpr int promotion = 128;  ///< products, in CUTLASS and DeepGEMM

bool is_software_block(Scaling s) {
  return s == Scaling::block_1x128 || s == Scaling::block_128x128;
}

bool is_hardware_block(Scaling s) {
  return s == Scaling::mx || s == Scaling::nvfp4 || s == Scaling::nvfp4_16x16;
}

/// One scale for a row: it leaves the sum over k.
bool is_per_row(const QuantisedMatrix& q) { return q.block_cols >= q.cols; }

// ---- emulation ----

/// B as gemm() wants it: [k][n].
std::vector<float> transposed(const QuantisedMatrix& b) {
  constexpr std::int64_t tile = 32;
  std::vector<float> t(b.values.size());
  for (std::int64_t first = 0; first < b.rows; first += tile)
    for (std::int64_t k = 0; k < b.cols; ++k)
      for (std::int64_t j = first; j < std::min(first + tile, b.rows); ++j)
        t[static_cast<std::size_t>(k * b.rows + j)] =
            b.values[static_cast<std::size_t>(j * b.cols + k)];
  return t;
}

/// Scales of each promoted part of each row, as [row][part] or [part][row].
enum class Order { row_major, part_major };
std::vector<float> part_scales(const QuantisedMatrix& q, Order order) {
  const std::int64_t parts = ceil_div(q.cols, promotion);
  std::vector<float> scales(static_cast<std::size_t>(q.rows * parts));
  for (std::int64_t r = 0; r < q.rows; ++r)
    for (std::int64_t p = 0; p < parts; ++p)
      scales[static_cast<std::size_t>(order == Order::row_major ? r * parts + p : p * q.rows + r)] =
          q.block_scale(r, p * promotion);
  return scales;
}

/// The operand as FP32 values: what FP32 lanes multiply.
std::vector<float> as_fp32(const QuantisedMatrix& q) {
  std::vector<float> x(q.values.size());
  for (std::int64_t r = 0; r < q.rows; ++r)
    for (std::int64_t c = 0; c < q.cols; ++c) {
      const auto at = static_cast<std::size_t>(r * q.cols + c);
      x[at] = q.values[at] * q.block_scale(r, c) * q.tensor_scale;
    }
  return x;
}

void scale_outputs(const QuantisedMatrix& a, const QuantisedMatrix& b, float* d) {
  if (a.scaling == Scaling::none && b.scaling == Scaling::none) return;
  for (std::int64_t i = 0; i < a.rows; ++i) {
    const float a_scale = a.block_scale(i, 0);
    for (std::int64_t j = 0; j < b.rows; ++j) d[i * b.rows + j] *= a_scale * b.block_scale(j, 0);
  }
}

/// D before the rounding to the output's format.
void accumulate(const QuantisedMatrix& a, const QuantisedMatrix& b, const GemmArithmetic& how,
                float* d, Isa isa) {
  if (how.unit == nullptr) {
    fp32_product(as_fp32(a).data(), as_fp32(b).data(), a.rows, b.rows, a.cols, d, isa);
    return;
  }
  const int promote_every = how.accumulation == Accumulation::promote128 ? promotion : 0;
  if (is_hardware_block(a.scaling)) {
    block_scaled_gemm(*how.unit, a, b, promote_every, d, isa);
    const float scale = a.tensor_scale * b.tensor_scale;
    if (a.scaling != Scaling::mx)
      for (std::int64_t i = 0; i < a.rows * b.rows; ++i) d[i] *= scale;
    return;
  }
  const std::vector<float> b_columns = transposed(b);
  std::vector<float> a_scales, b_scales;
  Gemm g;
  g.m = a.rows;
  g.n = b.rows;
  g.k = a.cols;
  g.a = a.values.data();
  g.b = b_columns.data();
  g.d = d;
  g.accumulator = how.accumulator;
  g.promote_every = promote_every;
  const bool in_promotion = is_software_block(a.scaling) || is_software_block(b.scaling);
  if (in_promotion) {
    a_scales = part_scales(a, Order::row_major);
    b_scales = part_scales(b, Order::part_major);
    g.a_scales = a_scales.data();
    g.b_scales = b_scales.data();
  }
  gemm(*how.unit, g, isa);
  if (!in_promotion) scale_outputs(a, b, d);
}

void check(const QuantisedMatrix& a, const QuantisedMatrix& b, const GemmArithmetic& how) {
  validate(how);
  if (a.format != how.a_format || a.scaling != how.a_scaling || b.format != how.b_format ||
      b.scaling != how.b_scaling || a.cols != b.cols)
    throw std::invalid_argument("emulate: an operand is not as the arithmetic says, or k differs");
}

// ---- which outputs are compared ----

/// Outputs at all pairs of some rows and columns.
struct OutputBlock {
  std::vector<std::int64_t> rows, columns;
};

constexpr std::int64_t block_edge = 8;

/// `count` of 0..n-1, different, in random order.
std::vector<std::int64_t> draw(std::int64_t n, std::int64_t count, const Random& random,
                               std::uint64_t& draws) {
  std::vector<std::int64_t> chosen;
  if (count == n) {
    chosen.resize(static_cast<std::size_t>(n));
    std::iota(chosen.begin(), chosen.end(), 0);
    return chosen;
  }
  while (static_cast<std::int64_t>(chosen.size()) < count) {
    const auto index = static_cast<std::int64_t>(random.uniform(draws++) * static_cast<double>(n));
    if (std::find(chosen.begin(), chosen.end(), index) == chosen.end()) chosen.push_back(index);
  }
  return chosen;
}

std::vector<OutputBlock> sample_blocks(std::int64_t m, std::int64_t n,
                                       const StudyOptions& options) {
  const std::int64_t rows = std::min(block_edge, m), columns = std::min(block_edge, n);
  const std::int64_t blocks = std::max<std::int64_t>(ceil_div(options.sample, rows * columns), 2);
  const Random random(options.seed, 0x53414D50);  // a stream apart from the operands'
  std::uint64_t draws = 0;
  std::vector<OutputBlock> chosen;
  for (std::int64_t i = 0; i < blocks; ++i) {
    OutputBlock block;
    block.rows = draw(m, rows, random, draws);
    block.columns = draw(n, columns, random, draws);
    chosen.push_back(block);
  }
  return chosen;
}

std::vector<float> rows_of(const float* matrix, std::int64_t length,
                           const std::vector<std::int64_t>& rows) {
  std::vector<float> part;
  part.reserve(rows.size() * static_cast<std::size_t>(length));
  for (const std::int64_t r : rows)
    part.insert(part.end(), matrix + r * length, matrix + (r + 1) * length);
  return part;
}

// ---- comparison ----

struct StudySums {
  ErrorSums quantisation, accumulation, total;

  void merge(const StudySums& other) {
    quantisation.merge(other.quantisation);
    accumulation.merge(other.accumulation);
    total.merge(other.total);
  }
};

/// Compares the outputs of rows a (and their originals) with all rows of b.
StudySums compare(const float* original_a, const float* original_b, const QuantisedMatrix& a,
                  const QuantisedMatrix& b, const GemmArithmetic& how, Isa isa) {
  const std::int64_t outputs = a.rows * b.rows;
  const auto size = static_cast<std::size_t>(outputs);
  std::vector<double> exact(size), dequantised(size);
  std::vector<float> emulated(size);
  exact_product(original_a, original_b, a.rows, b.rows, a.cols, exact.data(), isa);
  exact_product(a, b, dequantised.data(), isa);
  accumulate(a, b, how, emulated.data(), isa);
  StudySums sums;
  sums.quantisation.add(dequantised.data(), exact.data(), outputs);
  sums.accumulation.add(emulated.data(), dequantised.data(), outputs);
  if (how.output != Format::fp32)
    round_to(how.output, Overflow::to_special, emulated.data(), emulated.data(), outputs, isa);
  sums.total.add(emulated.data(), exact.data(), outputs);
  return sums;
}

/// results[i] = task(i) on `jobs` threads.
template <class Task>
std::vector<StudySums> in_parallel(std::int64_t tasks, int jobs, Task task) {
  std::vector<StudySums> results(static_cast<std::size_t>(tasks));
  run_parallel(tasks, jobs,
               [&](std::int64_t i) { results[static_cast<std::size_t>(i)] = task(i); });
  return results;
}

/// 95 % percentile intervals of rel_rmse, from drawing the blocks anew with replacement.
void bootstrap(const std::vector<StudySums>& blocks, std::uint64_t seed, GemmStudy& study) {
  constexpr int resamples = 1000;
  const Random random(seed, 0x424F4F54);
  std::vector<double> quantisation, accumulation, total;
  std::uint64_t draws = 0;
  for (int i = 0; i < resamples; ++i) {
    StudySums sums;
    for (std::size_t b = 0; b < blocks.size(); ++b)
      sums.merge(blocks[static_cast<std::size_t>(random.uniform(draws++) *
                                                 static_cast<double>(blocks.size()))]);
    quantisation.push_back(sums.quantisation.rel_rmse());
    accumulation.push_back(sums.accumulation.rel_rmse());
    total.push_back(sums.total.rel_rmse());
  }
  const auto interval = [](std::vector<double>& values) {
    std::sort(values.begin(), values.end());
    return Interval{values[resamples / 40], values[resamples - 1 - resamples / 40]};
  };
  study.quantisation_interval = interval(quantisation);
  study.accumulation_interval = interval(accumulation);
  study.total_interval = interval(total);
}

}  // namespace

std::string_view name(Accumulation accumulation) {
  return accumulation == Accumulation::fast ? "fast" : "promote128";
}

void validate(const GemmArithmetic& how) {
  if (how.output != Format::fp32 && how.output != Format::bf16 && how.output != Format::fp16)
    throw InputError("output", fmt::format("a GEMM's results are not {}", name(how.output)),
                     "give fp32, bf16 or fp16");
  if (how.unit == nullptr) {
    if (how.accumulation != Accumulation::fast || how.accumulator != Accumulator::fp32)
      throw InputError("accumulate", "FP32 lanes have one accumulation, in FP32",
                       "give fast and an FP32 accumulator, or a tensor core");
    return;
  }
  const Unit& unit = *how.unit;
  validate(unit);
  for (const Format format : {how.a_format, how.b_format})
    if (format != unit.input)
      throw InputError(
          "format",
          fmt::format("{} multiplies {}, not {}", unit.name, name(unit.input), name(format)),
          "give the unit's format, or another unit");
  const bool promoted = how.accumulation == Accumulation::promote128;
  if (how.accumulator == Accumulator::fp16 && (promoted || !unit.fp16_accumulator))
    throw InputError("accumulator",
                     fmt::format("{} accumulates in FP16 {}", unit.name,
                                 unit.fp16_accumulator ? "without promotion only" : "nowhere"),
                     "give an FP32 accumulator");
  if (promoted && promotion % unit.products != 0)
    throw InputError("accumulate",
                     fmt::format("128 products are no whole number of {}'s steps of {}", unit.name,
                                 unit.products),
                     "give fast");
  if (is_hardware_block(how.a_scaling) || is_hardware_block(how.b_scaling)) {
    if (!unit.block_scales)
      throw InputError(
          "scaling",
          fmt::format("{} takes no {} scales", unit.name,
                      name(is_hardware_block(how.a_scaling) ? how.a_scaling : how.b_scaling)),
          "give another scaling, or a unit that does, as b200.e4m3");
    if (!takes_block_scales(unit, how.a_scaling, how.b_scaling))
      throw InputError("scaling",
                       fmt::format("{} takes no {} beside {} scales", unit.name,
                                   name(how.a_scaling), name(how.b_scaling)),
                       "give mx for both operands, or with e2m1 nvfp4 for both");
    if (how.accumulator == Accumulator::fp16)
      throw InputError("accumulator", "block-scaled products accumulate in FP32",
                       "give an FP32 accumulator");
  }
  if (!promoted && (is_software_block(how.a_scaling) || is_software_block(how.b_scaling)))
    throw InputError("accumulate", "block scales go into the promotion of each 128 products",
                     "give promote128 with block scaling");
}

void emulate(const QuantisedMatrix& a, const QuantisedMatrix& b, const GemmArithmetic& how,
             float* d, Isa isa) {
  check(a, b, how);
  accumulate(a, b, how, d, isa);
  if (how.output != Format::fp32)
    round_to(how.output, Overflow::to_special, d, d, a.rows * b.rows, isa);
}

void emulate(const float* a, const float* b, std::int64_t m, std::int64_t n, std::int64_t k,
             const GemmArithmetic& how, float* d, Isa isa) {
  emulate(quantise(a, m, k, how.a_format, how.a_scaling, how.a_rule),
          quantise(b, n, k, how.b_format, how.b_scaling, how.b_rule), how, d, isa);
}

void exact_product(const QuantisedMatrix& a, const QuantisedMatrix& b, double* d, Isa isa) {
  const std::int64_t m = a.rows, n = b.rows, k = a.cols;
  if (k != b.cols) throw std::invalid_argument("exact_product: k differs");
  if (is_per_row(a) && is_per_row(b)) {
    exact_product(a.values.data(), b.values.data(), m, n, k, d, isa);
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j) d[i * n + j] *= a.scale(i, 0) * b.scale(j, 0);
    return;
  }
  // Stretches of the scalings are powers of two: the smaller one divides the other.
  const std::int64_t stretch = std::min(a.block_cols, b.block_cols);
  const std::int64_t stretches = ceil_div(k, stretch);
  const auto scales_of = [&](const QuantisedMatrix& q) {
    std::vector<double> scales(static_cast<std::size_t>(q.rows * stretches));
    for (std::int64_t r = 0; r < q.rows; ++r)
      for (std::int64_t p = 0; p < stretches; ++p)
        scales[static_cast<std::size_t>(r * stretches + p)] =
            static_cast<double>(q.block_scale(r, p * stretch));
    return scales;
  };
  const std::vector<double> a_scales = scales_of(a), b_scales = scales_of(b);
  exact_product(a.values.data(), b.values.data(), m, n, k,
                {stretch, a_scales.data(), b_scales.data()}, d, isa);
  const double scale = double{a.tensor_scale} * double{b.tensor_scale};
  for (std::int64_t i = 0; i < m * n; ++i) d[i] *= scale;
}

GemmStudy study_gemm(const float* a, const float* b, std::int64_t m, std::int64_t n, std::int64_t k,
                     const GemmArithmetic& how, const StudyOptions& options) {
  validate(how);
  const QuantisedMatrix qa = quantise(a, m, k, how.a_format, how.a_scaling, how.a_rule);
  const QuantisedMatrix qb = quantise(b, n, k, how.b_format, how.b_scaling, how.b_rule);
  GemmStudy study;
  study.a = qa.statistics;
  study.b = qb.statistics;
  study.sampled = options.sample > 0 && options.sample < m * n;
  StudySums sums;
  std::vector<StudySums> parts;
  if (study.sampled) {
    const std::vector<OutputBlock> blocks = sample_blocks(m, n, options);
    study.blocks = static_cast<std::int64_t>(blocks.size());
    parts = in_parallel(study.blocks, options.jobs, [&](std::int64_t i) {
      const OutputBlock& block = blocks[static_cast<std::size_t>(i)];
      return compare(rows_of(a, k, block.rows).data(), rows_of(b, k, block.columns).data(),
                     qa.rows_of(block.rows), qb.rows_of(block.columns), how, options.isa);
    });
  } else {
    // Bands of rows of one size, whatever the number of threads: the sums' order is fixed.
    constexpr std::int64_t band = 256;
    parts = in_parallel(ceil_div(m, band), options.jobs, [&](std::int64_t i) {
      std::vector<std::int64_t> rows(static_cast<std::size_t>(std::min(band, m - i * band)));
      std::iota(rows.begin(), rows.end(), i * band);
      return compare(a + i * band * k, b, qa.rows_of(rows), qb, how, options.isa);
    });
  }
  for (const StudySums& part : parts) sums.merge(part);
  study.quantisation = sums.quantisation.figures();
  study.accumulation = sums.accumulation.figures();
  study.total = sums.total.figures();
  study.outputs = study.total.outputs;
  if (study.sampled) {
    bootstrap(parts, options.seed, study);
  } else {
    study.quantisation_interval = {study.quantisation.rel_rmse, study.quantisation.rel_rmse};
    study.accumulation_interval = {study.accumulation.rel_rmse, study.accumulation.rel_rmse};
    study.total_interval = {study.total.rel_rmse, study.total.rel_rmse};
  }
  return study;
}

}  // namespace tessera

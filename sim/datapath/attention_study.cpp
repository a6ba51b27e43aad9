#include "sim/datapath/attention_study.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "sim/base/error.h"
#include "sim/base/parallel.h"
#include "sim/datapath/cast.h"
#include "sim/datapath/elementary.h"
#include "sim/datapath/gemm.h"
#include "sim/datapath/hadamard.h"
#include "sim/datapath/product.h"
#include "sim/datapath/random_matrix.h"
#include "sim/datapath/scaling.h"

namespace tessera {
namespace {

constexpr std::int64_t block = 128;  ///< rows of a block of queries or keys
/// FP8 probabilities are multiplied by 2^8 before the cast, as in FlashAttention-3.
constexpr float probability_scale = 256;

bool is_fp8(AttentionRecipe r) {
  return r != AttentionRecipe::fp16_baseline && r != AttentionRecipe::fp16_flash;
}
bool is_flash(AttentionRecipe r) {
  return r != AttentionRecipe::fp16_baseline && r != AttentionRecipe::fp8_baseline;
}
bool has_block_scales(AttentionRecipe r) {
  return r == AttentionRecipe::fp8_block || r == AttentionRecipe::fp8_flash3;
}
bool is_incoherent(AttentionRecipe r) {
  return r == AttentionRecipe::fp8_incoherent || r == AttentionRecipe::fp8_flash3;
}

/// Some rows of an operand in the tensor core's format, with one scale.
struct Part {
  std::int64_t rows = 0, cols = 0;
  std::vector<float> values;  ///< [rows][cols]
  float scale = 1;
};

/// The queries asked for, each with the scale of its block.
struct Queries {
  std::int64_t rows = 0;
  std::vector<float> values;  ///< [rows][head_dim]
  std::vector<float> scales;  ///< [rows]
};

/// A right-hand operand B[k][n], in both orders.
struct RightPart {
  std::int64_t n = 0, k = 0;
  std::vector<float> by_k;  ///< [k][n]
  std::vector<float> by_n;  ///< [n][k]
  float scale = 1;
};

std::vector<float> transposed(const Part& part) {
  std::vector<float> t(part.values.size());
  for (std::int64_t r = 0; r < part.rows; ++r)
    for (std::int64_t c = 0; c < part.cols; ++c)
      t[static_cast<std::size_t>(c * part.rows + r)] =
          part.values[static_cast<std::size_t>(r * part.cols + c)];
  return t;
}

/// The rows of x in blocks, each quantised with the tensor's scale or one of its own.
std::vector<Part> blocks_of(const std::vector<float>& x, std::int64_t rows, std::int64_t cols,
                            AttentionRecipe recipe) {
  const Format format = is_fp8(recipe) ? Format::e4m3 : Format::fp16;
  const Scaling scaling = is_fp8(recipe) ? Scaling::tensor : Scaling::none;
  std::vector<Part> parts;
  if (!has_block_scales(recipe)) {
    const QuantisedMatrix q = quantise(x.data(), rows, cols, format, scaling);
    for (std::int64_t first = 0; first < rows; first += block) {
      const std::int64_t count = std::min(block, rows - first);
      const auto begin = q.values.begin() + first * cols;
      parts.push_back({count, cols, {begin, begin + count * cols}, q.scales[0]});
    }
    return parts;
  }
  for (std::int64_t first = 0; first < rows; first += block) {
    const std::int64_t count = std::min(block, rows - first);
    const QuantisedMatrix q = quantise(x.data() + first * cols, count, cols, format, scaling);
    parts.push_back({count, cols, q.values, q.scales[0]});
  }
  return parts;
}

/// a[m][k] b + c as the unit chains it, or as an exact sum rounded to FP32; c may be nullptr.
void multiply(const Unit* unit, std::int64_t m, const float* a, const RightPart& b, const float* c,
              float* d) {
  if (unit != nullptr) {
    Gemm g;
    g.m = m;
    g.n = b.n;
    g.k = b.k;
    g.a = a;
    g.b = b.by_k.data();
    g.c = c;
    g.d = d;
    gemm(*unit, g);
    return;
  }
  std::vector<double> sums(static_cast<std::size_t>(m * b.n));
  exact_product(a, b.by_n.data(), m, b.n, b.k, sums.data());
  for (std::size_t i = 0; i < sums.size(); ++i)
    d[i] = static_cast<float>(sums[i] + (c == nullptr ? 0 : double{c[i]}));
}

float exp_fp32(float x) { return static_cast<float>(exp_of(double{x})); }

/// What all queries share.
struct Job {
  AttentionRecipe recipe;
  const Unit* unit;
  std::int64_t seq, head_dim;
  std::vector<RightPart> keys;    ///< per block of them: k = head_dim
  std::vector<RightPart> values;  ///< per block of keys: n = head_dim
  float softmax_scale;
};

/// Scores of one block of keys: [queries][keys], FP32.
void scores_of(const Job& job, const Queries& queries, const RightPart& keys, float* scores) {
  multiply(job.unit, queries.rows, queries.values.data(), keys, nullptr, scores);
  for (std::int64_t i = 0; i < queries.rows; ++i) {
    const float scale =
        queries.scales[static_cast<std::size_t>(i)] * keys.scale * job.softmax_scale;
    for (std::int64_t j = 0; j < keys.n; ++j) scores[i * keys.n + j] *= scale;
  }
}

/// Scores and probabilities of whole rows, rounded to FP16 between the steps.
void baseline(const Job& job, const Queries& queries, float* outputs) {
  const std::int64_t m = queries.rows;
  std::vector<float> rows(static_cast<std::size_t>(m * job.seq));
  std::vector<float> scores(static_cast<std::size_t>(m * block));
  std::int64_t first = 0;
  for (const RightPart& keys : job.keys) {
    scores_of(job, queries, keys, scores.data());
    for (std::int64_t i = 0; i < m; ++i)
      std::copy_n(scores.data() + i * keys.n, keys.n, rows.data() + i * job.seq + first);
    first += keys.n;
  }
  const auto to_fp16 = [](float* x, std::int64_t n) {
    round_to(Format::fp16, Overflow::to_special, x, x, n);
  };
  to_fp16(rows.data(), m * job.seq);
  for (std::int64_t i = 0; i < m; ++i) {
    float* const row = rows.data() + i * job.seq;
    const float largest = *std::max_element(row, row + job.seq);
    float sum = 0;
    for (std::int64_t j = 0; j < job.seq; ++j) sum += row[j] = exp_fp32(row[j] - largest);
    for (std::int64_t j = 0; j < job.seq; ++j) row[j] /= sum;
  }
  to_fp16(rows.data(), m * job.seq);
  // Probabilities are 1 at most: the tensor's scale maps that to the largest E4M3 number.
  const float p_scale = is_fp8(job.recipe) ? max_finite(Format::e4m3) : 1.0F;
  if (is_fp8(job.recipe)) {
    for (float& p : rows) p *= p_scale;
    round_to(Format::e4m3, Overflow::saturate, rows.data(), rows.data(), m * job.seq);
  }
  std::vector<float> part(static_cast<std::size_t>(m * block));
  std::fill(outputs, outputs + m * job.head_dim, 0.0F);
  first = 0;
  for (const RightPart& v : job.values) {
    for (std::int64_t i = 0; i < m; ++i)
      std::copy_n(rows.data() + i * job.seq + first, v.k, part.data() + i * v.k);
    multiply(job.unit, m, part.data(), v, outputs, outputs);
    first += v.k;
  }
  const float scale = job.values.front().scale / p_scale;
  for (std::int64_t i = 0; i < m * job.head_dim; ++i) outputs[i] *= scale;
}

/// Online softmax: blocks of keys in turn, sums and outputs rescaled when the largest score grows.
void flash(const Job& job, const Queries& queries, float* outputs) {
  const std::int64_t m = queries.rows, d = job.head_dim;
  const bool fp8 = is_fp8(job.recipe);
  const float p_scale = fp8 ? probability_scale : 1.0F;
  std::vector<float> scores(static_cast<std::size_t>(m * block)), part;
  std::vector<float> largest(static_cast<std::size_t>(m), -std::numeric_limits<float>::infinity());
  std::vector<float> sums(static_cast<std::size_t>(m), 0.0F);
  std::fill(outputs, outputs + m * d, 0.0F);
  for (std::size_t b = 0; b < job.keys.size(); ++b) {
    const RightPart& keys = job.keys[b];
    const RightPart& v = job.values[b];
    scores_of(job, queries, keys, scores.data());
    for (std::int64_t i = 0; i < m; ++i) {
      float* const row = scores.data() + i * keys.n;
      float& old = largest[static_cast<std::size_t>(i)];
      const float now = std::max(old, *std::max_element(row, row + keys.n));
      const float correction = exp_fp32(old - now);
      old = now;
      float& sum = sums[static_cast<std::size_t>(i)];
      sum *= correction;
      for (std::int64_t j = 0; j < keys.n; ++j) {
        row[j] = exp_fp32(row[j] - now);
        sum += row[j];
        row[j] *= p_scale;
      }
      for (std::int64_t c = 0; c < d; ++c) outputs[i * d + c] *= correction;
    }
    round_to(fp8 ? Format::e4m3 : Format::fp16, fp8 ? Overflow::saturate : Overflow::to_special,
             scores.data(), scores.data(), m * keys.n);
    if (!has_block_scales(job.recipe)) {
      multiply(job.unit, m, scores.data(), v, outputs, outputs);
      continue;
    }
    // A block of V has its own scale: its sum starts from zero and is added in FP32.
    part.resize(static_cast<std::size_t>(m * d));
    multiply(job.unit, m, scores.data(), v, nullptr, part.data());
    for (std::int64_t i = 0; i < m * d; ++i)
      outputs[i] = std::fma(v.scale, part[static_cast<std::size_t>(i)], outputs[i]);
  }
  const float v_scale = has_block_scales(job.recipe) ? 1.0F : job.values.front().scale;
  for (std::int64_t i = 0; i < m; ++i) {
    const float scale = v_scale / (sums[static_cast<std::size_t>(i)] * p_scale);
    for (std::int64_t c = 0; c < d; ++c) outputs[i * d + c] *= scale;
  }
}

std::vector<std::int64_t> drawn_rows(const AttentionStudyOptions& options, std::uint64_t seed) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(options.seq));
  std::iota(rows.begin(), rows.end(), 0);
  if (options.queries == 0 || options.queries >= options.seq) return rows;
  const Random random(seed, 0x524F5753);
  for (std::int64_t i = 0; i < options.queries; ++i) {
    const std::int64_t left = options.seq - i;
    const auto other = i + static_cast<std::int64_t>(random.uniform(static_cast<std::uint64_t>(i)) *
                                                     static_cast<double>(left));
    std::swap(rows[static_cast<std::size_t>(i)], rows[static_cast<std::size_t>(other)]);
  }
  rows.resize(static_cast<std::size_t>(options.queries));
  std::sort(rows.begin(), rows.end());
  return rows;
}

}  // namespace

std::string_view name(AttentionRecipe recipe) {
  switch (recipe) {
    case AttentionRecipe::fp16_baseline:
      return "fp16-baseline";
    case AttentionRecipe::fp16_flash:
      return "fp16-flash";
    case AttentionRecipe::fp8_baseline:
      return "fp8-baseline";
    case AttentionRecipe::fp8_flash:
      return "fp8-flash";
    case AttentionRecipe::fp8_block:
      return "fp8-block";
    case AttentionRecipe::fp8_incoherent:
      return "fp8-incoherent";
    case AttentionRecipe::fp8_flash3:
      return "fp8-flash3";
  }
  return "";
}

const std::vector<AttentionRecipe>& all_attention_recipes() {
  static const std::vector<AttentionRecipe> all = {
      AttentionRecipe::fp16_baseline, AttentionRecipe::fp16_flash, AttentionRecipe::fp8_baseline,
      AttentionRecipe::fp8_flash,     AttentionRecipe::fp8_block,  AttentionRecipe::fp8_incoherent,
      AttentionRecipe::fp8_flash3};
  return all;
}

std::vector<double> exact_attention(const AttentionHead& head,
                                    const std::vector<std::int64_t>& rows) {
  const std::int64_t n = head.seq, d = head.head_dim;
  const double scale = 1 / std::sqrt(static_cast<double>(d));
  std::vector<double> outputs(rows.size() * static_cast<std::size_t>(d), 0.0);
  std::vector<double> scores(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    exact_product(head.q.data() + rows[i] * d, head.k.data(), 1, n, d, scores.data());
    const double largest = *std::max_element(scores.begin(), scores.end());
    double sum = 0;
    for (double& s : scores) sum += s = exp_of((s - largest) * scale);
    double* const output = outputs.data() + i * static_cast<std::size_t>(d);
    for (std::int64_t j = 0; j < n; ++j) {
      const double p = scores[static_cast<std::size_t>(j)] / sum;
      const float* const v = head.v.data() + j * d;
      for (std::int64_t c = 0; c < d; ++c) output[c] += p * static_cast<double>(v[c]);
    }
  }
  return outputs;
}

std::vector<float> attention(const AttentionHead& head, const std::vector<std::int64_t>& rows,
                             AttentionRecipe recipe, const AttentionUnits& units,
                             std::uint64_t seed) {
  const std::int64_t n = head.seq, d = head.head_dim;
  if (d < 16 || d > 256 || (d & (d - 1)) != 0)
    throw InputError("head dimension", fmt::format("{} is no size that is modelled", d),
                     "give 16, 32, 64, 128 or 256");
  std::vector<float> q = head.q, k = head.k;
  if (is_incoherent(recipe)) {
    const Random signs(seed, 0x5349474E);
    random_hadamard(q.data(), n, d, d, signs);
    random_hadamard(k.data(), n, d, d, signs);
  }
  Job job = {recipe, is_fp8(recipe) ? units.fp8 : units.fp16, n, d, {},
             {},     1.0F / std::sqrt(static_cast<float>(d))};
  for (const Part& part : blocks_of(k, n, d, recipe))
    job.keys.push_back({part.rows, d, transposed(part), part.values, part.scale});
  for (const Part& part : blocks_of(head.v, n, d, recipe))
    job.values.push_back({d, part.rows, part.values, transposed(part), part.scale});
  const std::vector<Part> blocks = blocks_of(q, n, d, recipe);

  constexpr std::size_t together = 512;  // queries at a time: a baseline holds their scores
  std::vector<float> outputs(rows.size() * static_cast<std::size_t>(d));
  for (std::size_t begin = 0; begin < rows.size(); begin += together) {
    Queries chosen;
    for (std::size_t i = begin; i < std::min(begin + together, rows.size()); ++i) {
      const Part& source = blocks[static_cast<std::size_t>(rows[i] / block)];
      const auto row = source.values.begin() + rows[i] % block * d;
      chosen.values.insert(chosen.values.end(), row, row + d);
      chosen.scales.push_back(source.scale);
      ++chosen.rows;
    }
    float* const target = outputs.data() + begin * static_cast<std::size_t>(d);
    if (is_flash(recipe)) {
      flash(job, chosen, target);
    } else {
      baseline(job, chosen, target);
    }
  }
  round_to(Format::fp16, Overflow::to_special, outputs.data(), outputs.data(),
           static_cast<std::int64_t>(outputs.size()));
  return outputs;
}

std::vector<AttentionError> study_attention(const AttentionStudyOptions& options) {
  const std::vector<AttentionRecipe>& recipes = all_attention_recipes();
  const auto seeds = static_cast<std::size_t>(options.seeds);
  std::vector<std::vector<ErrorSums>> sums(seeds, std::vector<ErrorSums>(recipes.size()));
  run_parallel(options.seeds, options.jobs, [&](std::int64_t number) {
    const auto s = static_cast<std::size_t>(number);
    const std::uint64_t seed = options.first_seed + s;
    const auto matrix = [&](std::uint64_t stream) {
      return random_matrix(options.seq, options.head_dim, Distribution::outlier, seed, stream);
    };
    const AttentionHead head = {options.seq, options.head_dim, matrix(0), matrix(1), matrix(2)};
    const std::vector<std::int64_t> rows = drawn_rows(options, seed);
    const std::vector<double> exact = exact_attention(head, rows);
    for (std::size_t r = 0; r < recipes.size(); ++r)
      sums[s][r].add(attention(head, rows, recipes[r], options.units, seed).data(), exact.data(),
                     static_cast<std::int64_t>(exact.size()));
  });

  std::vector<AttentionError> errors;
  for (std::size_t r = 0; r < recipes.size(); ++r) {
    AttentionError error;
    error.recipe = recipes[r];
    ErrorSums all;
    for (const std::vector<ErrorSums>& seed : sums) {
      all.merge(seed[r]);
      error.rmse.push_back(seed[r].figures().rmse);
    }
    error.all = all.figures();
    const auto count = static_cast<double>(seeds);
    for (const double e : error.rmse) error.mean += e / count;
    for (const double e : error.rmse)
      error.deviation += (e - error.mean) * (e - error.mean) / std::max(count - 1, 1.0);
    error.deviation = std::sqrt(error.deviation);
    errors.push_back(error);
  }
  return errors;
}

}  // namespace tessera

#include "sim/precision/elementwise.h"

#include <algorithm>
#include <cmath>

namespace tessera {
namespace {

constexpr double epsilon = 1e-5;
constexpr double rotary_base = 10000;

template <class Row>
void each_row(SampledTensor& x, const Row& row) {
  for (std::int64_t t = 0; t < x.row_count(); ++t) {
    row(t, x.reference.data() + t * x.cols);
    row(t, x.computed.data() + t * x.cols);
  }
}

}  // namespace

double gelu(double x) { return 0.5 * x * std::erfc(-x * 0.70710678118654752440); }

double silu(double x) { return x / (1 + std::exp(-x)); }

void normalise(SampledTensor& x, std::int64_t cols, std::int64_t width, bool centred,
               const std::vector<float>* gain, const std::vector<float>* bias) {
  each_row(x, [&](std::int64_t, float* row) {
    for (std::int64_t begin = 0; begin < cols; begin += width) {
      float* values = row + begin;
      const auto n = static_cast<double>(width);
      double mean = 0, square = 0;
      if (centred) {
        for (std::int64_t i = 0; i < width; ++i) mean += double{values[i]};
        mean /= n;
      }
      for (std::int64_t i = 0; i < width; ++i) {
        const double v = double{values[i]} - mean;
        square += v * v;
      }
      const double factor = 1 / std::sqrt(square / n + epsilon);
      for (std::int64_t i = 0; i < width; ++i) {
        const auto at = static_cast<std::size_t>(i);
        double v = (double{values[i]} - mean) * factor;
        if (gain != nullptr) v *= double{(*gain)[at]};
        if (bias != nullptr) v += double{(*bias)[at]};
        values[i] = static_cast<float>(v);
      }
    }
  });
}

SampledTensor silu_mul(const SampledTensor& x, std::int64_t cols) {
  SampledTensor y;
  y.cols = cols;
  y.rows = x.rows;
  y.clusters = x.clusters;
  y.clusters.size = cols;
  y.clusters.of.resize(static_cast<std::size_t>(cols));
  const auto half = [&](const std::vector<float>& from, std::vector<float>& to) {
    to.resize(static_cast<std::size_t>(x.row_count() * cols));
    for (std::int64_t t = 0; t < x.row_count(); ++t) {
      const float* gate = from.data() + t * x.cols;
      for (std::int64_t j = 0; j < cols; ++j)
        to[static_cast<std::size_t>(t * cols + j)] =
            static_cast<float>(silu(double{gate[j]}) * double{gate[cols + j]});
    }
  };
  half(x.reference, y.reference);
  half(x.computed, y.computed);
  return y;
}

void add(SampledTensor& x, const SampledTensor& y) {
  for (std::size_t i = 0; i < x.reference.size(); ++i) {
    x.reference[i] += y.reference[i];
    x.computed[i] += y.computed[i];
  }
}

void softmax(SampledTensor& x) {
  each_row(x, [&](std::int64_t, float* row) {
    const double largest = double{*std::max_element(row, row + x.cols)};
    double sum = 0;
    for (std::int64_t i = 0; i < x.cols; ++i) {
      const double e = std::exp(double{row[i]} - largest);
      sum += e;
      row[i] = static_cast<float>(e);
    }
    for (std::int64_t i = 0; i < x.cols; ++i) row[i] = static_cast<float>(double{row[i]} / sum);
  });
}

void rotate(SampledTensor& x, std::int64_t heads, std::int64_t head_dim, std::int64_t rotated,
            const std::vector<std::int64_t>& positions) {
  const std::int64_t pairs = rotated / 2;
  std::vector<double> cosine(static_cast<std::size_t>(pairs)), sine(cosine.size());
  for (std::int64_t t = 0; t < x.row_count(); ++t) {
    for (std::int64_t i = 0; i < pairs; ++i) {
      const double angle =
          static_cast<double>(positions[static_cast<std::size_t>(t)]) *
          std::pow(rotary_base, -2.0 * static_cast<double>(i) / static_cast<double>(rotated));
      cosine[static_cast<std::size_t>(i)] = std::cos(angle);
      sine[static_cast<std::size_t>(i)] = std::sin(angle);
    }
    for (std::vector<float>* values : {&x.reference, &x.computed}) {
      for (std::int64_t head = 0; head < heads; ++head) {
        float* v = values->data() + t * x.cols + head * head_dim;
        for (std::int64_t i = 0; i < pairs; ++i) {
          const double a = double{v[i]}, b = double{v[i + pairs]};
          const double c = cosine[static_cast<std::size_t>(i)],
                       s = sine[static_cast<std::size_t>(i)];
          v[i] = static_cast<float>(a * c - b * s);
          v[i + pairs] = static_cast<float>(a * s + b * c);
        }
      }
    }
  }
}

}  // namespace tessera

#include "sim/precision/synthetic.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "sim/base/random.h"
#include "sim/precision/normal.h"
#include "sim/precision/sampling.h"

namespace tessera {
namespace {

/// Medians of |N(0, 1)|, and LLaMA2-7B's massive activations over its median magnitude.
constexpr double normal_median = 0.6745;
constexpr std::array<double, 4> massive_over_median = {2622 / 0.2, 1547 / 0.2, 802 / 0.2,
                                                       477 / 0.2};

/// `count` different features, from a stream of their own.
std::vector<std::int64_t> draw_features(const Random& random, std::int64_t features,
                                        std::int64_t count) {
  std::vector<std::int64_t> drawn;
  for (std::uint64_t i = 0; static_cast<std::int64_t>(drawn.size()) < std::min(count, features);
       ++i) {
    const auto feature =
        static_cast<std::int64_t>(random.uniform(i) * static_cast<double>(features));
    if (std::find(drawn.begin(), drawn.end(), feature) == drawn.end()) drawn.push_back(feature);
  }
  return drawn;
}

}  // namespace

void synthetic_weights(std::uint64_t seed, const std::string& name, std::int64_t k,
                       std::int64_t first, std::int64_t count, float* values) {
  standard_normals(seed, stream_of(name), first, count, values);
  const float deviation = static_cast<float>(1 / std::sqrt(static_cast<double>(k)));
  for (std::int64_t i = 0; i < count; ++i) values[i] *= deviation;
}

double largest_of_normals(double n) {
  // P(all n below x) = (1 - erfc(x / sqrt 2))^n = 1/2.
  const double tail = -std::expm1(std::log(0.5) / std::max(n, 1.0));
  double low = 0, high = 10;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (std::erfc(middle / std::sqrt(2.0)) > tail ? low : high) = middle;
  }
  return low;
}

OutlierStatistics outlier_statistics(std::int64_t parameters) {
  return {0.001, parameters >= 6'000'000'000 ? 0.75 : 0.25, 6, 20};
}

ResidualStream::ResidualStream(std::uint64_t seed, std::int64_t parameters, std::int64_t features)
    : seed_(seed), features_(features), outliers_(outlier_statistics(parameters)) {
  const auto count =
      static_cast<std::int64_t>(std::ceil(outliers_.features * static_cast<double>(features)));
  outlier_features_ = draw_features(Random(seed, stream_of("outlier features")), features, count);
  const Random random(seed, stream_of("outlier magnitudes"));
  for (std::size_t i = 0; i < outlier_features_.size(); ++i) {
    const double magnitude =
        outliers_.least + (outliers_.most - outliers_.least) * random.uniform(2 * i);
    outlier_values_.push_back(
        static_cast<float>(random.uniform(2 * i + 1) < 0.5 ? -magnitude : magnitude));
  }
  massive_features_ = draw_features(Random(seed, stream_of("massive features")), features,
                                    static_cast<std::int64_t>(massive_over_median.size()));
}

void ResidualStream::row(std::int64_t row, std::int64_t position, float* values) const {
  standard_normals(seed_, stream_of("residual stream"), row * features_, features_, values);
  const Random presence(seed_, stream_of("outlier presence"));
  for (std::size_t i = 0; i < outlier_features_.size(); ++i) {
    const std::uint64_t index = static_cast<std::uint64_t>(row) * outlier_features_.size() + i;
    float& value = values[outlier_features_[i]];
    // Around its own magnitude, with the spread of the other features.
    if (presence.uniform(index) < outliers_.presence) value += outlier_values_[i];
  }
  if (position != 0) return;
  for (std::size_t i = 0; i < massive_features_.size(); ++i)
    values[massive_features_[i]] = static_cast<float>(normal_median * massive_over_median[i]);
}

void synthetic_attention_operand(std::uint64_t seed, const std::string& name, std::int64_t first,
                                 std::int64_t count, float* values) {
  standard_normals(seed, stream_of(name), first, count, values);
  const Random rare(seed, stream_of(name + " rare"));
  std::uint64_t block = ~std::uint64_t{0};
  Random::Block words{};
  for (std::int64_t i = 0; i < count; ++i) {
    const auto index = static_cast<std::uint64_t>(first + i);
    if (index / 4 != block) words = rare.block(block = index / 4);
    const double u = words[index % 4] * 0x1p-32;
    if (u >= 0.001) continue;
    float wide = 0;
    standard_normals(seed, stream_of(name + " wide"), first + i, 1, &wide);
    values[i] += 10 * wide;
  }
}

}  // namespace tessera

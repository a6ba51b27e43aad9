#include "sim/precision/model_study.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "sim/base/error.h"
#include "sim/base/parallel.h"

namespace tessera {

namespace {

std::vector<std::string> generations() {
  std::vector<std::string> names;
  for (const Unit& unit : units()) {
    const std::string gpu = unit.name.substr(0, unit.name.find('.'));
    if (std::find(names.begin(), names.end(), gpu) == names.end()) names.push_back(gpu);
  }
  return names;
}

const Unit* unit_or_null(const std::string& name) {
  for (const Unit& unit : units()) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

/// The results of a graph's matrix products in a batch of the FP32 run, in order of execution.
using ReferenceResults = std::vector<std::vector<float>>;

class RecordingReference : public ReferenceArithmetic {
 public:
  void multiply(const GraphProduct& product) override {
    ReferenceArithmetic::multiply(product);
    results.emplace_back(product.d, product.d + product.batch * product.m * product.n);
    macs += product.batch * product.m * product.n * product.k;
  }

  ReferenceResults results;
  std::int64_t macs = 0;
};

/// Computes a graph's products by a recipe and, while it has FP32's results, sums up their errors.
class RecipeArithmetic : public GraphArithmetic {
 public:
  explicit RecipeArithmetic(const ModelRecipe& recipe) : recipe_(recipe) {
    if (!recipe.unit.empty()) unit_ = &find_unit(recipe.unit);
    if (!recipe.attention_unit.empty()) attention_unit_ = &find_unit(recipe.attention_unit);
  }

  /// Begins a batch; nullptr: its errors do not count.
  void begin(const ReferenceResults* reference) {
    reference_ = reference;
    next_ = 0;
  }

  void multiply(const GraphProduct& p) override {
    const std::size_t at = next_++;
    if (places_.size() <= at) places_.emplace_back();
    Place& place = places_[at];
    if (unit_ == nullptr) {
      ReferenceArithmetic().multiply(p);
      if (reference_ != nullptr) count_exact(p, (*reference_)[at], place);
      return;
    }
    if (!p.weights && attention_unit_ != nullptr) {
      compute(p, quantise(p.a, p.batch * p.m, p.k, attention_unit_->input, Scaling::none),
              quantise(p.b, p.batch * p.n, p.k, attention_unit_->input, Scaling::none),
              *attention_unit_, at, place);
      return;
    }
    const QuantisedMatrix a = quantised(p.a, p.batch * p.m, p.k, recipe_.activations, place.a);
    if (!p.weights) {
      compute(p, a, quantised(p.b, p.batch * p.n, p.k, recipe_.activations, place.b), *unit_, at,
              place);
    } else {
      // Constants are quantised once; their delayed scale is known after the calibration.
      if (!place.settled) {
        place.constant = quantised(p.b, p.batch * p.n, p.k, recipe_.weights, place.b);
        place.settled = reference_ != nullptr || !recipe_.delayed;
      }
      compute(p, a, place.constant, *unit_, at, place);
    }
  }

  std::vector<ProductErrors> errors() const {
    std::vector<ProductErrors> result;
    for (const Place& place : places_) {
      ProductErrors errors = place.errors;
      errors.quantisation = place.quantisation.figures();
      errors.accumulation = place.accumulation.figures();
      errors.total = place.total.figures();
      errors.propagated = place.propagated.figures();
      if (place.elements > 0) {
        errors.underflow_share = place.underflows / place.elements;
        errors.overflow_share = place.overflows / place.elements;
      }
      result.push_back(std::move(errors));
    }
    return result;
  }

 private:
  /// One product of the graph.
  struct Place {
    std::vector<DelayedScaling> a, b;  ///< none or one
    QuantisedMatrix constant;
    bool settled = false;
    ErrorSums quantisation, accumulation, total, propagated;
    double elements = 0, underflows = 0, overflows = 0;
    ProductErrors errors;
  };

  QuantisedMatrix quantised(const float* x, std::int64_t rows, std::int64_t cols, Scaling scaling,
                            std::vector<DelayedScaling>& delayed) const {
    if (!recipe_.delayed) return quantise(x, rows, cols, recipe_.format, scaling);
    if (delayed.empty()) delayed.emplace_back(recipe_.format);
    return delayed.front().step(x, rows, cols);
  }

  void compute(const GraphProduct& p, const QuantisedMatrix& a, const QuantisedMatrix& b,
               const Unit& unit, std::size_t at, Place& place) const {
    GemmArithmetic how;
    how.a_format = how.b_format = unit.input;
    how.a_scaling = a.scaling;
    how.b_scaling = b.scaling;
    how.unit = &unit;
    if (a.format == recipe_.format) how.accumulation = recipe_.accumulation;
    for (std::int64_t i = 0; i < p.batch; ++i) {
      float* d = p.d + i * p.m * p.n;
      if (p.batch == 1) {
        multiply_one(p, i, a, b, how, d, place);
      } else {
        multiply_one(p, i, a.rows_of(rows(i, p.m)), b.rows_of(rows(i, p.n)), how, d, place);
      }
    }
    if (reference_ == nullptr) return;
    for (const QuantisedMatrix* matrix : {&a, &b}) {
      const auto elements = static_cast<double>(matrix->statistics.elements);
      place.elements += elements;
      place.underflows += matrix->statistics.underflow_share * elements;
      place.overflows += matrix->statistics.overflow_share * elements;
    }
    count_shape(p, place);
    add_propagated(p, (*reference_)[at], place);
  }

  void multiply_one(const GraphProduct& p, std::int64_t i, const QuantisedMatrix& a,
                    const QuantisedMatrix& b, const GemmArithmetic& how, float* d,
                    Place& place) const {
    emulate(a, b, how, d);
    if (reference_ == nullptr) return;
    const std::int64_t outputs = p.m * p.n;
    std::vector<double> exact(static_cast<std::size_t>(outputs)), rounded(exact.size());
    exact_product(p.a + i * p.m * p.k, p.b + i * p.n * p.k, p.m, p.n, p.k, exact.data());
    exact_product(a, b, rounded.data());
    place.quantisation.add(rounded.data(), exact.data(), outputs);
    place.accumulation.add(d, rounded.data(), outputs);
    place.total.add(d, exact.data(), outputs);
  }

  static std::vector<std::int64_t> rows(std::int64_t i, std::int64_t count) {
    std::vector<std::int64_t> chosen(static_cast<std::size_t>(count));
    std::iota(chosen.begin(), chosen.end(), i * count);
    return chosen;
  }

  /// FP32 itself: only the rounding of its results.
  static void count_exact(const GraphProduct& p, const std::vector<float>& reference,
                          Place& place) {
    count_shape(p, place);
    add_propagated(p, reference, place);
  }

  static void count_shape(const GraphProduct& p, Place& place) {
    place.errors.node = p.node;
    place.errors.weights = p.weights;
    place.errors.rows += p.batch * p.m;
    place.errors.n = p.n;
    place.errors.k = p.k;
    place.errors.macs += p.batch * p.m * p.n * p.k;
  }

  static void add_propagated(const GraphProduct& p, const std::vector<float>& reference,
                             Place& place) {
    const std::vector<double> expected(reference.begin(), reference.end());
    place.propagated.add(p.d, expected.data(), static_cast<std::int64_t>(expected.size()));
  }

  ModelRecipe recipe_;
  const Unit* unit_ = nullptr;
  const Unit* attention_unit_ = nullptr;
  const ReferenceResults* reference_ = nullptr;
  std::size_t next_ = 0;
  std::vector<Place> places_;
};

void append(Embeddings& all, const Embeddings& some) {
  all.width = some.width;
  all.count += some.count;
  all.values.insert(all.values.end(), some.values.begin(), some.values.end());
}

void compare(const ModelStudy& study, RecipeResult& result) {
  const Embeddings& before = study.reference;
  const Embeddings& after = result.embeddings;
  const std::vector<double> expected(before.values.begin(), before.values.end());
  result.rel_rmse = error_figures(after.values.data(), expected.data(),
                                  static_cast<std::int64_t>(expected.size()))
                        .rel_rmse;
  result.cosine_min = 2;
  double sum = 0;
  for (std::int64_t s = 0; s < before.count; ++s) {
    std::vector<float> both(before.of(s), before.of(s) + before.width);
    both.insert(both.end(), after.of(s), after.of(s) + after.width);
    const double cosine = cosines(both.data(), 2, before.width)[1];
    sum += cosine;
    if (cosine < result.cosine_min) {
      result.cosine_min = cosine;
      result.worst_sentence = s;
    }
  }
  result.cosine_mean = sum / static_cast<double>(before.count);
  result.ranking = ranking_change(
      study.similarities, cosines(after.values.data(), after.count, after.width), after.count);
}

}  // namespace

std::vector<ModelRecipe> model_recipes(const std::string& gpu) {
  const std::vector<std::string> known = generations();
  if (std::find(known.begin(), known.end(), gpu) == known.end()) {
    const std::string close = nearest(gpu, known);
    throw InputError("--unit", fmt::format("there is no GPU generation '{}'", gpu),
                     close.empty() ? fmt::format("give one of {}", fmt::join(known, ", "))
                                   : fmt::format("did you mean '{}'?", close));
  }
  const auto plain = Scaling::none;
  const auto fast = Accumulation::fast;
  const auto promoted = Accumulation::promote128;
  const std::vector<ModelRecipe> all = {
      {"fp32", "", Format::fp32, plain, plain, false, fast, "FP32 operands, sums in FP64"},
      {"tf32", gpu + ".tf32", Format::tf32, plain, plain, false, fast, "TF32 operands"},
      {"bf16", gpu + ".bf16", Format::bf16, plain, plain, false, fast, "BF16 operands"},
      {"fp16", gpu + ".fp16", Format::fp16, plain, plain, false, fast, "FP16 operands"},
      {"fp8-tensor", gpu + ".e4m3", Format::e4m3, Scaling::tensor, Scaling::tensor, false, fast,
       "E4M3, a scale per tensor from its own amax, fast accumulation"},
      {"fp8-tensor+promote", gpu + ".e4m3", Format::e4m3, Scaling::tensor, Scaling::tensor, false,
       promoted, "the same, promoted every 128 products"},
      {"fp8-delayed", gpu + ".e4m3", Format::e4m3, Scaling::tensor, Scaling::tensor, true, fast,
       "E4M3, a scale per tensor from earlier batches, fast accumulation"},
      {"fp8-token", gpu + ".e4m3", Format::e4m3, Scaling::token, Scaling::channel, false, fast,
       "E4M3, a scale per token and per output channel, fast accumulation"},
      {"fp8-token+promote", gpu + ".e4m3", Format::e4m3, Scaling::token, Scaling::channel, false,
       promoted, "the same, promoted every 128 products"},
      {"fp8-block", gpu + ".e4m3", Format::e4m3, Scaling::block_1x128, Scaling::block_128x128,
       false, promoted, "E4M3, scales of 1x128 and 128x128, promoted every 128 products"},
      {"mxfp8", gpu + ".e4m3", Format::e4m3, Scaling::mx, Scaling::mx, false, fast,
       "E4M3 with E8M0 scales of 32"},
      {"nvfp4", gpu + ".e2m1", Format::e2m1, Scaling::nvfp4, Scaling::nvfp4_16x16, false, fast,
       "E2M1 with E4M3 scales of 16 (weights 16x16) under one of the tensor"},
  };
  std::vector<ModelRecipe> recipes;
  for (ModelRecipe recipe : all) {
    const Unit* unit = unit_or_null(recipe.unit);
    const bool blocks = recipe.activations == Scaling::mx || recipe.activations == Scaling::nvfp4;
    if (blocks && (unit == nullptr || !unit->block_scales)) {
      recipe.unit = "b200" + recipe.unit.substr(recipe.unit.find('.'));
      unit = unit_or_null(recipe.unit);
    }
    if (unit != nullptr || recipe.unit.empty()) recipes.push_back(recipe);
  }
  return recipes;
}

std::vector<ModelRecipe> model_recipes(const std::string& gpu,
                                       const std::vector<std::string>& names, bool bf16_attention) {
  const std::vector<ModelRecipe> all = model_recipes(gpu);
  std::vector<std::string> known = {"all"};
  for (const ModelRecipe& recipe : all) known.push_back(recipe.name);
  std::vector<ModelRecipe> chosen;
  for (const std::string& wanted : names) {
    if (wanted == "all") {
      chosen.insert(chosen.end(), all.begin(), all.end());
      continue;
    }
    const auto found = std::find_if(
        all.begin(), all.end(), [&](const ModelRecipe& recipe) { return recipe.name == wanted; });
    if (found == all.end()) {
      const std::string close = nearest(wanted, known);
      throw InputError("--recipe", fmt::format("there is no recipe '{}' on {}", wanted, gpu),
                       close.empty() ? fmt::format("give one of {}", fmt::join(known, ", "))
                                     : fmt::format("did you mean '{}'?", close));
    }
    chosen.push_back(*found);
  }
  for (ModelRecipe& recipe : chosen) {
    const bool narrow = !recipe.unit.empty() && bits(recipe.format) < 16;
    if (bf16_attention && narrow) recipe.attention_unit = gpu + ".bf16";
  }
  return chosen;
}

ModelStudy study_model(const SentenceEncoder& encoder, const TokenIds& ids,
                       const std::vector<ModelRecipe>& recipes, const ModelStudyOptions& options) {
  ModelStudy study;
  study.parameters = encoder.graph.parameters;
  study.sentences = static_cast<std::int64_t>(ids.size());
  for (const auto& pieces : ids) study.tokens += static_cast<std::int64_t>(pieces.size());
  study.batch = options.batch;
  std::vector<RecipeArithmetic> arithmetics;
  for (const ModelRecipe& recipe : recipes) {
    arithmetics.emplace_back(recipe);
    study.results.emplace_back();
    study.results.back().recipe = recipe;
  }
  const auto batch = static_cast<std::size_t>(options.batch);
  for (std::size_t first = 0; first < ids.size(); first += batch) {
    const std::size_t count = std::min(batch, ids.size() - first);
    RecordingReference reference;
    append(study.reference, embed(encoder, ids, first, count, reference));
    study.macs += reference.macs;
    run_parallel(static_cast<std::int64_t>(recipes.size()), options.jobs, [&](std::int64_t recipe) {
      const auto r = static_cast<std::size_t>(recipe);
      if (first == 0 && recipes[r].delayed) {
        arithmetics[r].begin(nullptr);
        embed(encoder, ids, first, count, arithmetics[r]);
      }
      arithmetics[r].begin(&reference.results);
      append(study.results[r].embeddings, embed(encoder, ids, first, count, arithmetics[r]));
    });
  }
  study.similarities =
      cosines(study.reference.values.data(), study.reference.count, study.reference.width);
  for (std::size_t r = 0; r < recipes.size(); ++r) {
    study.results[r].products = arithmetics[r].errors();
    compare(study, study.results[r]);
  }
  return study;
}

}  // namespace tessera

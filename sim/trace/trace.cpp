#include "sim/trace/trace.h"

#include <algorithm>

namespace tessera {

Expr Expr::var(VarId v, std::int64_t coefficient, std::int64_t constant) {
  Expr e(constant);
  if (coefficient != 0) e.terms.push_back({v, coefficient});
  return e;
}

Expr operator+(Expr a, const Expr& b) {
  a.constant += b.constant;
  for (const Expr::Term& term : b.terms) {
    auto same = std::find_if(a.terms.begin(), a.terms.end(),
                             [&](const Expr::Term& t) { return t.var == term.var; });
    if (same == a.terms.end()) {
      a.terms.push_back(term);
    } else if ((same->coefficient += term.coefficient) == 0) {
      a.terms.erase(same);
    }
  }
  return a;
}

Expr operator*(Expr a, std::int64_t factor) {
  if (factor == 0) return Expr(0);
  a.constant *= factor;
  for (Expr::Term& term : a.terms) term.coefficient *= factor;
  return a;
}

const std::vector<VectorCost>& vector_functions() {
  // Operations per element, counted from the arithmetic each function needs: one FP32 lane
  // operation per multiply-add, add or maximum; one special operation per exp2, tanh, reciprocal.
  // epilogue: scale, pack, address and store of an accumulator. quantise: scale, clamp and convert
  // to fp8 in software, as a cast to c10::Float8_e4m3fn does: the count is an estimate from rows of
  // linear layers, not read from a library's code. quantise_groups: each group is staged in shared
  // memory, written once and read twice (6 bytes, or lane operations, an element), behind a barrier
  // (vLLM's and SGLang's per_token_group_quant_8bit); 14 more in all, likewise an estimate (8 to 27).
  // Transposing: bytes of four elements are permuted, twice, and written and read as two words.
  static const std::vector<VectorCost> table = {
      // function, name, fma, special, convert, is_epilogue, stalls_products
      {VectorFunction::softmax, "softmax", 3, 1, 0.5, false, true},
      {VectorFunction::rescale, "rescale", 1, 0, 0, false, true},
      {VectorFunction::promote, "promote", 1, 0, 0, false, false},
      {VectorFunction::epilogue, "epilogue", 4, 0, 0.5, true, false},
      {VectorFunction::bias, "bias", 1, 0, 0, true, false},
      {VectorFunction::residual, "residual", 1, 0, 0, true, false},
      {VectorFunction::gelu, "gelu", 6, 1, 0, true, false},
      {VectorFunction::silu_mul, "silu_mul", 3, 2, 0, true, false},
      {VectorFunction::relu, "relu", 1, 0, 0, true, false},
      {VectorFunction::add, "add", 1, 0, 0.5, false, false},
      {VectorFunction::norm_statistics, "norm_statistics", 2, 0, 0.5, false, false},
      {VectorFunction::norm_apply, "norm_apply", 2, 0, 0.5, false, false},
      {VectorFunction::exponential, "exponential", 2, 1, 0.5, false, false},
      {VectorFunction::rotary, "rotary", 2, 0, 1, false, false},
      {VectorFunction::amax, "amax", 1, 0, 0.5, false, false},
      {VectorFunction::quantise, "quantise", 40, 0, 0.5, false, false},
      {VectorFunction::convert, "convert", 0, 0, 1, false, false},
      {VectorFunction::combine, "combine", 2, 0, 0.5, false, false},
      {VectorFunction::move, "move", 1, 0, 0, false, false},
      {VectorFunction::transpose, "transpose", 1.5, 0, 0, false, true},
      {VectorFunction::quantise_groups, "quantise_groups", 54, 0, 0.5, false, false},
  };
  return table;
}

const VectorCost& vector_cost(VectorFunction function) {
  return vector_functions()[static_cast<std::size_t>(function)];
}

std::string_view name(TensorKind kind) {
  switch (kind) {
    case TensorKind::weight:
      return "weight";
    case TensorKind::activation:
      return "activation";
    case TensorKind::kv_cache:
      return "kv_cache";
    case TensorKind::workspace:
      return "workspace";
  }
  return "";
}

}  // namespace tessera

#include <cmath>

#include "sim/datapath/product_kernels.h"

#define TESSERA_TARGET
#define TESSERA_KERNELS portable

namespace tessera::product_kernels {
namespace {

/// FP32 multiply-adds, rounded once also where the processor has none.
struct Single {
  using Real = float;
  using Reals = float;
  static constexpr int lanes = 1;
  static constexpr int vectors = 4;

  static Reals load(const float* p) { return *p; }
  static void store(float* p, Reals x) { *p = x; }
  static Reals broadcast(float x) { return x; }
  static Reals multiply_add(Reals x, Reals y, Reals z) { return std::fma(x, y, z); }
};

/// Products are exact in FP64: rounding them apart changes nothing.
struct Double {
  using Real = double;
  using Reals = double;
  static constexpr int lanes = 1;
  static constexpr int vectors = 4;

  static Reals load(const double* p) { return *p; }
  static void store(double* p, Reals x) { *p = x; }
  static Reals broadcast(double x) { return x; }
  static Reals multiply_add(Reals x, Reals y, Reals z) { return x * y + z; }
};

}  // namespace
}  // namespace tessera::product_kernels

#include "sim/datapath/product_loop.h"

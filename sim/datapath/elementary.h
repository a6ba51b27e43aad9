#pragma once

namespace tessera {

// Elementary functions of FP64 with the same bits on every processor: additions, multiplications
// and divisions only, where the C library's may take another path with fused multiply-adds.
// Relative error below 4e-16.

/// Natural logarithm of a finite x > 0.
double log_of(double x);
/// e^x for any x but NaN; 0 below -745, Inf above 709.79.
double exp_of(double x);

}  // namespace tessera

#include "sim/report/quantity_text.h"

#include <fmt/format.h>

#include <cmath>

namespace tessera {

std::string digits_text(double value) {
  const double size = std::abs(value);
  if (size == 0) return "0";
  if (size < 0.0095) return "<0.01";
  if (size < 9.995) return fmt::format("{:.2f}", value);
  if (size < 999.95) return fmt::format("{:.1f}", value);
  return fmt::format("{:.0f}", value);
}

std::string time_text(double us) {
  if (us < 1e3) return digits_text(us) + " us";
  if (us < 1e6) return digits_text(us * 1e-3) + " ms";
  return digits_text(us * 1e-6) + " s";
}

}  // namespace tessera

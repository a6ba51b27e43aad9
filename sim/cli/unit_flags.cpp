#include "sim/cli/unit_flags.h"

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/cli/verb.h"
#include "sim/config/chip_unit.h"

namespace tessera::cli {

void UnitFlags::add_to(CLI::App& app) {
  add_value(app, "--unit", unit_, "UNIT",
            "Tensor core and input format, as h100.e4m3 (`tessera list units`); with --chip also a "
            "format of the chip, as e4m3");
  add_value(app, "--out", out_, "f32|f16", "Accumulator and result (default f32)");
  chip_.add_to(app);
}

Unit UnitFlags::unit() const {
  if (unit_.empty())
    throw InputError("--unit", "missing", "give a unit of `tessera list units`, as h100.e4m3");
  return chip_.is_given() ? find_unit(chip_.load(), unit_) : find_unit(unit_);
}

Accumulator UnitFlags::accumulator() const {
  if (out_ == "f32") return Accumulator::fp32;
  if (out_ == "f16") return Accumulator::fp16;
  throw InputError("--out", fmt::format("'{}' is no result format", out_), "give f32 or f16");
}

}  // namespace tessera::cli

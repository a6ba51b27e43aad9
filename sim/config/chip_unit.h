#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/config/chip_config.h"
#include "sim/datapath/unit.h"

namespace tessera {

/// What the tensor core of `chip` computes for operands of `format`, whether or not the chip gives
/// the format a rate. The unit is the `like` of the format's section (fp16_unit, bf16_unit,
/// tf32_unit, fp8_unit; other formats have none), by default that of tensor_core.arithmetic, with
/// the section's other keys over it. Its name is that of the built-in unit where nothing differs,
/// else "<chip>.<format>". Throws InputError, naming the key, where there is none: an unknown
/// generation or unit, or one that does not multiply the format.
Unit unit_of(const ChipConfig& chip, Format format);

/// What is wrong with the keys that choose and change the units of `chip`: calls `fail`, which
/// throws, with the key, what is wrong and what would be right. A format with a rate must have a
/// unit.
using UnitFail = std::function<void(const std::string&, const std::string&, const std::string&)>;
void check_units(const ChipConfig& chip, const UnitFail& fail);

/// The units of the formats that `chip` gives a rate.
std::vector<Unit> units_of(const ChipConfig& chip);

/// The unit that a user calls `name` when he names `chip` too: a format ("e4m3"), the chip and a
/// format ("mine.e4m3"), or a built-in unit ("ada.e4m3"). Throws InputError.
Unit find_unit(const ChipConfig& chip, std::string_view name);

}  // namespace tessera

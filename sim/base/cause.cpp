#include "sim/base/cause.h"

namespace tessera {
namespace {

struct CauseText {
  std::string_view name, meaning;
};
// Indexed by Cause, in declaration order. At most 48 characters, to fit the table at 100 columns.
constexpr CauseText cause_text[cause_count] = {
    {"tensor_core", "the tensor core is multiplying, padding too"},
    {"scratchpad", "tensor core waits for operands in the scratchpad"},
    {"vector", "FP32 lanes or converters busy, tensor core idle"},
    {"special_function", "special functions (exp) busy, tensor core idle"},
    {"epilogue", "output tile scaled, converted and stored"},
    {"hbm", "waiting for data from DRAM"},
    {"l2", "waiting for data from the L2 cache"},
    {"noc", "waiting for the core's network port"},
    {"barrier", "waiting for another context or core"},
    {"pipeline", "latency of dependent instructions: fill, drain"},
    {"link", "waiting for other chips"},
    {"launch", "kernel launch, launch gap and block start"},
    {"idle", "no block to run: too few tiles, or the tail"},
};

}  // namespace

std::string_view name(Cause cause) { return cause_text[static_cast<std::size_t>(cause)].name; }
std::string_view meaning(Cause cause) {
  return cause_text[static_cast<std::size_t>(cause)].meaning;
}

}  // namespace tessera

#include "sim/base/cause.h"

namespace tessera {
namespace {

struct CauseText {
  std::string_view name, meaning;
};
// Indexed by Cause, in declaration order.
constexpr CauseText cause_text[cause_count] = {
    {"tensor_core", "the tensor core is multiplying"},
    {"scratchpad", "the tensor core waits for operands from the scratchpad"},
    {"vector", "FP32 lanes or converters are busy and the tensor core is idle"},
    {"special_function",
     "the special-function unit (exp, tanh, reciprocal) is busy and the tensor core is idle"},
    {"epilogue",
     "an output tile is being scaled, converted and stored and the tensor core is idle"},
    {"hbm", "waiting for data from DRAM"},
    {"l2", "waiting for data from the L2 cache"},
    {"noc", "waiting for the core's port of the network"},
    {"barrier", "waiting for another context or core at a barrier or flag"},
    {"pipeline", "latency of dependent instructions while nothing else can issue: fill and drain"},
    {"link", "waiting for other chips"},
    {"launch", "kernel launch, launch gap and block start"},
    {"idle", "the core has no block to run: too few tiles, or the tail of the last wave"},
};

}  // namespace

std::string_view name(Cause cause) { return cause_text[static_cast<std::size_t>(cause)].name; }
std::string_view meaning(Cause cause) {
  return cause_text[static_cast<std::size_t>(cause)].meaning;
}

}  // namespace tessera

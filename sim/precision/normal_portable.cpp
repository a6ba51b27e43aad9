#define TESSERA_TARGET
#define TESSERA_WIDE(a, b) (((a)&std::uint64_t{0xFFFFFFFF}) * ((b)&std::uint64_t{0xFFFFFFFF}))
#define TESSERA_KERNEL portable
#include "sim/precision/normal_loop.h"

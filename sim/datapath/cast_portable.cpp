#define TESSERA_TARGET
#define TESSERA_KERNELS portable
#include "sim/datapath/cast_loop.h"

#include "sim/report/result.h"

namespace tessera {

std::string_view name(Bound bound) {
  switch (bound) {
    case Bound::compute:
      return "compute";
    case Bound::hbm:
      return "hbm";
    case Bound::l2:
      return "l2";
    case Bound::noc:
      return "noc";
    case Bound::latency:
      return "latency";
    case Bound::link:
      return "link";
  }
  return "";
}

}  // namespace tessera

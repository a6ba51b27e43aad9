#include "sim/base/overfull_sets.h"

#include <boost/math/special_functions/gamma.hpp>

namespace tessera {

double overfull_share(double load, int ways) {
  return load <= 0 ? 0 : boost::math::gamma_p(static_cast<double>(ways), load * ways);
}

}  // namespace tessera

#include "sim/chip/ledger.h"

#include <algorithm>

namespace tessera {

CoreCycles Ledger::close(Cycles end, Cause unclaimed) {
  idle_until(end, unclaimed);
  std::int64_t rest = (union_ - tensor_).value;
  // A context woken by another core's flag may work inside a gap already charged to a wait: that
  // wait is taken back, longest first.
  while (rest < 0) {
    const auto wait = std::max_element(total_.begin() + static_cast<int>(Cause::hbm), total_.end());
    const std::int64_t taken = std::min(*wait, -rest);
    if (taken == 0) break;
    *wait -= taken;
    rest += taken;
  }
  std::int64_t weight = 0;
  for (const std::int64_t s : shared_) weight += s;
  // Proportional shares with the remainder carried forward sum exactly.
  for (std::size_t i = 0; i < cause_count && weight > 0; ++i) {
    const auto part =
        static_cast<std::int64_t>(static_cast<double>(rest) *
                                  (static_cast<double>(shared_[i]) / static_cast<double>(weight)));
    const std::int64_t given = shared_[i] == weight ? rest : std::min(part, rest);
    total_[i] += given;
    rest -= given;
    weight -= shared_[i];
  }
  return total_;
}

}  // namespace tessera

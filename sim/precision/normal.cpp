#include "sim/precision/normal.h"

#include <algorithm>

#include "sim/base/units.h"
#include "sim/precision/normal_kernels.h"

namespace tessera {
namespace {

normal_kernels::Kernel kernel_of(Isa isa) {
  switch (isa) {
    case Isa::portable:
      break;
    case Isa::avx2:
      return normal_kernels::avx2;
    case Isa::avx512:
      return normal_kernels::avx512;
  }
  return normal_kernels::portable;
}

}  // namespace

void standard_normals(std::uint64_t seed, std::uint64_t stream, std::int64_t first,
                      std::int64_t count, float* values, Isa isa) {
  constexpr std::int64_t group = 4 * normal_kernels::blocks;
  const normal_kernels::Kernel kernel = kernel_of(isa);
  float part[group];
  const auto block_of = [](std::int64_t number) { return static_cast<std::uint64_t>(number) / 4; };
  // Whole groups from a block's beginning; what stands before and behind comes through `part`.
  const std::int64_t end = first + count;
  std::int64_t at = first;
  const auto copy_group = [&](std::int64_t until) {
    const std::int64_t begin = at / 4 * 4;
    kernel(seed, stream, block_of(begin), 1, part);
    const std::int64_t stop = std::min(begin + group, until);
    std::copy(part + (at - begin), part + (stop - begin), values + (at - first));
    at = stop;
  };
  if (at < end && at % 4 != 0) copy_group(std::min(end, (at / 4 + 1) * 4));
  const std::int64_t groups = (end - at) / group;
  kernel(seed, stream, block_of(at), groups, values + (at - first));
  at += groups * group;
  if (at < end) copy_group(end);
}

}  // namespace tessera

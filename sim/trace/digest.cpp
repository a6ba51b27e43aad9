#include "sim/trace/digest.h"

#include <fmt/format.h>
#include <xxhash.h>

#include "sim/trace/text.h"

namespace tessera {

std::string content_digest(std::string_view bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

std::string digest(const Trace& trace) { return content_digest(canonical_body(trace)); }

std::string digest(const Section& section) { return content_digest(canonical_body(section)); }

std::string execution_digest(const Section& section) {
  // Without names the text form refers to everything by index, and nothing else of it changes.
  Section anonymous = section;
  anonymous.name.clear();
  anonymous.repeat = 1;
  for (Tensor& tensor : anonymous.tensors) tensor.name.clear();
  for (OpRecord& op : anonymous.ops) {
    op.name.clear();
    op.kind.clear();
    op.precision.clear();
  }
  for (Kernel& kernel : anonymous.kernels) {
    kernel.name.clear();
    for (Barrier& barrier : kernel.barriers) barrier.name.clear();
    for (Role& role : kernel.roles) {
      role.name.clear();
      for (std::string& variable : role.variables) variable.clear();
    }
  }
  return content_digest(canonical_body(anonymous));
}

}  // namespace tessera

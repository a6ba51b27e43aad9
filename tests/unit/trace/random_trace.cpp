#include "random_trace.h"

#include <array>
#include <limits>
#include <random>

namespace tessera {
namespace {

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : bits_(seed) {}

  Trace trace() {
    Trace trace;
    trace.tool_version = word();
    trace.chip = word();
    trace.chip_digest = word();
    trace.workload = word();
    for (std::int64_t i = below(4); i > 0; --i) trace.sections.push_back(section());
    return trace;
  }

 private:
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(bits_() % static_cast<std::uint64_t>(n));
  }
  bool flip() { return below(2) == 0; }

  std::int64_t integer() {
    switch (below(6)) {
      case 0:
        return below(3);
      case 1:
        return -below(1000);
      case 2:
        return below(1 << 20);
      case 3:
        return std::numeric_limits<std::int64_t>::max() - below(2);
      case 4:
        return std::numeric_limits<std::int64_t>::min() + below(2);
      default:
        return static_cast<std::int64_t>(bits_());
    }
  }

  std::string word() {
    static const std::array<const char*, 14> words = {"a",
                                                      "attention.qkv",
                                                      "x",
                                                      "step",
                                                      "",
                                                      "two words",
                                                      "quo\"te",
                                                      "back\\slash",
                                                      "0.1.0",
                                                      "line\nbreak",
                                                      "\xc3\xa9t\xc3\xa9",
                                                      "# no comment",
                                                      "@7",
                                                      "-"};
    std::string text = words[static_cast<std::size_t>(below(words.size()))];
    if (flip()) text += std::to_string(below(30));
    return text;
  }

  template <std::size_t n>
  std::int64_t index(const std::array<std::int64_t, n>& choices) {
    return choices[static_cast<std::size_t>(below(n))];
  }

  Format format() { return all_formats()[static_cast<std::size_t>(below(7))]; }
  std::uint16_t reference() { return static_cast<std::uint16_t>(flip() ? below(4) : below(65536)); }
  VarId variable() { return static_cast<VarId>(below(10) == 0 ? below(256) : below(8)); }

  Expr expression() {
    Expr e(flip() ? 0 : integer());
    for (std::int64_t i = below(4); i > 0; --i) {
      e.terms.push_back({variable(), flip() ? 1 : integer()});
    }
    return e;
  }

  Instruction instruction() {
    switch (below(15)) {
      case 0:
        return Let{variable(), static_cast<LetOp>(below(5)), expression(), expression()};
      case 1:
        return Raster{variable(), variable(), expression(), expression(), expression(), integer()};
      case 2:
        return Wait{reference()};
      case 3:
        return Arrive{reference(), flip()};
      case 4:
        return Expect{reference(), integer()};
      case 5:
        return Load{reference(), expression(), expression(), integer(), integer(), flip(), flip()};
      case 6:
        return Store{reference(), expression(), expression(), integer(), integer(), flip()};
      case 7:
        return StoreWait{integer()};
      case 8:
        return Mma{integer(), integer(), integer(), format(),
                   flip() ? OperandSource::scratchpad : OperandSource::registers};
      case 9:
        return MmaWait{integer()};
      case 10: {
        const auto count = static_cast<std::int64_t>(vector_functions().size());
        return Vector{static_cast<VectorFunction>(below(count)), integer()};
      }
      case 11:
        return Setup{integer()};
      case 12:
        return Signal{expression()};
      case 13:
        return AwaitSignal{expression(), expression()};
      default:
        return Collective{static_cast<CollectiveKind>(below(5)), integer(), integer()};
    }
  }

  Role role() {
    Role role;
    role.name = word();
    role.copies = integer();
    role.warps = integer();
    role.registers = integer();
    if (below(8) == 0) role.variables.clear();
    for (std::int64_t i = below(6); i > 0; --i) role.variables.push_back(word());
    int open = 0;
    for (std::int64_t i = below(20); i > 0; --i) {
      const std::int64_t choice = below(6);
      if (choice == 0 && open < 8) {
        role.code.emplace_back(Loop{variable(), expression(), expression(), expression()});
        ++open;
      } else if (choice == 1 && open > 0) {
        role.code.emplace_back(End{});
        --open;
      } else {
        role.code.push_back(instruction());
      }
    }
    for (; open > 0; --open) role.code.emplace_back(End{});
    return role;
  }

  Kernel kernel() {
    Kernel kernel;
    kernel.name = word();
    kernel.op = flip() ? below(3) : integer();
    kernel.grid = integer();
    kernel.cluster = integer();
    kernel.scratchpad_bytes = integer();
    kernel.flags = integer();
    kernel.early_launch = flip();
    for (std::int64_t i = below(4); i > 0; --i) {
      kernel.barriers.push_back({word(), integer(), integer(), flip()});
    }
    for (std::int64_t i = below(4); i > 0; --i) kernel.roles.push_back(role());
    return kernel;
  }

  Section section() {
    Section section;
    section.name = word();
    section.repeat = integer();
    for (std::int64_t i = below(5); i > 0; --i) {
      section.tensors.push_back({word(), format(), integer(), integer(),
                                 static_cast<TensorKind>(below(4)), flip(), integer()});
    }
    for (std::int64_t i = below(4); i > 0; --i) {
      section.ops.push_back({word(), word(), word(), format(), Flops(integer()), Flops(integer()),
                             Bytes(integer()), Bytes(integer())});
    }
    for (std::int64_t i = below(4); i > 0; --i) section.kernels.push_back(kernel());
    return section;
  }

  std::mt19937_64 bits_;
};

}  // namespace

Trace random_trace(std::uint64_t seed) { return Generator(seed).trace(); }

Trace small_gemm(std::int64_t stages, std::int64_t consumers) {
  constexpr std::int64_t size = 512, tile_m = 128, tile_n = 128, tile_k = 64;
  constexpr VarId tile = 3, m = 4, n = 5, k = 6;
  const auto variables = [](std::vector<std::string> more) {
    std::vector<std::string> all = {"cluster", "rank", "copy"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };

  Section section;
  section.name = "gemm";
  const std::int64_t bytes_each = size * size * 2;
  section.tensors = {
      {"a", Format::bf16, size, size, TensorKind::activation, true, 0},
      {"b", Format::bf16, size, size, TensorKind::weight, false, bytes_each},
      {"c", Format::bf16, size, size, TensorKind::activation, false, 2 * bytes_each}};
  section.ops = {{"gemm", "gemm", "bf16", Format::bf16, Flops(2 * size * size * size), Flops(0),
                  Bytes(bytes_each), Bytes(bytes_each)}};

  Kernel kernel;
  kernel.name = "gemm";
  kernel.grid = 5;
  kernel.scratchpad_bytes = stages * (tile_m + tile_n) * tile_k * 2;
  kernel.barriers = {{"full", stages, 1, false}, {"empty", stages, consumers, true}};

  const Loop tiles{tile, Expr::var(var_cluster), (size / tile_m) * (size / tile_n), 5};
  const Raster raster{m, n, Expr::var(tile), size / tile_m, size / tile_n, 2};
  Role producer;
  producer.name = "producer";
  producer.warps = 1;
  producer.registers = 40;
  producer.variables = variables({"tile", "m", "n", "k"});
  producer.code = {Setup{300},
                   tiles,
                   raster,
                   Loop{k, 0, size, tile_k},
                   Wait{1},
                   Expect{0, (tile_m + tile_n) * tile_k * 2},
                   Load{0, Expr::var(m, tile_m), Expr::var(k), tile_m, tile_k, false, false},
                   Load{1, Expr::var(n, tile_n), Expr::var(k), tile_n, tile_k, false, false},
                   End{},
                   End{}};
  Role consumer;
  consumer.name = "consumer";
  consumer.copies = consumers;
  consumer.registers = 200;
  consumer.variables = variables({"tile", "m", "n", "k"});
  const std::int64_t rows = tile_m / consumers;
  consumer.code = {tiles,
                   raster,
                   Loop{k, 0, size, tile_k},
                   Wait{0},
                   Mma{rows, tile_n, tile_k, Format::bf16, OperandSource::scratchpad},
                   MmaWait{0},
                   Arrive{1, false},
                   End{},
                   Vector{VectorFunction::epilogue, rows * tile_n},
                   Store{2, Expr::var(m, tile_m) + Expr::var(var_copy, rows), Expr::var(n, tile_n),
                         rows, tile_n, false},
                   StoreWait{0},
                   End{}};
  kernel.roles = {producer, consumer};
  section.kernels = {kernel};

  Trace trace;
  trace.tool_version = "0.1.0";
  trace.chip = "toy";
  trace.chip_digest = "0123";
  trace.workload = "--op \"gemm m=512 n=512 k=512 dtype=bf16\"";
  trace.sections = {section};
  return trace;
}

}  // namespace tessera

#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "sim/base/error.h"
#include "tests/support/machine.h"

using namespace tessera;
using namespace tessera::test;

// The toy chip: 1 cycle = 1 ns, 1024 FLOP, 128 B of scratchpad, 64 lanes a cycle
// (configs/chips/toy.yaml).

TEST_CASE("a matrix multiply takes its arithmetic plus the tensor core's latency") {
  OneKernel k;
  k.role("consumer", {Mma{64, 64, 16}, MmaWait{0}});
  CHECK(k.cycles(chip("toy")) == 2 * 64 * 64 * 16 / 1024 + 16);
}

TEST_CASE("multiplies of two contexts share one tensor core") {
  OneKernel k;
  k.role("consumer", {Mma{64, 64, 16}, MmaWait{0}}, 2);
  CHECK(k.cycles(chip("toy")) == 2 * 128 + 16);
}

TEST_CASE("a narrow multiply is bound by its operands from the scratchpad, and says so") {
  OneKernel k;
  k.role("consumer", {Mma{64, 8, 16}, MmaWait{0}});
  const RunResult result = k.run(chip("toy"));
  // Arithmetic 16 cycles; (64 + 8) * 16 * 2 bytes at 128 a cycle: 18.
  CHECK(k.cycles(chip("toy")) == 18 + 16);
  CHECK(result.ops[0].core_cycles[static_cast<std::size_t>(Cause::tensor_core)] == 16);
  CHECK(result.ops[0].core_cycles[static_cast<std::size_t>(Cause::scratchpad)] == 2);
}

TEST_CASE("an operand in registers takes no scratchpad bandwidth") {
  OneKernel k;
  k.role("consumer", {Mma{64, 8, 16, Format::bf16, OperandSource::registers}, MmaWait{0}});
  CHECK(k.cycles(chip("toy")) == 16 + 16);
}

TEST_CASE("products share the scratchpad's port with the boxes the copy engine brings") {
  OneKernel k;
  k.tensor("x", 64, 64, true).barrier("full", 1, 1);
  const Mma narrow{64, 8, 16};  // 16 cycles of arithmetic, 2304 B of operands: 18
  k.role("consumer", {narrow, Expect{0, 8192}, Load{0, 0, 0, 64, 64}, narrow, MmaWait{0}});
  // A sixteenth of the 8192 B meets the second: ceil((256 + 512) / 128) beyond its arithmetic.
  CHECK(k.cycles(chip("toy")) == 18 + (16 + 6) + 16);
  const OpResult op = k.run(chip("toy")).ops[0];
  CHECK(op.core_cycles[static_cast<std::size_t>(Cause::tensor_core)] == 2 * 16);
  CHECK(op.core_cycles[static_cast<std::size_t>(Cause::scratchpad)] == 2 + 6);
}

TEST_CASE("of a box beyond a tensor's edge only what the tensor has takes the scratchpad's port") {
  OneKernel k;
  k.tensor("x", 16, 64, true).barrier("full", 1, 1);
  const Mma narrow{64, 8, 16};
  k.role("consumer", {narrow, Expect{0, 8192}, Load{0, 0, 0, 64, 64}, narrow, MmaWait{0}});
  // 16 of 64 rows: ceil((256 + 2048 / 16) / 128).
  CHECK(k.cycles(chip("toy")) == 18 + (16 + 3) + 16);
}

TEST_CASE("a multicast box takes the scratchpad's port of every block of the cluster") {
  OneKernel k;
  k.tensor("x", 64, 64, true).barrier("full", 1, 1);
  k.kernel().grid = k.kernel().cluster = 2;
  const VarId i = 3;
  const Mma narrow{64, 8, 16};
  // Only block 0 loads, after the first product of both and before the second.
  k.role("consumer", {narrow, Setup{1}, Expect{0, 8192}, Loop{i, Expr::var(var_rank), 1, 1},
                      Load{0, 0, 0, 64, 64, true}, End{}, Setup{1}, narrow, MmaWait{0}});
  const OpResult op = k.run(chip("toy")).ops[0];
  CHECK(op.core_cycles[static_cast<std::size_t>(Cause::tensor_core)] == 2 * 2 * 16);
  CHECK(op.core_cycles[static_cast<std::size_t>(Cause::scratchpad)] == 2 * (2 + 6));
}

TEST_CASE("vector work takes the longer of lanes and special-function unit") {
  OneKernel fma, exp;
  fma.role("worker", {Vector{VectorFunction::rescale, 6400}});
  CHECK(fma.cycles(chip("toy")) == 100 + 4);
  // softmax: 3 lane operations and half a conversion beside one exponential, 8 a cycle.
  exp.role("worker", {Vector{VectorFunction::softmax, 6400}});
  CHECK(exp.cycles(chip("toy")) == 800 + 4);
  CHECK(
      exp.run(chip("toy")).ops[0].core_cycles[static_cast<std::size_t>(Cause::special_function)] ==
      800);
}

TEST_CASE("softmax holds up multiplies of another context for a share of its time, norms do not") {
  // 800 cycles of softmax beside 1600 of multiplies.
  const auto beside = [](VectorFunction function, int percent) {
    OneKernel k;
    k.role("a", {Vector{function, 6400}});
    k.role("b", {Mma{64, 64, 200}, MmaWait{0}});
    return k.cycles(chip("toy", {fmt::format("vector_unit.tensor_stall_percent={}", percent)}));
  };
  const std::int64_t multiplies = 2 * 64 * 64 * 200 / 1024;
  CHECK(beside(VectorFunction::softmax, 0) == multiplies + 16);
  CHECK(beside(VectorFunction::softmax, 75) == multiplies + 600 + 16);
  CHECK(beside(VectorFunction::softmax, 100) == multiplies + 800 + 16);
  CHECK(beside(VectorFunction::norm_apply, 75) == multiplies + 16);
}

TEST_CASE("a multiply that starts during softmax waits for its share of what is left of it") {
  OneKernel k;
  k.role("a", {Vector{VectorFunction::softmax, 6400}});
  k.role("b", {Setup{700}, Mma{64, 64, 200}, MmaWait{0}});
  const ChipConfig half = chip("toy", {"vector_unit.tensor_stall_percent=50"});
  CHECK(k.cycles(half) == 700 + 100 / 2 + 1600 + 16);
  OneKernel after;
  after.role("a", {Vector{VectorFunction::softmax, 6400}});
  after.role("b", {Setup{800}, Mma{64, 64, 200}, MmaWait{0}});
  CHECK(after.cycles(half) == 800 + 1600 + 16);
}

TEST_CASE("time that softmax adds to multiplies is charged to it") {
  OneKernel k;
  k.role("a", {Vector{VectorFunction::softmax, 6400}});
  k.role("b", {Mma{64, 64, 200}, MmaWait{0}});
  const RunResult result = k.run(chip("toy", {"vector_unit.tensor_stall_percent=75"}));
  const auto charged = [&](Cause cause) {
    return result.ops[0].core_cycles[static_cast<std::size_t>(cause)];
  };
  CHECK(charged(Cause::tensor_core) == 1600);
  CHECK(charged(Cause::special_function) == 600);
}

TEST_CASE("loops, lets and rasters steer without taking time") {
  OneKernel k;
  const VarId i = 3, j = 4, n = 5;
  k.role("worker", {Let{n, LetOp::div, 7, 2},     // 3
                    Loop{i, 0, Expr::var(n), 1},  // 3 rounds
                    Raster{j, n, Expr::var(i), 2, 2, 1}, Let{n, LetOp::set, 3, 0}, Setup{10}, End{},
                    Loop{i, 5, 5, 1}, Setup{1000}, End{}});  // none
  CHECK(k.cycles(chip("toy")) == 30);
}

TEST_CASE("a box in L2 lands after latency, the slower of pipe and port, and the copy engine") {
  OneKernel k;
  k.tensor("x", 64, 64, true).barrier("full", 1, 1);
  k.role("worker", {Expect{0, 8192}, Load{0, 0, 0, 64, 64}, Wait{0}});
  // Port: 8192 B at 64 a cycle; near latency 200; copy engine 100; barrier 20.
  CHECK(k.cycles(chip("toy")) == 8192 / 64 + 200 + 100 + 20);
  const RunResult result = k.run(chip("toy"));
  CHECK(result.ops[0].l2_hit.value == 8192);
  CHECK(result.ops[0].hbm_read.value == 0);
}

TEST_CASE("a box in memory lands after the way to memory and back") {
  OneKernel k;
  k.tensor("x", 64, 64).barrier("full", 1, 1);
  k.role("worker", {Expect{0, 8192}, Load{0, 0, 0, 64, 64}, Wait{0}});
  // Way 2 * (200 + 100)/2; activate and column 15 + 15 ns; 2048 B on each of 4 channels at 16 GB/s.
  CHECK(k.cycles(chip("toy", {"hbm.trfc_ns=0"})) == 300 + 30 + 128 + 100 + 20);
  CHECK(k.run(chip("toy")).ops[0].hbm_read.value == 8192);
}

TEST_CASE("a second core's read of a line on its way shares the fill") {
  OneKernel k;
  k.tensor("x", 64, 64).barrier("full", 1, 1);
  k.kernel().grid = 2;
  k.role("worker", {Expect{0, 8192}, Load{0, 0, 0, 64, 64}, Wait{0}});
  const RunResult result = k.run(chip("toy"));
  CHECK(result.ops[0].hbm_read.value == 8192);
  CHECK(result.ops[0].l2_read.value == 2 * 8192);
}

TEST_CASE("a multicast load reads L2 once and lands in every block of the cluster") {
  OneKernel k;
  k.tensor("x", 128, 64, true).barrier("full", 1, 1);
  k.kernel().grid = 2;
  k.kernel().cluster = 2;
  k.role("worker", {Expect{0, 16384}, Load{0, Expr::var(var_rank, 64), 0, 64, 64, true}, Wait{0}});
  const RunResult result = k.run(chip("toy"));
  CHECK(result.ops[0].l2_read.value == 16384);
  // Each core's port passes both halves.
  CHECK(k.cycles(chip("toy")) == 16384 / 64 + 200 + 100 + 20);
}

TEST_CASE("an edge box fetches only what the tensor has") {
  OneKernel k;
  k.tensor("x", 40, 64, true).barrier("full", 1, 1);
  k.role("worker", {Expect{0, 8192}, Load{0, 0, 0, 64, 64}, Wait{0}});
  CHECK(k.run(chip("toy")).ops[0].l2_read.value == 40 * 128);
}

TEST_CASE("the copy engine holds back what exceeds its bytes in flight") {
  OneKernel k;
  k.tensor("x", 64, 128, true).barrier("full", 2, 1);
  k.role("worker", {Expect{0, 8192}, Load{0, 0, 0, 64, 64}, Expect{0, 8192}, Load{0, 0, 64, 64, 64},
                    Wait{0}, Wait{0}});
  const std::int64_t both = k.cycles(chip("toy"));
  const std::int64_t one_at_a_time = k.cycles(chip("toy", {"dma.max_outstanding_kib=8"}));
  // The second request follows the first by dma.issue_cycles, and waits for the port behind it.
  CHECK(both == 16384 / 64 + 200 + 100 + 20);
  CHECK(one_at_a_time == 2 * (8192 / 64 + 200 + 100) + 20);
}

TEST_CASE("a store leaves after the port, the scratchpad's latency and the copy engine's") {
  const std::int64_t left = 8192 / 64 + 20 + 100;
  OneKernel waits, ends, signals;
  for (OneKernel* k : {&waits, &ends, &signals}) k->tensor("y", 64, 64);
  waits.role("worker", {Store{0, 0, 0, 64, 64}, StoreWait{0}, Setup{1000}});
  CHECK(waits.cycles(chip("toy")) == left + 1000);
  // Seen in L2 a near latency later: so long lasts the kernel, and what a signal follows.
  ends.role("worker", {Store{0, 0, 0, 64, 64}});
  CHECK(ends.cycles(chip("toy")) == left + 200);
  signals.kernel().flags = 1;
  signals.role("worker", {Store{0, 0, 0, 64, 64}, Signal{0}, Setup{1000}});
  CHECK(signals.cycles(chip("toy")) == left + 200 + 1000);
}

TEST_CASE("latencies of stores add nothing between them: the next one has the port at once") {
  OneKernel k;
  k.tensor("y", 128, 64);
  k.role("worker", {Store{0, 0, 0, 64, 64}, Store{0, 64, 0, 64, 64}, StoreWait{1}, Setup{1},
                    StoreWait{0}, Setup{1000}});
  CHECK(k.cycles(chip("toy")) == 2 * 8192 / 64 + 20 + 100 + 1000);
}

TEST_CASE("a producer fills a ring only as fast as its consumer releases it") {
  OneKernel k;
  const VarId i = 3;
  k.tensor("x", 64, 640, true).barrier("full", 1, 1).barrier("empty", 1, 1, true);
  k.role("producer", {Loop{i, 0, 10, 1}, Wait{1}, Expect{0, 8192},
                      Load{0, 0, Expr::var(i, 64), 64, 64}, End{}});
  k.role("consumer", {Loop{i, 0, 10, 1}, Wait{0}, Mma{64, 64, 64}, MmaWait{0}, Arrive{1}, End{}});
  // One slot: every round is load (448), multiply (512 + 16) and the empty barrier (20), in turn.
  CHECK(k.cycles(chip("toy")) == 10 * (448 + 528) + 9 * 20);
}

TEST_CASE("a flag raised by one block releases another") {
  OneKernel k;
  k.kernel().grid = 2;
  k.kernel().flags = 1;
  const VarId i = 3;
  // Block 0 works 500 cycles and signals; block 1 waits.
  k.role("worker", {Loop{i, Expr::var(var_cluster), 1, 1}, Setup{500}, Signal{0}, End{},
                    Loop{i, 0, Expr::var(var_cluster), 1}, AwaitSignal{0, 1}, Setup{7}, End{}});
  CHECK(k.cycles(chip("toy")) == 500 + 200 + 7);
}

TEST_CASE("blocks beyond what the cores hold run in a second wave") {
  OneKernel k;
  k.kernel().scratchpad_bytes = 100 * 1024;  // one block a core
  k.kernel().grid = 5;
  k.role("worker", {Setup{300}});
  CHECK(k.cycles(chip("toy")) == 300 + 10 + 100 + 300);
  const RunResult result = k.run(chip("toy"));
  CHECK(result.ops[0].core_cycles[static_cast<std::size_t>(Cause::idle)] >= 3 * 400);
}

TEST_CASE("kernels follow each other after the launch gap, sooner with early launch") {
  OneKernel k;
  k.role("worker", {Setup{50}});
  k.section.kernels.push_back(k.kernel());
  CHECK(k.run(chip("toy")).ops[0].cycles.value == 2 * (1000 + 100 + 50));
  k.section.kernels[1].early_launch = true;
  CHECK(k.run(chip("toy")).ops[0].cycles.value == 2 * (1000 + 100 + 50) - 500);
}

TEST_CASE("an arrival that never comes is a deadlock that says who waits for whom") {
  OneKernel k;
  k.barrier("full", 2, 2);
  k.role("producer", {Arrive{0}}).role("consumer", {Wait{0}});
  CHECK_THROWS_AS(k.run(chip("toy")), SimulationError);
  CHECK_THROWS_WITH(k.run(chip("toy")), Catch::Contains("deadlock in kernel kernel") &&
                                            Catch::Contains("consumer[0]") &&
                                            Catch::Contains("barrier full") &&
                                            Catch::Contains("1 of 2 arrivals"));
}

TEST_CASE("refilling a slot before it was released is an error, not a result") {
  OneKernel k;
  k.barrier("full", 1, 2);
  k.role("producer", {Arrive{0}, Arrive{0}});
  CHECK_THROWS_WITH(k.run(chip("toy")), Catch::Contains("overrun"));
}

TEST_CASE("what a chip does not have is the user's error") {
  OneKernel big, fp8;
  big.kernel().scratchpad_bytes = 1 << 20;
  big.role("worker", {Setup{1}});
  CHECK_THROWS_AS(big.run(chip("toy")), InputError);
  fp8.role("worker", {Mma{64, 64, 32, Format::e4m3}, MmaWait{0}});
  CHECK_THROWS_AS(fp8.run(chip("a100-sxm")), InputError);
}

TEST_CASE("what would last beyond the end of time is refused, not counted wrongly") {
  const std::int64_t half = std::int64_t{1} << 41;  // of end_of_time
  OneKernel fits, waits, queues, too_long;
  fits.role("worker", {Setup{half}});
  CHECK(fits.cycles(chip("toy")) == half);
  // A context whose own time passes it, and a tensor core booked past it while its context stays.
  waits.role("worker", {Loop{3, 0, 3, 1}, Setup{half}, End{}});
  queues.role("worker", {Loop{3, 0, 9, 1}, Mma{65536, 65536, 65536}, End{}});
  for (const OneKernel* kernel : {&waits, &queues}) {
    CHECK_THROWS_WITH(OneKernel(*kernel).run(chip("toy")),
                      Catch::Contains("kernel kernel block 0 worker[0]: at cycle") &&
                          Catch::Contains("beyond the 4398046511104 that a section may last"));
  }
  too_long.role("worker", {Setup{2 * half + 1}});
  CHECK_THROWS_AS(too_long.run(chip("toy")), InputError);
}

TEST_CASE("repetitions whose totals a report cannot hold are the user's error") {
  OneKernel k;
  k.role("worker", {Setup{1000}});
  const std::int64_t many = std::int64_t{1} << 40;
  CHECK(simulate(k.trace(many), chip("toy")).ops[0].repeat == many);
  CHECK_THROWS_AS(simulate(k.trace(many << 20), chip("toy")), InputError);
}

TEST_CASE("a setup before the loops is part of the launch, one in a loop of the pipeline") {
  const auto charged = [](std::vector<Instruction> code, Cause cause) {
    OneKernel k;
    k.role("worker", std::move(code));
    return k.run(chip("toy")).ops[0].core_cycles[static_cast<std::size_t>(cause)];
  };
  const VarId i = 3, j = 4;
  const std::int64_t launch = charged({Setup{1}}, Cause::launch) - 1;
  CHECK(charged({Setup{1}}, Cause::pipeline) == 0);
  CHECK(charged({Setup{70}}, Cause::launch) == launch + 70);
  CHECK(charged({Loop{i, 0, 5, 1}, Setup{70}, End{}}, Cause::launch) == launch);
  CHECK(charged({Loop{i, 0, 5, 1}, Setup{70}, End{}}, Cause::pipeline) == 5 * 70);
  CHECK(charged({Loop{i, 0, 5, 1}, Loop{j, 0, 2, 1}, Setup{7}, End{}, Setup{1}, End{}},
                Cause::pipeline) == 5 * (2 * 7 + 1));
  CHECK(charged({Loop{i, 0, 5, 1}, End{}, Setup{30}}, Cause::launch) == launch + 30);
}

TEST_CASE("every core-cycle is charged to exactly one cause") {
  OneKernel k;
  const VarId i = 3;
  k.tensor("x", 64, 640).tensor("y", 64, 64).barrier("full", 2, 1).barrier("empty", 2, 1, true);
  k.kernel().grid = 7;
  k.role("producer", {Loop{i, 0, 10, 1}, Wait{1}, Expect{0, 8192},
                      Load{0, 0, Expr::var(i, 64), 64, 64}, End{}});
  k.role("consumer",
         {Loop{i, 0, 10, 1}, Wait{0}, Mma{64, 64, 64}, MmaWait{0}, Arrive{1}, End{},
          Vector{VectorFunction::epilogue, 4096}, Store{1, 0, 0, 64, 64, true}, StoreWait{0}});
  const OpResult op = k.run(chip("toy")).ops[0];
  std::int64_t sum = 0;
  for (const std::int64_t cycles : op.core_cycles) {
    CHECK(cycles >= 0);
    sum += cycles;
  }
  CHECK(sum == op.cycles.value * 4);
  CHECK(op.core_cycles[static_cast<std::size_t>(Cause::tensor_core)] == 7 * 10 * 512);
}

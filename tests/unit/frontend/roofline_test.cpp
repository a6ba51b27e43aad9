#include "sim/frontend/roofline.h"

#include <catch2/catch.hpp>

#include "lowering_fixture.h"

using namespace tessera;

TEST_CASE("the roofline of a large GEMM is its FLOPs at the tensor cores' rate") {
  OpRecord op;
  op.format = Format::bf16;
  op.tensor_flops = Flops(132LL * 4096 * 2000 * 500);  // 500 us at 2000 MHz
  op.compulsory_read = Bytes(3'350'000);               // 1 us at 3350 GB/s
  const RooflinePoint point = roofline(op, wide_chip(), 2000);
  CHECK(point.compute_us == Approx(500));
  CHECK(point.memory_us == Approx(1));
  CHECK(point.us() == Approx(500));
  CHECK_FALSE(point.memory_bound());
  CHECK(roofline(op, wide_chip(), 1000).us() == Approx(1000));
}

TEST_CASE("fp8 has twice the rate of bf16, tf32 half") {
  OpRecord op;
  op.tensor_flops = Flops(1'000'000'000'000);
  op.format = Format::bf16;
  const double bf16 = roofline(op, wide_chip(), 2000).us();
  op.format = Format::e4m3;
  CHECK(roofline(op, wide_chip(), 2000).us() == Approx(bf16 / 2));
  op.format = Format::tf32;
  CHECK(roofline(op, wide_chip(), 2000).us() == Approx(bf16 * 2));
}

TEST_CASE("vector work bounds what has no matrix product") {
  OpRecord op;
  op.vector_flops = Flops(2LL * 132 * 128 * 2000 * 7);
  CHECK(roofline(op, wide_chip(), 2000).us() == Approx(7));
}

TEST_CASE("cold inputs must be read, outputs count only beyond what the L2 keeps") {
  OpRecord op;
  op.compulsory_read = Bytes(3'350'000);
  op.compulsory_write = Bytes(50LL << 20);
  CHECK(roofline(op, wide_chip(), 2000).memory_us == Approx(1));
  op.compulsory_write += Bytes(3'350'000);
  const RooflinePoint point = roofline(op, wide_chip(), 2000);
  CHECK(point.memory_us == Approx(2));
  CHECK(point.memory_bound());
}

TEST_CASE("an operation that does nothing takes no time, at any clock") {
  CHECK(roofline(OpRecord(), wide_chip(), 2000).us() == 0);
  CHECK(roofline(OpRecord(), wide_chip(), 0).us() == 0);
}

TEST_CASE("the roofline of an exchange is what goes over the link at its bandwidth") {
  ChipConfig chip = wide_chip();
  chip.link.bandwidth_gbps = 400;
  CHECK(roofline(OpRecord(), chip, 2000, 8e6).link_us == Approx(20));
  CHECK(roofline(OpRecord(), chip, 2000, 8e6).us() == Approx(20));
  chip.link.bandwidth_gbps = 0;
  CHECK(roofline(OpRecord(), chip, 2000, 8e6).us() == 0);
}

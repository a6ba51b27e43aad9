#include "sim/precision/stored_tensor.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <string>

#include "sim/base/error.h"
#include "sim/precision/npy.h"
#include "sim/precision/safetensors.h"
#include "tests/support/scratch_folder.h"

using namespace tessera;
using Catch::Contains;

namespace {

template <class T>
std::string raw(std::initializer_list<T> values) {
  std::string text;
  for (const T value : values) {
    char word[sizeof(T)];
    std::memcpy(word, &value, sizeof(T));
    text.append(word, sizeof(T));
  }
  return text;
}

std::string little_endian(std::uint64_t value, int width) {
  std::string text;
  for (int i = 0; i < width; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

std::string safetensors(const std::string& header, const std::string& data) {
  return little_endian(header.size(), 8) + header + data;
}

std::string npy(const std::string& header, const std::string& data, int version = 1) {
  return std::string("\x93NUMPY") + static_cast<char>(version) + '\0' +
         little_endian(header.size(), version == 1 ? 2 : 4) + header + data;
}

std::vector<float> all_of(const StoredTensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
  read_elements(tensor, 0, tensor.elements(), values.data());
  return values;
}

}  // namespace

TEST_CASE("a safetensors file gives its tensors in every type") {
  const ScratchFolder folder;
  const std::string header = R"({"__metadata__":{"format":"pt"},)"
                             R"("a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
                             R"("b":{"dtype":"BF16","shape":[2],"data_offsets":[16,20]},)"
                             R"("c":{"dtype":"F16","shape":[1],"data_offsets":[20,22]},)"
                             R"("d":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[22,23]},)"
                             R"("e":{"dtype":"F8_E5M2","shape":[],"data_offsets":[23,24]},)"
                             R"("f":{"dtype":"F64","shape":[1],"data_offsets":[24,32]},)"
                             R"("g":{"dtype":"I16","shape":[1],"data_offsets":[32,34]},)"
                             R"("h":{"dtype":"F32","shape":[0,7],"data_offsets":[34,34]}})";
  const std::string data = raw<float>({1, 2, 3, 4}) + raw<std::uint16_t>({0x3F80, 0xC000, 0x3C00}) +
                           "\x7E\x3C" + raw<double>({0.5}) + raw<std::int16_t>({-3});
  const auto tensors = read_safetensors(folder.write("x.safetensors", safetensors(header, data)));
  REQUIRE(tensors.size() == 8);
  CHECK(tensors[0].shape == std::vector<std::int64_t>{2, 2});
  CHECK(all_of(tensors[0]) == std::vector<float>{1, 2, 3, 4});
  CHECK(all_of(tensors[1]) == std::vector<float>{1, -2});
  CHECK(all_of(tensors[2]) == std::vector<float>{1});
  CHECK(all_of(tensors[3]) == std::vector<float>{448});
  CHECK(all_of(tensors[4]) == std::vector<float>{1});
  CHECK(all_of(tensors[5]) == std::vector<float>{0.5});
  CHECK(all_of(tensors[6]) == std::vector<float>{-3});
  CHECK(all_of(tensors[7]).empty());
  float third = 0;
  read_elements(tensors[0], 2, 1, &third);
  CHECK(third == 3);
}

TEST_CASE("a safetensors file whose header lies is refused with the reason") {
  const ScratchFolder folder;
  const auto refused = [&](const std::string& bytes, const std::string& reason) {
    const std::string path = folder.write("x.safetensors", bytes);
    INFO(reason);
    CHECK_THROWS_AS(read_safetensors(path), InputError);
    CHECK_THROWS_WITH(read_safetensors(path), Contains(path) && Contains(reason));
  };
  const auto one = [](const std::string& entry) { return R"({"a":)" + entry + "}"; };
  const std::string good = R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  const std::string data(8, '\0');

  refused("", "too few");
  refused("1234567", "too few");
  refused(little_endian(~std::uint64_t{0}, 8) + "{}", "a header of 18446744073709551615 bytes");
  refused(little_endian(3, 8) + "{}", "a header of 3 bytes in a file of 10");
  refused(safetensors("", ""), "is not JSON");
  refused(safetensors("[]", ""), "no JSON object");
  refused(safetensors(std::string(100000, '['), ""), "nests too deep");
  refused(safetensors(R"({"a":{"dtype":"F32","shape":[)" + std::string(200, '1'), ""), "not JSON");
  std::string ones = "1";
  for (int i = 0; i < 64; ++i) ones += ",1";
  refused(safetensors(R"({"a":{"dtype":"F32","shape":[)" + ones, ""), "holds a long list");
  refused(safetensors("{\"a\":" + good + ",\"a\":" + good + "}", data), "'a' stands twice");
  refused(safetensors(one(good), data.substr(1)), "[0, 8) in 7 bytes of data");
  refused(safetensors(one(good), data + "x"), "1 bytes behind the last tensor");
  refused(safetensors(one(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})"), data),
          "shape [3] of F32 in 8 bytes");
  refused(safetensors(one(R"({"dtype":"F32","shape":[4294967296,4294967296,4294967296],)"
                          R"("data_offsets":[0,8]})"),
                      data),
          "in 8 bytes");
  refused(safetensors(one(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"), data), "-2");
  refused(safetensors(one(R"({"dtype":"F32","shape":[1e400],"data_offsets":[0,8]})"), data),
          "is not JSON");
  refused(safetensors(one(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"), data), "[8, 0)");
  refused(safetensors(one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,999999]})"), data),
          "[0, 999999)");
  refused(safetensors(one(R"({"dtype":"F4","shape":[2],"data_offsets":[0,8]})"), data),
          "dtype \"F4\" is not supported");
  refused(safetensors(one(R"({"dtype":7,"shape":[2],"data_offsets":[0,8]})"), data), "dtype 7");
  refused(safetensors(one(R"({"shape":[2],"data_offsets":[0,8]})"), data), "other keys");
  refused(safetensors(one("5"), data), "other keys");
  refused(safetensors(R"({"__metadata__":{"n":1}})", ""), "__metadata__");
  refused(safetensors("{\"a\":" + good + R"(,"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
                      data),
          "overlaps");
  refused(safetensors(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})", data),
          "4 bytes before it");
  CHECK_THROWS_WITH(read_safetensors(folder.path() + "/none"), Contains("cannot be read"));
}

TEST_CASE("an npy file of each version gives its array") {
  const ScratchFolder folder;
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }     \n";
  const std::string data = raw<float>({1, 2, 3, 4, 5, 6});
  for (const int version : {1, 2, 3}) {
    const StoredTensor tensor = read_npy(folder.write("layer.x.npy", npy(header, data, version)));
    CHECK(tensor.name == "layer.x");
    CHECK(tensor.shape == std::vector<std::int64_t>{2, 3});
    CHECK(all_of(tensor) == std::vector<float>{1, 2, 3, 4, 5, 6});
  }
  const auto array = [&](const std::string& descr, const std::string& shape,
                         const std::string& bytes) {
    return all_of(read_npy(folder.write(
        "x.npy",
        npy("{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + "}", bytes))));
  };
  CHECK(array("<f8", "(1,)", raw<double>({-0.25})) == std::vector<float>{-0.25F});
  CHECK(array("<f2", "(2,)", raw<std::uint16_t>({0x3C00, 0xC000})) == std::vector<float>{1, -2});
  CHECK(array("|i1", "()", "\xFF") == std::vector<float>{-1});
  CHECK(array("<i8", "(1L, 1L)", raw<std::int64_t>({7})) == std::vector<float>{7});
  CHECK(array("|b1", "(2,)", std::string("\x01\x00", 2)) == std::vector<float>{1, 0});
}

TEST_CASE("an npy file that is wrong is refused with the reason") {
  const ScratchFolder folder;
  const auto refused = [&](const std::string& bytes, const std::string& reason) {
    const std::string path = folder.write("x.npy", bytes);
    INFO(reason);
    CHECK_THROWS_AS(read_npy(path), InputError);
    CHECK_THROWS_WITH(read_npy(path), Contains(path) && Contains(reason));
  };
  const std::string data(8, '\0');
  const auto dict = [](const std::string& descr, const std::string& order,
                       const std::string& shape) {
    return "{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + "}";
  };
  refused("", "no .npy file");
  refused("\x93NUMPX\x01\x01", "no .npy file");
  refused(npy(dict("'<f4'", "False", "(2,)"), data, 4), "version 4.0");
  refused(std::string("\x93NUMPY\x01\x00\xFF\xFF{}", 12), "a header of 65535 bytes");
  refused(std::string("\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF", 12), "a header of 4294967295 bytes");
  refused(npy(dict("'<f4'", "False", "(2,)"), data.substr(1)), "in 7 bytes of data");
  refused(npy(dict("'<f4'", "False", "(2,)"), data + "x"), "in 9 bytes of data");
  refused(npy(dict("'>f4'", "False", "(2,)"), data), "'>f4'");
  refused(npy(dict("'<c8'", "False", "(1,)"), data), "'<c8'");
  refused(npy(dict("[('a', '<f4')]", "False", "(2,)"), data), "structured");
  refused(npy(dict("'<f4'", "True", "(2, 1)"), data), "Fortran");
  refused(npy(dict("'<f4'", "Maybe", "(2,)"), data), "'False'");
  refused(npy(dict("'<f4'", "False", "(-2,)"), data), "whole number");
  refused(npy(dict("'<f4'", "False", "(99999999999999999999,)"), data), "whole number");
  refused(npy(dict("'<f4'", "False", "(4294967296, 4294967296)"), data), "in 8 bytes");
  refused(npy(dict("'<f4'", "False", "(1,1,1,1,1,1,1,1,1)"), data), "8 dimensions");
  refused(npy("{'descr': '<f4'}", data), "missing");
  refused(npy("{'descr': '<f4', 'descr': '<f4'}", data), "twice");
  refused(npy("{'descr': '<f4', 'x': 1}", data), "unknown key 'x'");
  refused(npy("{'descr': '<f4", data), "does not end");
}

TEST_CASE("elements that are not numbers are refused with their place") {
  const ScratchFolder folder;
  const std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}";
  const auto nan = read_npy(folder.write(
      "x.npy", npy(header, raw<double>({0, std::numeric_limits<double>::quiet_NaN(), 0}))));
  CHECK_THROWS_WITH(all_of(nan), Contains("element 1 is NaN"));
  const auto wide = read_npy(folder.write("y.npy", npy(header, raw<double>({0, 0, 1e300}))));
  CHECK_THROWS_WITH(all_of(wide), Contains("element 2 is infinite in FP32"));
  float one = 1;
  read_elements(nan, 0, 1, &one);
  CHECK(one == 0);
}

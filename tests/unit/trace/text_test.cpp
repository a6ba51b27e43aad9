#include "sim/trace/text.h"

#include <catch2/catch.hpp>
#include <random>

#include "random_trace.h"
#include "sim/base/error.h"
#include "sim/trace/digest.h"
#include "sim/trace/limits.h"

namespace tessera {
namespace {

using Catch::Contains;

std::string error_of(const std::string& text) {
  try {
    parse_text(text, "t.trace");
  } catch (const InputError& e) {
    return e.what();
  }
  return "no error";
}

/// A trace whose only role has this code, each line indented by six spaces.
std::string with_code(const std::string& code) {
  std::string text =
      "tessera-trace 1\n"
      "section s\n"
      "  tensor t activation bf16 64 x 64\n"
      "  kernel k\n"
      "    barrier full slots 2\n"
      "    role r\n";
  std::size_t start = 0;
  while (start < code.size()) {
    const std::size_t end = code.find('\n', start);
    text += "      " + code.substr(start, end - start) + "\n";
    start = end == std::string::npos ? code.size() : end + 1;
  }
  return text;
}

const Role& only_role(const Trace& trace) { return trace.sections.at(0).kernels.at(0).roles.at(0); }

Expr expression_of(const std::string& text) {
  const Trace trace = parse_text(with_code("signal " + text), "t.trace");
  return std::get<Signal>(only_role(trace).code.at(0)).index;
}

TEST_CASE("A trace survives text and back with every field") {
  const Trace gemm = small_gemm();
  const Trace again = parse_text(to_text(gemm), "t.trace");
  CHECK(to_text(again) == to_text(gemm));
  CHECK(again.workload == gemm.workload);
  const Section& section = again.sections.at(0);
  CHECK(section.tensors.at(2).address == 1048576);
  CHECK(section.tensors.at(0).warm);
  CHECK(section.ops.at(0).tensor_flops.value == 268435456);
  const Kernel& kernel = section.kernels.at(0);
  CHECK(kernel.barriers.at(1).initially_complete);
  CHECK(kernel.roles.at(1).copies == 2);
  CHECK(kernel.roles.at(0).variables == gemm.sections[0].kernels[0].roles[0].variables);
  const Load& load = std::get<Load>(kernel.roles.at(0).code.at(6));
  CHECK(load.row == Expr::var(4, 128));
  CHECK(load.rows == 128);
}

TEST_CASE("Random traces survive text and back, and their text is a fixed point") {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const Trace trace = random_trace(seed);
    const std::string text = to_text(trace);
    Trace again;
    REQUIRE_NOTHROW(again = parse_text(text, "t.trace"));
    REQUIRE(to_text(again) == text);
    REQUIRE(again.sections.size() == trace.sections.size());
    for (std::size_t s = 0; s < trace.sections.size(); ++s) {
      REQUIRE(again.sections[s].name == trace.sections[s].name);
      REQUIRE(again.sections[s].kernels.size() == trace.sections[s].kernels.size());
      for (std::size_t k = 0; k < trace.sections[s].kernels.size(); ++k) {
        const Kernel& before = trace.sections[s].kernels[k];
        const Kernel& after = again.sections[s].kernels[k];
        REQUIRE(after.op == before.op);
        REQUIRE(after.roles.size() == before.roles.size());
        for (std::size_t r = 0; r < before.roles.size(); ++r) {
          REQUIRE(after.roles[r].variables == before.roles[r].variables);
          REQUIRE(after.roles[r].code.size() == before.roles[r].code.size());
        }
      }
    }
  }
}

TEST_CASE("Text reads as documented") {
  const std::string text = to_text(small_gemm());
  CHECK_THAT(text, Contains("\n      for tile in cluster .. 16 step 5\n"));
  CHECK_THAT(text, Contains("\n        raster m n = tile in 4 x 4 group 2\n"));
  CHECK_THAT(text, Contains("\n          load a [m*128, k] 128 x 64\n"));
  CHECK_THAT(text, Contains("\n        store c [m*128 + copy*64, n*128] 64 x 128\n"));
  CHECK_THAT(text, Contains("\n    barrier empty slots 3 arrivals 2 initially_complete\n"));
}

TEST_CASE("Expressions keep their terms and accept the usual spellings") {
  CHECK(expression_of("cluster*128 + rank*64 + 3") ==
        Expr::var(0, 128) + Expr::var(1, 64) + Expr(3));
  CHECK(expression_of("3 + 128*cluster") == Expr::var(0, 128, 3));
  CHECK(expression_of("-copy + 2*3*rank - 1") == Expr::var(2, -1) + Expr::var(1, 6) + Expr(-1));
  CHECK(expression_of("rank*-4") == Expr::var(1, -4));
  CHECK(expression_of("-9223372036854775808") == Expr(INT64_MIN));
  CHECK(expression_of("rank + rank").terms.size() == 2);
  CHECK(expression_of("rank*0").terms.size() == 1);
}

TEST_CASE("Comments, blank lines, carriage returns and any consistent indentation are accepted") {
  const Trace trace = parse_text(
      "# head\r\ntessera-trace 1 # version\r\n\r\nsection s # one\r\n   kernel k\r\n"
      "      role r\r\n         for i in 0 .. 4\r\n            # nothing\r\n             setup "
      "3\r\n"
      "         setup 4\r\n",
      "t.trace");
  CHECK(only_role(trace).code.size() == 4);
  CHECK(std::get<Setup>(only_role(trace).code[3]).cycles == 4);
}

TEST_CASE("A loop without a body is a loop") {
  const Trace trace = parse_text(with_code("for i in 0 .. 4\nsetup 1"), "t.trace");
  CHECK(only_role(trace).code.size() == 3);
}

TEST_CASE("Instructions take defaults, and 128x64 needs no spaces") {
  const Trace trace = parse_text(with_code("load t[0,0]32x16 gather multicast"), "t.trace");
  const Load& load = std::get<Load>(only_role(trace).code.at(0));
  CHECK(load.rows == 32);
  CHECK(load.cols == 16);
  CHECK(load.gather);
  CHECK(load.multicast);
  CHECK(only_role(trace).warps == 4);
}

TEST_CASE("A variable may be called like a function or a separator") {
  const Trace trace =
      parse_text(with_code("let min = 3\nlet x = min\nraster x step = x in x x x"), "t.trace");
  CHECK(only_role(trace).variables ==
        std::vector<std::string>{"cluster", "rank", "copy", "min", "x", "step"});
}

TEST_CASE("Names that occur twice are referred to by index") {
  Trace trace = small_gemm();
  trace.sections[0].tensors[1].name = "a";
  const std::string text = to_text(trace);
  CHECK_THAT(text, Contains("load @0 ["));
  CHECK_THAT(text, Contains("load @1 ["));
  CHECK(to_text(parse_text(text, "t.trace")) == text);
}

TEST_CASE("The digest notices an edited file, and only a meaningful edit") {
  const std::string text = to_text(small_gemm());
  std::string commented = text;
  commented.insert(commented.find("section"), "# a comment\n\n");
  CHECK_NOTHROW(parse_text(commented, "t.trace"));

  std::string edited = text;
  edited.replace(edited.find("setup 300"), 9, "setup 301");
  CHECK_THAT(error_of(edited), Contains("t.trace:6: digest: the content was edited") &&
                                   Contains("delete this line or write 'digest -'"));
  const std::size_t line = edited.find("digest ", edited.find("workload"));
  std::string unsigned_text = edited;
  unsigned_text.replace(line, edited.find('\n', line) - line, "digest -");
  CHECK_NOTHROW(parse_text(unsigned_text, "t.trace"));
  edited.erase(line, edited.find('\n', line) + 1 - line);
  CHECK_NOTHROW(parse_text(edited, "t.trace"));
}

TEST_CASE("Each mistake in a text has its own message") {
  struct Mistake {
    const char* text;
    const char* message;
  };
  const std::vector<Mistake> mistakes = {
      {"", "t.trace: tessera-trace: the file is empty; a trace starts with 'tessera-trace 1'"},
      {"hello\n", "t.trace:1: hello: this is not a trace"},
      {"tessera-trace 2\n", "version 2 of the trace language; this program reads version 1"},
      {"tessera-trace 1\nchpi x\n",
       "t.trace:2: chpi: not a line of a trace's header; did you mean 'chip'?"},
      {"tessera-trace 1\nchip x\nchip y\n", "given twice"},
      {"tessera-trace 1\nsection s\nchip y\n", "after the first section"},
      {"tessera-trace 1\n  section s\n", "matches no open block"},
      {"tessera-trace 1\nsection s\n  tensr t\n", "did you mean 'tensor'?"},
      {"tessera-trace 1\nsection s\n  tensor t wight bf16 1 x 1\n", "did you mean 'weight'?"},
      {"tessera-trace 1\nsection s\n  tensor t weight bf61 1 x 1\n", "did you mean 'bf16'?"},
      {"tessera-trace 1\nsection s\n  tensor t weight bf16 1 y 1\n", "expected 'x'"},
      {"tessera-trace 1\nsection s\n  tensor t weight bf16 1 x\n",
       "its columns is missing at the end of the line"},
      {"tessera-trace 1\nsection s\n  kernel k op q\n", "there is no op 'q'"},
      {"tessera-trace 1\nsection s\n  kernel k gird 1\n", "'grid'"},
      {"tessera-trace 1\nsection s\n  kernel k\n    rolle r\n", "did you mean 'role'?"},
      {"tessera-trace 1\nsection \"s\n", "without its end"},
      {"tessera-trace 1\nsection \"s\\q\"\n", "unknown escape"},
      {"tessera-trace 1\nsection s\n\tkernel k\n", "indent with spaces"},
  };
  for (const Mistake& mistake : mistakes) {
    CHECK_THAT(error_of(mistake.text), Contains(mistake.message));
  }
  const std::vector<Mistake> in_code = {
      {"wiat full", "t.trace:7: wiat: not an instruction; did you mean 'wait'?"},
      {"wait ful", "did you mean 'full'?"},
      {"load u [0, 0] 1 x 1", "there is no tensor 'u'"},
      {"load @70000 [0, 0] 1 x 1", "out of range"},
      {"signal tile", "variable 'tile' is not defined"},
      {"for i in 0 .. i\n", "variable 'i' is not defined"},
      {"signal rank*copy", "product of two variables"},
      {"signal rank rank", "nothing may follow"},
      {"signal 9223372036854775808", "beyond 64 bits"},
      {"signal 99999999999999999999", "beyond 64 bits"},
      {"signal 4294967296*4294967296*rank", "beyond 64 bits"},
      {"signal 9223372036854775807 + 1", "beyond 64 bits"},
      {"setup", "a number of cycles is missing"},
      {"vector softmaxx 4", "did you mean 'softmax'?"},
      {"collective alreduce ranks 2 bytes 3", "did you mean 'allreduce'?"},
      {"mma 64 x 64 x 16 bf17", "did you mean 'bf16'?"},
      {"setup 1\n  setup 2", "matches no open block"},
      {"for i in 0 .. 2\n  setup 1\n setup 2", "matches no open block"},
      {"setup 1\nvariables a b c", "they stand first"},
  };
  for (const Mistake& mistake : in_code) {
    CHECK_THAT(error_of(with_code(mistake.text)), Contains(mistake.message));
  }
}

TEST_CASE("Loops nest up to the limit and no deeper") {
  const auto nest = [](std::size_t depth) {
    std::string code;
    for (std::size_t i = 0; i < depth; ++i) code += std::string(i, ' ') + "for i in 0 .. 1\n";
    return with_code(code);
  };
  CHECK_NOTHROW(parse_text(nest(max_loop_nesting), "t.trace"));
  CHECK_THAT(error_of(nest(max_loop_nesting + 1)), Contains("nested more than 64 deep"));
}

TEST_CASE("A role has at most the language's variables") {
  std::string code;
  for (std::size_t i = first_free_var; i < max_variables; ++i) {
    code += "let v" + std::to_string(i) + " = 0\n";
  }
  CHECK_NOTHROW(parse_text(with_code(code), "t.trace"));
  CHECK_THAT(error_of(with_code(code + "let more = 0\n")), Contains("at most 24"));
}

TEST_CASE("A file that is too large is refused before it is read") {
  CHECK_THAT(error_of(std::string(max_trace_text_bytes + 1, ' ')), Contains("bytes of text"));
}

TEST_CASE("Too many instructions or objects are refused") {
  std::string code = with_code("");
  for (std::size_t i = 0; i <= max_trace_instructions; ++i) code += "      setup 1\n";
  CHECK_THAT(error_of(code), Contains("too many instructions"));
  std::string many = "tessera-trace 1\n";
  for (std::size_t i = 0; i <= max_trace_objects; ++i) many += "section s\n";
  CHECK_THAT(error_of(many), Contains("too many sections"));
}

TEST_CASE("A role whose loops do not match has no text") {
  Trace trace = small_gemm();
  trace.sections[0].kernels[0].roles[0].code.emplace_back(End{});
  CHECK_THROWS_AS(to_text(trace), InputError);
  trace.sections[0].kernels[0].roles[0].code.resize(5);
  CHECK_THROWS_AS(to_text(trace), InputError);
}

TEST_CASE("Mutated text is read or refused, never worse") {
  std::mt19937_64 bits(1);
  const std::string base = to_text(small_gemm());
  const std::string other = to_text(random_trace(5));
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string text = i % 2 == 0 ? base : other;
    for (int edits = 1 + static_cast<int>(bits() % 4); edits > 0 && !text.empty(); --edits) {
      const std::size_t at = bits() % text.size();
      switch (bits() % 4) {
        case 0:
          text[at] = static_cast<char>(bits());
          break;
        case 1:
          text.erase(at, 1 + bits() % 40);
          break;
        case 2:
          text.insert(at, text.substr(bits() % text.size(), bits() % 60));
          break;
        default:
          text.insert(at, std::to_string(static_cast<std::int64_t>(bits())));
          break;
      }
    }
    try {
      to_text(parse_text(text, "t.trace"));
    } catch (const InputError&) {
      ++refused;
    }
  }
  CHECK(refused > 1000);
}

TEST_CASE("Digests tell traces apart, execution digests only what runs differently") {
  const Trace trace = small_gemm();
  const std::string whole = digest(trace);
  CHECK(whole.size() == 32);
  CHECK(digest(small_gemm()) == whole);
  Section renamed = trace.sections[0];
  const std::string before = digest(renamed);
  const std::string execution = execution_digest(renamed);
  renamed.name = "other";
  renamed.repeat = 7;
  renamed.ops[0].name = "other.gemm";
  renamed.tensors[0].name = "z";
  renamed.kernels[0].name = "k";
  renamed.kernels[0].roles[0].variables[4] = "row";
  CHECK(digest(renamed) != before);
  CHECK(execution_digest(renamed) == execution);

  Section changed = trace.sections[0];
  changed.tensors[1].address += 8192;
  CHECK(execution_digest(changed) != execution);
  changed = trace.sections[0];
  changed.tensors[0].warm = false;
  CHECK(execution_digest(changed) != execution);
  changed = trace.sections[0];
  std::get<Setup>(changed.kernels[0].roles[0].code[0]).cycles = 301;
  CHECK(execution_digest(changed) != execution);
  changed = trace.sections[0];
  std::get<Load>(changed.kernels[0].roles[0].code[6]).row.terms[0].var = 5;
  CHECK(execution_digest(changed) != execution);
}

TEST_CASE("A known text has a known digest") {
  // XXH3-128 of the empty string, from the test vectors of the xxHash specification.
  CHECK(content_digest("") == "99aa06d3014798d86001c324468d497f");
}

}  // namespace
}  // namespace tessera

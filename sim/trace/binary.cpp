#include "sim/trace/binary.h"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <limits>

#include "sim/base/error.h"
#include "sim/trace/digest.h"
#include "sim/trace/limits.h"
#include "sim/trace/names.h"

namespace tessera {
namespace {

// As PNG does it: a byte beyond ASCII, the name, and line ends that a text transfer would damage.
constexpr std::string_view magic = "\x89TSR\r\n\x1a\n";
constexpr std::size_t digest_digits = 32;
constexpr std::size_t head_bytes = 8 + 4 + digest_digits + 8;
constexpr int compression_level = 9;

// --- writing ---

class Writer {
 public:
  /// Seven bits a byte, low ones first; the high bit says that more follow.
  void natural(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  /// Signs folded into the lowest bit: 0, -1, 1, -2, 2 ... are 0, 1, 2, 3, 4 ...
  void integer(std::int64_t value) {
    const auto bits = static_cast<std::uint64_t>(value);
    natural(value < 0 ? ~(bits << 1) : bits << 1);
  }
  void flag(bool value) { natural(value ? 1 : 0); }
  template <class Enum>
  void choice(Enum value) {
    natural(static_cast<std::uint64_t>(value));
  }
  void text(const std::string& value) {
    natural(value.size());
    bytes_ += value;
  }
  void expression(const Expr& e) {
    integer(e.constant);
    natural(e.terms.size());
    for (const Expr::Term& term : e.terms) {
      natural(term.var);
      integer(term.coefficient);
    }
  }

  void operator()(const Loop& i) {
    natural(i.var);
    expression(i.begin);
    expression(i.end);
    expression(i.step);
  }
  void operator()(const End&) {}
  void operator()(const Let& i) {
    natural(i.var);
    choice(i.op);
    expression(i.a);
    expression(i.b);
  }
  void operator()(const Raster& i) {
    natural(i.row);
    natural(i.col);
    expression(i.index);
    expression(i.rows);
    expression(i.cols);
    integer(i.group);
  }
  void operator()(const Wait& i) { natural(i.barrier); }
  void operator()(const Arrive& i) {
    natural(i.barrier);
    flag(i.cluster);
  }
  void operator()(const Expect& i) {
    natural(i.barrier);
    integer(i.bytes);
  }
  void operator()(const Load& i) {
    natural(i.tensor);
    expression(i.row);
    expression(i.col);
    integer(i.rows);
    integer(i.cols);
    flag(i.multicast);
    flag(i.gather);
  }
  void operator()(const Store& i) {
    natural(i.tensor);
    expression(i.row);
    expression(i.col);
    integer(i.rows);
    integer(i.cols);
    flag(i.reduce);
  }
  void operator()(const StoreWait& i) { integer(i.pending); }
  void operator()(const Mma& i) {
    integer(i.m);
    integer(i.n);
    integer(i.k);
    choice(i.format);
    choice(i.a);
  }
  void operator()(const MmaWait& i) { integer(i.pending); }
  void operator()(const Vector& i) {
    choice(i.function);
    integer(i.elements);
  }
  void operator()(const Setup& i) { integer(i.cycles); }
  void operator()(const Signal& i) { expression(i.index); }
  void operator()(const AwaitSignal& i) {
    expression(i.index);
    expression(i.count);
  }
  void operator()(const Collective& i) {
    choice(i.kind);
    integer(i.ranks);
    integer(i.bytes);
  }

  template <class List, class Each>
  void list(const List& items, Each&& each) {
    natural(items.size());
    for (const auto& item : items) each(item);
  }

  void trace(const Trace& t) {
    text(t.tool_version);
    text(t.chip);
    text(t.chip_digest);
    text(t.workload);
    list(t.sections, [&](const Section& s) { section(s); });
  }

  std::string take() { return std::move(bytes_); }

 private:
  void section(const Section& s) {
    text(s.name);
    integer(s.repeat);
    list(s.tensors, [&](const Tensor& t) {
      text(t.name);
      choice(t.format);
      integer(t.rows);
      integer(t.cols);
      choice(t.kind);
      flag(t.warm);
      integer(t.address);
    });
    list(s.ops, [&](const OpRecord& o) {
      text(o.name);
      text(o.kind);
      text(o.precision);
      choice(o.format);
      integer(o.tensor_flops.value);
      integer(o.vector_flops.value);
      integer(o.compulsory_read.value);
      integer(o.compulsory_write.value);
    });
    list(s.kernels, [&](const Kernel& k) { kernel(k); });
  }

  void kernel(const Kernel& k) {
    text(k.name);
    integer(k.op);
    integer(k.grid);
    integer(k.cluster);
    integer(k.scratchpad_bytes);
    integer(k.flags);
    flag(k.early_launch);
    list(k.barriers, [&](const Barrier& b) {
      text(b.name);
      integer(b.slots);
      integer(b.arrivals);
      flag(b.initially_complete);
    });
    list(k.roles, [&](const Role& r) {
      text(r.name);
      integer(r.copies);
      integer(r.warps);
      integer(r.registers);
      list(r.variables, [&](const std::string& v) { text(v); });
      list(r.code, [&](const Instruction& i) {
        natural(i.index());
        std::visit(*this, i);
      });
    });
  }

  std::string bytes_;
};

// --- reading ---

class Reader {
 public:
  Reader(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  Trace trace() {
    Trace t;
    t.tool_version = text();
    t.chip = text();
    t.chip_digest = text();
    t.workload = text();
    list(t.sections, [&] { return section(); });
    if (position_ != bytes_.size()) fail("bytes after the end of the trace");
    return t;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw InputError({file_, 0}, "trace", fmt::format("corrupt: {}", what),
                     "write it again with 'tessera trace pack'");
  }

  std::uint64_t natural() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (position_ == bytes_.size()) fail("it ends early");
      const auto byte = static_cast<unsigned char>(bytes_[position_++]);
      if (shift == 63 && byte > 1) fail("a number beyond 64 bits");
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    fail("a number beyond 64 bits");
  }
  std::int64_t integer() {
    const std::uint64_t folded = natural();
    const std::uint64_t bits = (folded >> 1) ^ (folded & 1 ? ~std::uint64_t{0} : 0);
    // Two's complement, which every compiler of this program has.
    return static_cast<std::int64_t>(bits);
  }
  template <class Small>
  Small small() {
    const std::uint64_t value = natural();
    if (value > std::numeric_limits<Small>::max()) fail("an index out of range");
    return static_cast<Small>(value);
  }
  bool flag() {
    const std::uint64_t value = natural();
    if (value > 1) fail("a flag that is neither 0 nor 1");
    return value == 1;
  }
  template <class Enum>
  Enum choice(std::size_t count) {
    const std::uint64_t value = natural();
    if (value >= count) fail("an unknown choice");
    return static_cast<Enum>(value);
  }
  Format format() { return choice<Format>(all_formats().size()); }
  std::string text() {
    const std::uint64_t size = natural();
    if (size > bytes_.size() - position_) fail("it ends early");
    std::string value(bytes_.substr(position_, static_cast<std::size_t>(size)));
    position_ += static_cast<std::size_t>(size);
    return value;
  }
  Expr expression() {
    Expr e(integer());
    const std::uint64_t terms = natural();
    if (terms > max_expression_terms) fail("too many terms in an expression");
    for (std::uint64_t i = 0; i < terms; ++i) {
      const auto var = small<VarId>();
      e.terms.push_back({var, integer()});
    }
    return e;
  }

  template <class Item, class Each>
  void list(std::vector<Item>& items, Each&& each) {
    // Every item takes a byte at least, so the claim is checked before memory is taken.
    const std::uint64_t count = natural();
    if (count > bytes_.size() - position_) fail("a list longer than the file");
    for (std::uint64_t i = 0; i < count; ++i) {
      if (++objects_ > max_trace_objects) fail("too many parts");
      items.push_back(each());
    }
  }

  Section section() {
    Section s;
    s.name = text();
    s.repeat = integer();
    list(s.tensors, [&] {
      Tensor t;
      t.name = text();
      t.format = format();
      t.rows = integer();
      t.cols = integer();
      t.kind = choice<TensorKind>(tensor_kind_names().size());
      t.warm = flag();
      t.address = integer();
      return t;
    });
    list(s.ops, [&] {
      OpRecord o;
      o.name = text();
      o.kind = text();
      o.precision = text();
      o.format = format();
      o.tensor_flops = Flops(integer());
      o.vector_flops = Flops(integer());
      o.compulsory_read = Bytes(integer());
      o.compulsory_write = Bytes(integer());
      return o;
    });
    list(s.kernels, [&] { return kernel(); });
    return s;
  }

  Kernel kernel() {
    Kernel k;
    k.name = text();
    k.op = integer();
    k.grid = integer();
    k.cluster = integer();
    k.scratchpad_bytes = integer();
    k.flags = integer();
    k.early_launch = flag();
    list(k.barriers, [&] {
      Barrier b;
      b.name = text();
      b.slots = integer();
      b.arrivals = integer();
      b.initially_complete = flag();
      return b;
    });
    list(k.roles, [&] { return role(); });
    return k;
  }

  Role role() {
    Role r;
    r.name = text();
    r.copies = integer();
    r.warps = integer();
    r.registers = integer();
    r.variables.clear();
    list(r.variables, [&] { return text(); });
    const std::uint64_t count = natural();
    if (count > bytes_.size() - position_) fail("a list longer than the file");
    std::size_t depth = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      if (++instructions_ > max_trace_instructions) fail("too many instructions");
      r.code.push_back(instruction<0>(natural()));
      if (std::holds_alternative<Loop>(r.code.back()) && ++depth > max_loop_nesting) {
        fail("loops nested too deep");
      }
      if (std::holds_alternative<End>(r.code.back()) && depth-- == 0) fail("an end without a loop");
    }
    if (depth != 0) fail("a loop without its end");
    return r;
  }

  template <std::size_t kind>
  Instruction instruction(std::uint64_t wanted) {
    if constexpr (kind == std::variant_size_v<Instruction>) {
      fail("an unknown instruction");
    } else {
      if (wanted != kind) return instruction<kind + 1>(wanted);
      std::variant_alternative_t<kind, Instruction> i;
      read(i);
      return i;
    }
  }

  void read(Loop& i) {
    i.var = small<VarId>();
    i.begin = expression();
    i.end = expression();
    i.step = expression();
  }
  void read(End&) {}
  void read(Let& i) {
    i.var = small<VarId>();
    i.op = choice<LetOp>(5);
    i.a = expression();
    i.b = expression();
  }
  void read(Raster& i) {
    i.row = small<VarId>();
    i.col = small<VarId>();
    i.index = expression();
    i.rows = expression();
    i.cols = expression();
    i.group = integer();
  }
  void read(Wait& i) { i.barrier = small<std::uint16_t>(); }
  void read(Arrive& i) {
    i.barrier = small<std::uint16_t>();
    i.cluster = flag();
  }
  void read(Expect& i) {
    i.barrier = small<std::uint16_t>();
    i.bytes = integer();
  }
  void read(Load& i) {
    i.tensor = small<std::uint16_t>();
    i.row = expression();
    i.col = expression();
    i.rows = integer();
    i.cols = integer();
    i.multicast = flag();
    i.gather = flag();
  }
  void read(Store& i) {
    i.tensor = small<std::uint16_t>();
    i.row = expression();
    i.col = expression();
    i.rows = integer();
    i.cols = integer();
    i.reduce = flag();
  }
  void read(StoreWait& i) { i.pending = integer(); }
  void read(Mma& i) {
    i.m = integer();
    i.n = integer();
    i.k = integer();
    i.format = format();
    i.a = choice<OperandSource>(2);
  }
  void read(MmaWait& i) { i.pending = integer(); }
  void read(Vector& i) {
    i.function = choice<VectorFunction>(vector_functions().size());
    i.elements = integer();
  }
  void read(Setup& i) { i.cycles = integer(); }
  void read(Signal& i) { i.index = expression(); }
  void read(AwaitSignal& i) {
    i.index = expression();
    i.count = expression();
  }
  void read(Collective& i) {
    i.kind = choice<CollectiveKind>(collective_kind_names().size());
    i.ranks = integer();
    i.bytes = integer();
  }

  std::string_view bytes_;
  std::string file_;
  std::size_t position_ = 0;
  std::size_t objects_ = 0, instructions_ = 0;
};

void append_little_endian(std::string& to, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) to += static_cast<char>(value >> (8 * i));
}

std::uint64_t little_endian(std::string_view from) {
  std::uint64_t value = 0;
  for (std::size_t i = from.size(); i > 0; --i) {
    value = value << 8 | static_cast<unsigned char>(from[i - 1]);
  }
  return value;
}

}  // namespace

bool is_binary_trace(std::string_view data) {
  return !data.empty() &&
         data.substr(0, 4) == magic.substr(0, std::min<std::size_t>(4, data.size()));
}

std::string to_binary(const Trace& trace) {
  const std::string of_content = digest(trace);  // also refuses loops that do not match
  Writer writer;
  writer.trace(trace);
  const std::string body = writer.take();
  std::string data(magic);
  append_little_endian(data, static_cast<std::uint64_t>(Trace::format_version), 4);
  data += of_content;
  append_little_endian(data, body.size(), 8);
  const std::size_t start = data.size();
  data.resize(start + ZSTD_compressBound(body.size()));
  const std::size_t size = ZSTD_compress(data.data() + start, data.size() - start, body.data(),
                                         body.size(), compression_level);
  if (ZSTD_isError(size) != 0) {
    throw std::runtime_error(fmt::format("zstd: {}", ZSTD_getErrorName(size)));
  }
  data.resize(start + size);
  return data;
}

Trace parse_binary(std::string_view data, const std::string& file) {
  const auto fail = [&](const std::string& what, const std::string& right) {
    throw InputError({file, 0}, "trace", what, right);
  };
  const std::string again = "write it again with 'tessera trace pack'";
  if (data.size() < head_bytes) fail("corrupt: it ends early", again);
  if (data.substr(0, magic.size()) != magic) {
    fail("corrupt: this is not a binary trace, or it was transferred as text", again);
  }
  const std::uint64_t version = little_endian(data.substr(8, 4));
  if (version != static_cast<std::uint64_t>(Trace::format_version)) {
    fail(fmt::format("version {} of the trace language", version),
         fmt::format("this program reads version {}", Trace::format_version));
  }
  const std::string_view claimed = data.substr(12, digest_digits);
  const std::uint64_t size = little_endian(data.substr(12 + digest_digits, 8));
  if (size > max_trace_binary_bytes) {
    fail(fmt::format("it unpacks to {} bytes", size),
         fmt::format("at most {}", max_trace_binary_bytes));
  }
  const std::string_view packed = data.substr(head_bytes);
  // The frame's own claim must agree before memory is taken for it. A format that packs a byte
  // into less than 1/100000 of one does not exist: zstd's blocks of 128 KiB take 4 bytes or more.
  const unsigned long long content = ZSTD_getFrameContentSize(packed.data(), packed.size());
  if (content != size || packed.size() < size / 100'000) {
    fail("corrupt: its size does not match its content", again);
  }
  std::string body(static_cast<std::size_t>(size), '\0');
  const std::size_t unpacked =
      ZSTD_decompress(body.data(), body.size(), packed.data(), packed.size());
  if (ZSTD_isError(unpacked) != 0 || unpacked != body.size()) {
    fail("corrupt: its content does not unpack", again);
  }
  Trace trace = Reader(body, file).trace();
  if (digest(trace) != claimed) fail("corrupt: its digest does not match its content", again);
  return trace;
}

}  // namespace tessera

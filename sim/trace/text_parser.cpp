#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <limits>
#include <map>
#include <optional>

#include "sim/base/error.h"
#include "sim/trace/digest.h"
#include "sim/trace/limits.h"
#include "sim/trace/names.h"
#include "sim/trace/text.h"

namespace tessera {
namespace {

bool is_word_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '-' ||
         c == '/' || c == ':' || c == '+';
}
bool is_name_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates) {
  const std::string close = nearest(word, candidates);
  if (!close.empty()) return fmt::format("did you mean '{}'?", close);
  if (candidates.empty()) return "none is defined here";
  constexpr std::size_t shown = 24;
  if (candidates.size() <= shown) return fmt::format("one of {}", fmt::join(candidates, ", "));
  return fmt::format("one of {}, ...",
                     fmt::join(candidates.begin(), candidates.begin() + shown, ", "));
}

// One line of the file, read from left to right.
class Line {
 public:
  Line(std::string_view text, int number, const std::string& file)
      : text_(text), number_(number), file_(&file) {
    while (indent_ < text_.size() && text_[indent_] == ' ') ++indent_;
    position_ = indent_;
    blank_ = at_end();
  }

  bool blank() const { return blank_; }
  std::size_t indent() const { return indent_; }
  int number() const { return number_; }
  const std::string& keyword() const { return keyword_; }

  [[noreturn]] void fail(const std::string& wrong, const std::string& right) const {
    throw InputError({*file_, number_}, keyword_, wrong, right);
  }

  bool at_end() {
    skip_space();
    return position_ == text_.size() || text_[position_] == '#';
  }

  void expect_end() {
    if (!at_end()) {
      fail(fmt::format("unexpected {}", rest()), "nothing may follow here but a # comment");
    }
  }

  /// The first word of the line, by which its errors go.
  const std::string& read_keyword() {
    skip_space();
    if (position_ < text_.size() && text_[position_] == '\t') {
      fail("a tab at the start of a line", "indent with spaces");
    }
    keyword_ = std::string(peek_name('-'));
    position_ += keyword_.size();
    if (keyword_.empty())
      fail(fmt::format("unexpected {}", rest()), "a line starts with a keyword");
    return keyword_;
  }

  /// Consumes `keyword` if it is the next word.
  bool accept(std::string_view keyword) {
    skip_space();
    if (peek_name() != keyword) return false;
    position_ += keyword.size();
    return true;
  }
  void expect(std::string_view keyword) {
    if (!accept(keyword)) fail_expected(fmt::format("'{}'", keyword));
  }

  bool accept_symbol(std::string_view symbol) {
    skip_space();
    if (text_.substr(position_, symbol.size()) != symbol) return false;
    position_ += symbol.size();
    return true;
  }
  void expect_symbol(std::string_view symbol) {
    if (!accept_symbol(symbol)) fail_expected(fmt::format("'{}'", symbol));
  }
  /// The x of `128 x 64`, which may also be written without spaces.
  void expect_times() {
    skip_space();
    if (position_ == text_.size() || text_[position_] != 'x') fail_expected("'x'");
    ++position_;
  }

  /// A bare word or a quoted string.
  std::string word(std::string_view what) {
    skip_space();
    if (position_ < text_.size() && text_[position_] == '"') return quoted();
    const std::size_t start = position_;
    while (position_ < text_.size() && is_word_character(text_[position_])) ++position_;
    if (position_ == start) fail_expected(std::string(what));
    return std::string(text_.substr(start, position_ - start));
  }

  /// A variable's name: letters, digits and underscores, or a quoted string.
  std::string variable_word(std::string_view what) {
    skip_space();
    if (position_ < text_.size() && text_[position_] == '"') return quoted();
    const std::string_view found = peek_name();
    if (found.empty() || is_digit(found[0])) fail_expected(std::string(what));
    position_ += found.size();
    return std::string(found);
  }
  bool at_variable() {
    skip_space();
    if (position_ == text_.size()) return false;
    const char c = text_[position_];
    return c == '"' || c == '@' || (is_name_character(c) && !is_digit(c));
  }
  bool at_digit() {
    skip_space();
    return position_ < text_.size() && is_digit(text_[position_]);
  }

  std::int64_t integer(std::string_view what) {
    const bool negative = accept_symbol("-");
    return signed_value(magnitude(what), negative);
  }

  /// An index written `@7`, if one comes next.
  std::optional<std::int64_t> accept_index(std::int64_t limit) {
    if (!accept_symbol("@")) return std::nullopt;
    const std::int64_t value = integer("an index after @");
    if (value > limit || value < -limit - 1) {
      fail(fmt::format("index @{} is out of range", value), fmt::format("at most @{}", limit));
    }
    return value;
  }

  std::uint64_t magnitude(std::string_view what) {
    skip_space();
    if (position_ == text_.size() || !is_digit(text_[position_])) fail_expected(std::string(what));
    std::uint64_t value = 0;
    for (; position_ < text_.size() && is_digit(text_[position_]); ++position_) {
      const auto digit = static_cast<std::uint64_t>(text_[position_] - '0');
      if (__builtin_mul_overflow(value, std::uint64_t{10}, &value) ||
          __builtin_add_overflow(value, digit, &value)) {
        fail_overflow();
      }
    }
    return value;
  }

  std::int64_t signed_value(std::uint64_t size, bool negative) const {
    constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
    if (size > most + (negative ? 1 : 0)) fail_overflow();
    // Written so that the most negative number, whose magnitude has no positive twin, is fine.
    return negative
               ? -static_cast<std::int64_t>(size / 2) - static_cast<std::int64_t>(size - size / 2)
               : static_cast<std::int64_t>(size);
  }

  [[noreturn]] void fail_overflow() const {
    fail("a number beyond 64 bits", "numbers lie between -2^63 and 2^63 - 1");
  }

  [[noreturn]] void fail_expected(const std::string& what) {
    fail(at_end() ? fmt::format("{} is missing at the end of the line", what)
                  : fmt::format("unexpected {}", rest()),
         fmt::format("expected {}", what));
  }

  std::string rest() const {
    constexpr std::size_t shown = 40;
    std::string clean;
    for (const char c : text_.substr(position_, shown)) {
      clean += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
    }
    return fmt::format("'{}'{}", clean, text_.size() - position_ > shown ? "..." : "");
  }

 private:
  void skip_space() {
    while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\r')) {
      ++position_;
    }
  }

  std::string_view peek_name(char also = '_') const {
    std::size_t end = position_;
    while (end < text_.size() && (is_name_character(text_[end]) || text_[end] == also)) ++end;
    return text_.substr(position_, end - position_);
  }

  std::string quoted() {
    std::string value;
    for (++position_; position_ < text_.size(); ++position_) {
      const char c = text_[position_];
      if (c == '"') {
        ++position_;
        return value;
      }
      if (c != '\\') {
        value += c;
        continue;
      }
      const std::string_view escape = text_.substr(position_ + 1, 3);
      if (!escape.empty() && (escape[0] == '"' || escape[0] == '\\')) {
        value += escape[0];
        position_ += 1;
      } else if (escape.size() == 3 && escape[0] == 'x' &&
                 std::isxdigit(static_cast<unsigned char>(escape[1])) != 0 &&
                 std::isxdigit(static_cast<unsigned char>(escape[2])) != 0) {
        value += static_cast<char>(std::stoi(std::string(escape.substr(1)), nullptr, 16));
        position_ += 3;
      } else {
        fail("an unknown escape in a quoted string", "use \\\", \\\\ or \\xHH");
      }
    }
    fail("a quoted string without its end", "close it with \" on the same line");
  }

  std::string_view text_;
  int number_;
  const std::string* file_;
  std::size_t indent_ = 0;
  std::size_t position_ = 0;
  bool blank_ = false;
  std::string keyword_;
};

// Index by name of the things instructions refer to.
class Names {
 public:
  void add(const std::string& name) {
    const auto [place, fresh] = indices_.emplace(name, count_);
    if (!fresh) place->second = ambiguous;
    ++count_;
  }
  void clear() {
    indices_.clear();
    count_ = 0;
  }

  std::int64_t read(Line& line, std::string_view what, std::int64_t limit) const {
    if (const auto index = line.accept_index(limit)) return *index;
    const std::string name = line.word(fmt::format("the name of a {}", what));
    const auto found = indices_.find(name);
    if (found == indices_.end()) {
      std::vector<std::string> known;
      for (const auto& entry : indices_) known.push_back(entry.first);
      line.fail(fmt::format("there is no {} '{}'", what, name), did_you_mean(name, known));
    }
    if (found->second == ambiguous) {
      line.fail(fmt::format("several {}s are called '{}'", what, name),
                "rename them, or write @ and the index");
    }
    return found->second;
  }

 private:
  static constexpr std::int64_t ambiguous = -1;
  std::map<std::string, std::int64_t> indices_;
  std::int64_t count_ = 0;
};

class Parser {
 public:
  Parser(std::string_view text, const std::string& file) : text_(text), file_(file) {
    if (text.size() > max_trace_text_bytes) {
      throw InputError({file, 0}, "trace", fmt::format("{} bytes of text", text.size()),
                       fmt::format("at most {}", max_trace_text_bytes));
    }
    advance();
  }

  Trace parse() {
    version();
    std::optional<std::pair<std::string, int>> claimed = header();
    while (line_) {
      if (line_->indent() != 0) unexpected_indent();
      const std::string& keyword = line_->read_keyword();
      if (keyword != "section") {
        const std::vector<std::string> known = {"section",     "tool_version", "chip",
                                                "chip_digest", "workload",     "digest"};
        if (std::find(known.begin() + 1, known.end(), keyword) != known.end()) {
          line_->fail("a header line after the first section", "move it to the top of the file");
        }
        line_->fail("not a line of the top level", did_you_mean(keyword, {"section"}));
      }
      section();
    }
    if (claimed) {
      const std::string actual = digest(trace_);
      if (actual != claimed->first) {
        throw InputError(
            {file_, claimed->second}, "digest",
            fmt::format("the content was edited: its digest is {}, not {}", actual, claimed->first),
            "if that is meant, delete this line or write 'digest -'");
      }
    }
    return std::move(trace_);
  }

 private:
  // --- lines ---

  void advance() {
    line_.reset();
    while (next_ < text_.size()) {
      std::size_t end = text_.find('\n', next_);
      if (end == std::string_view::npos) end = text_.size();
      Line line(text_.substr(next_, end - next_), ++number_, file_);
      next_ = end + 1;
      if (line.blank()) continue;
      line_.emplace(std::move(line));
      return;
    }
  }

  /// Ends the current line, which nothing more may stand on, and moves to the next.
  void finish() {
    line_->expect_end();
    advance();
  }

  [[noreturn]] void unexpected_indent() {
    line_->read_keyword();
    line_->fail(fmt::format("indented by {} spaces, which matches no open block", line_->indent()),
                "lines of one block are indented alike, deeper than the line that opens it");
  }

  /// Calls body(keyword) for each line of the block below a line indented by `outer`.
  template <class Body>
  void block(std::size_t outer, Body&& body) {
    if (!line_ || line_->indent() <= outer) return;
    const std::size_t inner = line_->indent();
    while (line_ && line_->indent() > outer) {
      if (line_->indent() != inner) unexpected_indent();
      const std::string keyword = line_->read_keyword();
      body(keyword);
    }
  }

  void count_object() {
    if (++objects_ > max_trace_objects) {
      line_->fail("too many sections, tensors, operations, kernels, barriers, roles and variables",
                  fmt::format("at most {} of them together", max_trace_objects));
    }
  }

  // --- header ---

  void version() {
    if (!line_) {
      throw InputError(
          {file_, 0}, "tessera-trace", "the file is empty",
          fmt::format("a trace starts with 'tessera-trace {}'", Trace::format_version));
    }
    if (line_->read_keyword() != "tessera-trace") {
      line_->fail("this is not a trace",
                  fmt::format("a trace starts with 'tessera-trace {}'", Trace::format_version));
    }
    const std::int64_t version = line_->integer("a version");
    if (version != Trace::format_version) {
      line_->fail(fmt::format("version {} of the trace language", version),
                  fmt::format("this program reads version {}", Trace::format_version));
    }
    finish();
  }

  std::optional<std::pair<std::string, int>> header() {
    std::optional<std::pair<std::string, int>> claimed;
    std::vector<std::string> seen;
    while (line_) {
      if (line_->indent() != 0) unexpected_indent();
      Line before = *line_;
      const std::string keyword = line_->read_keyword();
      if (keyword == "section") {
        *line_ = std::move(before);  // read again by parse()
        return claimed;
      }
      const std::vector<std::string> known = {"tool_version", "chip",   "chip_digest",
                                              "workload",     "digest", "section"};
      if (std::find(known.begin(), known.end(), keyword) == known.end()) {
        line_->fail("not a line of a trace's header", did_you_mean(keyword, known));
      }
      if (std::find(seen.begin(), seen.end(), keyword) != seen.end()) {
        line_->fail("given twice", "keep one");
      }
      seen.push_back(keyword);
      std::string value = line_->word("a word or a quoted string");
      if (keyword == "tool_version") trace_.tool_version = value;
      if (keyword == "chip") trace_.chip = value;
      if (keyword == "chip_digest") trace_.chip_digest = value;
      if (keyword == "workload") trace_.workload = value;
      if (keyword == "digest" && value != "-") claimed = {value, line_->number()};
      finish();
    }
    return claimed;
  }

  // --- structure ---

  void section() {
    count_object();
    Section section;
    section.name = line_->word("the section's name");
    if (line_->accept("repeat")) section.repeat = line_->integer("how often it repeats");
    const std::size_t indent = line_->indent();
    finish();
    tensors_.clear();
    ops_.clear();
    block(indent, [&](const std::string& keyword) {
      if (keyword == "tensor") {
        tensor(section);
      } else if (keyword == "op") {
        op(section);
      } else if (keyword == "kernel") {
        kernel(section);
      } else {
        line_->fail("not a line of a section", did_you_mean(keyword, {"tensor", "op", "kernel"}));
      }
    });
    trace_.sections.push_back(std::move(section));
  }

  Format format() {
    const std::string word = line_->word("a number format");
    for (const Format f : all_formats()) {
      if (name(f) == word) return f;
    }
    std::vector<std::string> known;
    for (const Format f : all_formats()) known.emplace_back(name(f));
    line_->fail(fmt::format("unknown number format '{}'", word), did_you_mean(word, known));
  }

  void tensor(Section& section) {
    count_object();
    Tensor tensor;
    tensor.name = line_->word("the tensor's name");
    const std::string kind = line_->word("its kind");
    const auto known = parse_tensor_kind(kind);
    if (!known) {
      line_->fail(fmt::format("unknown kind of tensor '{}'", kind),
                  did_you_mean(kind, tensor_kind_names()));
    }
    tensor.kind = *known;
    tensor.format = format();
    tensor.rows = line_->integer("its rows");
    line_->expect_times();
    tensor.cols = line_->integer("its columns");
    while (!line_->at_end()) {
      if (line_->accept("at")) {
        tensor.address = line_->integer("its address in bytes");
      } else if (line_->accept("warm")) {
        tensor.warm = true;
      } else {
        line_->fail_expected("'at ADDRESS' or 'warm'");
      }
    }
    finish();
    tensors_.add(tensor.name);
    section.tensors.push_back(std::move(tensor));
  }

  void op(Section& section) {
    count_object();
    OpRecord op;
    op.name = line_->word("the operation's name");
    op.kind = line_->word("its kind");
    op.precision = line_->word("its precision");
    while (!line_->at_end()) {
      if (line_->accept("operands")) {
        op.format = format();
      } else if (line_->accept("tensor_flops")) {
        op.tensor_flops = Flops(line_->integer("a number of FLOPs"));
      } else if (line_->accept("vector_flops")) {
        op.vector_flops = Flops(line_->integer("a number of FLOPs"));
      } else if (line_->accept("reads")) {
        op.compulsory_read = Bytes(line_->integer("a number of bytes"));
      } else if (line_->accept("writes")) {
        op.compulsory_write = Bytes(line_->integer("a number of bytes"));
      } else {
        line_->fail_expected("'operands', 'tensor_flops', 'vector_flops', 'reads' or 'writes'");
      }
    }
    finish();
    ops_.add(op.name);
    section.ops.push_back(std::move(op));
  }

  void kernel(Section& section) {
    count_object();
    Kernel kernel;
    kernel.name = line_->word("the kernel's name");
    while (!line_->at_end()) {
      if (line_->accept("op")) {
        kernel.op = ops_.read(*line_, "op", std::numeric_limits<std::int64_t>::max());
      } else if (line_->accept("grid")) {
        kernel.grid = line_->integer("a number of blocks");
      } else if (line_->accept("cluster")) {
        kernel.cluster = line_->integer("a number of blocks");
      } else if (line_->accept("scratchpad")) {
        kernel.scratchpad_bytes = line_->integer("a number of bytes");
      } else if (line_->accept("flags")) {
        kernel.flags = line_->integer("a number of flags");
      } else if (line_->accept("early_launch")) {
        kernel.early_launch = true;
      } else {
        line_->fail_expected("'op', 'grid', 'cluster', 'scratchpad', 'flags' or 'early_launch'");
      }
    }
    const std::size_t indent = line_->indent();
    finish();
    barriers_.clear();
    block(indent, [&](const std::string& keyword) {
      if (keyword == "barrier") {
        barrier(kernel);
      } else if (keyword == "role") {
        role(kernel);
      } else {
        line_->fail("not a line of a kernel", did_you_mean(keyword, {"barrier", "role"}));
      }
    });
    section.kernels.push_back(std::move(kernel));
  }

  void barrier(Kernel& kernel) {
    count_object();
    Barrier barrier;
    barrier.name = line_->word("the barrier's name");
    while (!line_->at_end()) {
      if (line_->accept("slots")) {
        barrier.slots = line_->integer("a number of slots");
      } else if (line_->accept("arrivals")) {
        barrier.arrivals = line_->integer("a number of arrivals");
      } else if (line_->accept("initially_complete")) {
        barrier.initially_complete = true;
      } else {
        line_->fail_expected("'slots', 'arrivals' or 'initially_complete'");
      }
    }
    finish();
    barriers_.add(barrier.name);
    kernel.barriers.push_back(std::move(barrier));
  }

  void role(Kernel& kernel) {
    count_object();
    Role role;
    role.name = line_->word("the role's name");
    while (!line_->at_end()) {
      if (line_->accept("copies")) {
        role.copies = line_->integer("a number of contexts");
      } else if (line_->accept("warps")) {
        role.warps = line_->integer("a number of warps");
      } else if (line_->accept("registers")) {
        role.registers = line_->integer("a number of registers");
      } else {
        line_->fail_expected("'copies', 'warps' or 'registers'");
      }
    }
    const std::size_t indent = line_->indent();
    finish();
    role_ = &role;
    if (line_ && line_->indent() > indent) {
      Line before = *line_;
      if (line_->read_keyword() == "variables") {
        variables();
        if (line_ && line_->indent() > indent && line_->indent() != before.indent()) {
          unexpected_indent();
        }
      } else {
        *line_ = std::move(before);
      }
    }
    body(indent, 0);
    kernel.roles.push_back(std::move(role));
  }

  void variables() {
    role_->variables.clear();
    while (!line_->at_end()) {
      if (role_->variables.size() == max_variables) too_many_variables();
      count_object();
      role_->variables.push_back(line_->variable_word("the name of a variable"));
    }
    finish();
  }

  [[noreturn]] void too_many_variables() {
    line_->fail(
        "too many variables",
        fmt::format("a role has at most {}, 'cluster', 'rank' and 'copy' included", max_variables));
  }

  // --- instructions ---

  void body(std::size_t indent, std::size_t depth) {
    block(indent, [&](const std::string& keyword) {
      if (keyword == "for") {
        loop(depth);
      } else {
        emit(instruction(keyword));
        finish();
      }
    });
  }

  void emit(Instruction instruction) {
    if (++instructions_ > max_trace_instructions) {
      line_->fail("too many instructions",
                  fmt::format("a trace has at most {}", max_trace_instructions));
    }
    role_->code.push_back(std::move(instruction));
  }

  void loop(std::size_t depth) {
    if (depth == max_loop_nesting) {
      line_->fail(fmt::format("loops nested more than {} deep", max_loop_nesting),
                  "let the frontend flatten them");
    }
    Loop loop;
    // The bounds are read before the variable is defined, in whose scope they do not stand.
    const VariableName variable = variable_name();
    line_->expect("in");
    loop.begin = expression();
    line_->expect_symbol("..");
    loop.end = expression();
    if (line_->accept("step")) loop.step = expression();
    loop.var = define(variable);
    const std::size_t indent = line_->indent();
    emit(loop);
    // The body is empty if the next line is not indented deeper.
    if (++instructions_ > max_trace_instructions) {
      line_->fail("too many instructions",
                  fmt::format("a trace has at most {}", max_trace_instructions));
    }
    finish();
    body(indent, depth + 1);
    role_->code.emplace_back(End{});
  }

  Instruction instruction(const std::string& keyword) {
    constexpr std::int64_t most = std::numeric_limits<std::uint16_t>::max();
    const auto barrier_index = [&] {
      return static_cast<std::uint16_t>(barriers_.read(*line_, "barrier", most));
    };
    const auto tensor_index = [&] {
      return static_cast<std::uint16_t>(tensors_.read(*line_, "tensor", most));
    };
    if (keyword == "let") return let();
    if (keyword == "raster") return raster();
    if (keyword == "wait") return Wait{barrier_index()};
    if (keyword == "arrive") {
      Arrive arrive{barrier_index(), false};
      arrive.cluster = line_->accept("cluster");
      return arrive;
    }
    if (keyword == "expect") {
      Expect expect;
      expect.barrier = barrier_index();
      expect.bytes = line_->integer("a number of bytes");
      return expect;
    }
    if (keyword == "load") {
      Load load;
      load.tensor = tensor_index();
      box(load.row, load.col, load.rows, load.cols);
      while (!line_->at_end()) {
        if (line_->accept("multicast")) {
          load.multicast = true;
        } else if (line_->accept("gather")) {
          load.gather = true;
        } else {
          line_->fail_expected("'multicast' or 'gather'");
        }
      }
      return load;
    }
    if (keyword == "store") {
      Store store;
      store.tensor = tensor_index();
      box(store.row, store.col, store.rows, store.cols);
      store.reduce = line_->accept("reduce");
      return store;
    }
    if (keyword == "store_wait") return StoreWait{line_->integer("how many may be pending")};
    if (keyword == "mma") {
      Mma mma;
      mma.m = line_->integer("m");
      line_->expect_times();
      mma.n = line_->integer("n");
      line_->expect_times();
      mma.k = line_->integer("k");
      mma.format = format();
      if (line_->accept("registers")) mma.a = OperandSource::registers;
      return mma;
    }
    if (keyword == "mma_wait") return MmaWait{line_->integer("how many may be pending")};
    if (keyword == "vector") {
      const std::string function = line_->word("a vector function");
      const auto known = parse_vector_function(function);
      if (!known) {
        line_->fail(fmt::format("unknown vector function '{}'", function),
                    did_you_mean(function, vector_function_names()));
      }
      return Vector{*known, line_->integer("a number of elements")};
    }
    if (keyword == "setup") return Setup{line_->integer("a number of cycles")};
    if (keyword == "signal") return Signal{expression()};
    if (keyword == "await") {
      AwaitSignal await;
      await.index = expression();
      line_->expect_symbol(">=");
      await.count = expression();
      return await;
    }
    if (keyword == "collective") {
      Collective collective;
      const std::string kind = line_->word("a kind of collective");
      const auto known = parse_collective_kind(kind);
      if (!known) {
        line_->fail(fmt::format("unknown collective '{}'", kind),
                    did_you_mean(kind, collective_kind_names()));
      }
      collective.kind = *known;
      line_->expect("ranks");
      collective.ranks = line_->integer("a number of chips");
      line_->expect("bytes");
      collective.bytes = line_->integer("a number of bytes");
      return collective;
    }
    if (keyword == "variables") {
      line_->fail("names of variables after the first instruction",
                  "they stand first in their role, once");
    }
    line_->fail("not an instruction",
                did_you_mean(keyword, {"for", "let", "raster", "wait", "arrive", "expect", "load",
                                       "store", "store_wait", "mma", "mma_wait", "vector", "setup",
                                       "signal", "await", "collective"}));
  }

  Instruction let() {
    Let let;
    const VariableName variable = variable_name();
    line_->expect_symbol("=");
    const Line before = *line_;
    for (const LetOp op : {LetOp::set, LetOp::div, LetOp::mod, LetOp::min, LetOp::max}) {
      if (!line_->accept(name(op))) continue;
      if (!line_->accept_symbol("(")) {  // a variable of that name
        *line_ = before;
        break;
      }
      let.op = op;
      let.a = expression();
      line_->expect_symbol(",");
      let.b = expression();
      line_->expect_symbol(")");
      let.var = define(variable);
      return let;
    }
    let.a = expression();
    let.var = define(variable);
    return let;
  }

  Instruction raster() {
    Raster raster;
    const VariableName row = variable_name();
    const VariableName col = variable_name();
    line_->expect_symbol("=");
    raster.index = expression();
    line_->expect("in");
    raster.rows = expression();
    line_->expect_times();
    raster.cols = expression();
    if (line_->accept("group")) raster.group = line_->integer("rows of a group");
    raster.row = define(row);
    raster.col = define(col);
    return raster;
  }

  void box(Expr& row, Expr& col, std::int64_t& rows, std::int64_t& cols) {
    line_->expect_symbol("[");
    row = expression();
    line_->expect_symbol(",");
    col = expression();
    line_->expect_symbol("]");
    rows = line_->integer("rows of the box");
    line_->expect_times();
    cols = line_->integer("columns of the box");
  }

  // --- expressions ---

  struct VariableName {
    std::optional<std::int64_t> index;
    std::string name;
  };

  VariableName variable_name() {
    VariableName variable;
    variable.index = line_->accept_index(std::numeric_limits<VarId>::max());
    if (variable.index && *variable.index < 0) line_->fail("a negative index", "@0 is the first");
    if (!variable.index) variable.name = line_->variable_word("the name of a variable");
    return variable;
  }

  std::optional<VarId> find(const std::string& variable) {
    const auto& names = role_->variables;
    const auto found = std::find(names.begin(), names.end(), variable);
    if (found == names.end()) return std::nullopt;
    if (std::find(found + 1, names.end(), variable) != names.end()) {
      line_->fail(fmt::format("several variables are called '{}'", variable),
                  "rename them, or write @ and the index");
    }
    return static_cast<VarId>(found - names.begin());
  }

  VarId define(const VariableName& variable) {
    if (variable.index) return static_cast<VarId>(*variable.index);
    if (const auto known = find(variable.name)) return *known;
    if (role_->variables.size() >= max_variables) too_many_variables();
    count_object();
    role_->variables.push_back(variable.name);
    return static_cast<VarId>(role_->variables.size() - 1);
  }

  VarId use() {
    const VariableName variable = variable_name();
    if (variable.index) return static_cast<VarId>(*variable.index);
    const auto known = find(variable.name);
    if (!known) {
      line_->fail(fmt::format("variable '{}' is not defined", variable.name),
                  did_you_mean(variable.name, role_->variables));
    }
    return *known;
  }

  /// Products of numbers and at most one variable, added and subtracted.
  Expr expression() {
    Expr e;
    bool negative = line_->accept_symbol("-");
    for (;;) {
      product(e, negative);
      if (line_->accept_symbol("+")) {
        negative = false;
      } else if (line_->accept_symbol("-")) {
        negative = true;
      } else {
        return e;
      }
    }
  }

  void product(Expr& e, bool negative) {
    std::uint64_t factor = 1;
    std::optional<VarId> variable;
    do {
      if (line_->accept_symbol("-")) negative = !negative;
      if (line_->at_variable()) {
        if (variable) {
          line_->fail("a product of two variables",
                      "expressions are sums of variables times constants");
        }
        variable = use();
      } else {
        if (!line_->at_digit()) line_->fail_expected("a number or a variable");
        const std::uint64_t value = line_->magnitude("a number");
        if (__builtin_mul_overflow(factor, value, &factor)) line_->fail_overflow();
      }
    } while (line_->accept_symbol("*"));
    const std::int64_t value = line_->signed_value(factor, negative);
    if (variable) {
      if (e.terms.size() == max_expression_terms) {
        line_->fail("too many terms in an expression",
                    fmt::format("at most {}", max_expression_terms));
      }
      e.terms.push_back({*variable, value});
    } else if (__builtin_add_overflow(e.constant, value, &e.constant)) {
      line_->fail_overflow();
    }
  }

  std::string_view text_;
  std::string file_;
  std::size_t next_ = 0;
  int number_ = 0;
  std::optional<Line> line_;
  std::size_t objects_ = 0, instructions_ = 0;
  Names tensors_, ops_, barriers_;
  Role* role_ = nullptr;
  Trace trace_;
};

}  // namespace

Trace parse_text(std::string_view text, const std::string& file) {
  return Parser(text, file).parse();
}

}  // namespace tessera

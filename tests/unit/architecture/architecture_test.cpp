#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

// The tree keeps its own rules (docs/architecture.md): which folder may include which, where
// SystemC and printing belong, what a file may be called. These tests read the sources as text.

namespace fs = std::filesystem;

namespace {

/// What each folder of sim/ may include beside itself. cli/ may include every folder.
const std::map<std::string, std::set<std::string>> allowed = {
    {"base", {}},
    {"datapath", {"base"}},
    {"config", {"base", "datapath"}},
    {"trace", {"base", "datapath"}},
    {"frontend", {"base", "datapath", "config", "trace"}},
    {"chip", {"base", "datapath", "config", "trace"}},
    {"report", {"base", "config"}},
    {"precision", {"base", "datapath", "config", "trace", "frontend", "report"}},
    {"engine", {"base", "datapath", "config", "trace", "frontend", "chip", "report"}},
    {"validation", {"base", "datapath", "config", "trace", "frontend", "report", "engine"}},
    {"regression", {"base", "config", "trace", "frontend", "report", "engine"}},
    {"sweep", {"base", "datapath", "config", "trace", "frontend", "report", "precision", "engine"}},
    {"cli",
     {"base", "datapath", "config", "trace", "frontend", "chip", "report", "precision", "engine",
      "validation", "regression", "sweep"}},
};

const std::set<std::string> may_use_systemc = {"chip", "engine"};

const fs::path root = TESSERA_SOURCE_DIR;

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// Paths of the files below `root / top` whose extension is one of `extensions`, relative to root
/// and in order.
std::vector<fs::path> files_below(const fs::path& top, const std::set<std::string>& extensions) {
  std::vector<fs::path> files;
  if (!fs::exists(root / top)) return files;
  for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
    if (entry.is_regular_file() && extensions.count(entry.path().extension().string()) != 0) {
      files.push_back(fs::relative(entry.path(), root));
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<fs::path> sources() { return files_below("sim", {".h", ".cpp"}); }

/// "chip" of sim/chip/core.h.
std::string folder_of(const fs::path& path) { return (++path.begin())->string(); }

/// A line without its // comment and without what its string literals hold.
std::string code_of(const std::string& line) {
  static const std::regex literal(R"("(\\.|[^"\\])*")");
  const std::string code = std::regex_replace(line, literal, "\"\"");
  return code.substr(0, code.find("//"));
}

struct Include {
  fs::path file;
  int line = 0;
  std::string name;
  bool quoted = false;
};

std::string where(const Include& include) {
  return include.file.string() + ":" + std::to_string(include.line) + ": includes " + include.name;
}

std::vector<Include> includes_of(const fs::path& file, const std::string& text) {
  static const std::regex directive(R"(^\s*#\s*include\s*(["<])([^">]+)[">])");
  std::vector<Include> includes;
  int number = 0;
  for (const std::string& line : lines_of(text)) {
    ++number;
    std::smatch match;
    if (std::regex_search(line, match, directive)) {
      includes.push_back({file, number, match[2], match[1] == "\""});
    }
  }
  return includes;
}

/// Whatever is wrong with one #include; empty if nothing is.
std::string fault_of(const Include& include) {
  static const std::regex ours(R"(sim/([a-z_]+)/[a-z0-9_]+\.h)");
  static const std::regex systemc(R"((systemc|tlm|tlm_utils|tlm_core|sysc)([./].*)?)");
  const std::string folder = folder_of(include.file);
  std::smatch match;
  if (std::regex_match(include.name, systemc)) {
    return may_use_systemc.count(folder) != 0 ? "" : "SystemC is for chip/ and engine/ only";
  }
  if (!std::regex_match(include.name, match, ours)) {
    if (include.quoted) return "a file of our own is included as \"sim/<folder>/<file>.h\"";
    return include.name.rfind("sim/", 0) == 0 ? "a file of our own is included in quotes" : "";
  }
  if (!include.quoted) return "a file of our own is included in quotes";
  const std::string target = match[1];
  if (target != folder && allowed.at(folder).count(target) == 0) {
    return folder + "/ may not include " + target + "/";
  }
  return fs::exists(root / include.name) ? "" : "no such file";
}

/// The arguments after DEPENDS of each tessera_library(name ...) of sim/CMakeLists.txt.
std::map<std::string, std::set<std::string>> linked_folders(const std::string& cmake) {
  static const std::regex call(R"(\ntessera_library\(([^)]*)\))");
  std::map<std::string, std::set<std::string>> linked;
  for (std::sregex_iterator it(cmake.begin(), cmake.end(), call), end; it != end; ++it) {
    std::istringstream words((*it)[1]);
    std::string name;
    words >> name;
    std::set<std::string>& depends = linked[name];
    std::string keyword;
    for (std::string word; words >> word;) {
      if (word == "DEPENDS" || word == "LIBRARIES") {
        keyword = word;
      } else if (keyword == "DEPENDS") {
        depends.insert(word);
      }
    }
  }
  return linked;
}

}  // namespace

TEST_CASE("every folder of sim has a dependency rule, and every rule a folder") {
  std::set<std::string> folders;
  for (const auto& entry : fs::directory_iterator(root / "sim")) {
    if (entry.is_directory()) folders.insert(entry.path().filename().string());
  }
  std::set<std::string> ruled;
  for (const auto& rule : allowed) ruled.insert(rule.first);
  CHECK(folders == ruled);
}

TEST_CASE("the dependency rules have no cycle") {
  // Takes away folders that depend on nothing left; a cycle never gets there.
  auto left = allowed;
  while (!left.empty()) {
    const auto free = std::find_if(left.begin(), left.end(), [&](const auto& rule) {
      return std::none_of(rule.second.begin(), rule.second.end(),
                          [&](const std::string& folder) { return left.count(folder) != 0; });
    });
    REQUIRE(free != left.end());
    left.erase(free);
  }
}

TEST_CASE("every include goes in an allowed direction") {
  const std::vector<fs::path> files = sources();
  REQUIRE(files.size() > 10);
  std::string faults;
  for (const fs::path& file : files) {
    for (const Include& include : includes_of(file, text_of(root / file))) {
      const std::string fault = fault_of(include);
      if (!fault.empty()) faults += where(include) + ": " + fault + "\n";
    }
  }
  INFO(faults);
  CHECK(faults.empty());
}

TEST_CASE("a forbidden include is found in whatever way it is written") {
  const auto faulty = [](const std::string& folder, const std::string& line) {
    const auto includes = includes_of("sim/" + folder + "/any.cpp", "// first\n" + line + "\n");
    REQUIRE(includes.size() == 1);
    CHECK(includes[0].line == 2);
    return !fault_of(includes[0]).empty();
  };
  CHECK_FALSE(faulty("chip", "#include \"sim/base/units.h\""));
  CHECK_FALSE(faulty("chip", "#include \"sim/trace/trace.h\""));
  CHECK(faulty("base", "#include \"sim/trace/trace.h\""));
  CHECK(faulty("frontend", "#include \"sim/chip/calendar.h\""));
  CHECK(faulty("chip", "#include \"sim/frontend/layer_graph.h\""));
  CHECK(faulty("report", "  #  include \"sim/trace/trace.h\""));
  CHECK(faulty("chip", "#include <sim/base/units.h>"));
  CHECK(faulty("chip", "#include \"units.h\""));
  CHECK(faulty("chip", "#include \"../base/units.h\""));
  CHECK(faulty("base", "#include \"sim/base/no_such_file.h\""));
  CHECK(faulty("base", "#include <systemc>"));
  CHECK(faulty("cli", "#include <systemc.h>"));
  CHECK(faulty("frontend", "#include <tlm>"));
  CHECK(faulty("config", "#include <tlm_utils/simple_target_socket.h>"));
  CHECK(faulty("report", "#include <sysc/kernel/sc_time.h>"));
  CHECK_FALSE(faulty("chip", "#include <tlm_utils/simple_target_socket.h>"));
  CHECK_FALSE(faulty("engine", "#include <systemc>"));
}

TEST_CASE("each library links exactly the folders it may include") {
  auto linked = linked_folders("\n" + text_of(root / "sim/CMakeLists.txt"));
  auto libraries = allowed;
  libraries.erase("cli");  // an executable
  CHECK(linked == libraries);
}

TEST_CASE("the libraries and keywords of a CMake call are told apart") {
  const auto linked = linked_folders(
      "\ntessera_library(a LIBRARIES fmt::fmt)\n"
      "tessera_library(b DEPENDS a c\n  LIBRARIES x y)\n");
  REQUIRE(linked.size() == 2);
  CHECK(linked.at("a").empty());
  CHECK(linked.at("b") == std::set<std::string>{"a", "c"});
}

TEST_CASE("every header is guarded by pragma once") {
  for (const fs::path& file : sources()) {
    if (file.extension() != ".h") continue;
    const auto lines = lines_of(text_of(root / file));
    INFO(file.string());
    CHECK(std::count(lines.begin(), lines.end(), "#pragma once") == 1);
  }
}

TEST_CASE("no folder, file or type has a name that says nothing") {
  static const std::set<std::string> empty_words = {"util",   "utils",   "common",  "misc",
                                                    "helper", "helpers", "manager", "handler"};
  for (const char* top : {"sim", "tests", "configs", "models", "traces", "docs"}) {
    if (!fs::exists(root / top)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      std::string word;
      std::istringstream words(entry.path().stem().string());
      while (std::getline(words, word, '_')) {
        INFO(fs::relative(entry.path(), root).string());
        CHECK(empty_words.count(word) == 0);
      }
    }
  }
  static const std::regex type(R"(\b(class|struct|enum)\s+\w*(Manager|Handler|Helper|Util)\b)");
  for (const fs::path& file : sources()) {
    for (const std::string& line : lines_of(text_of(root / file))) {
      INFO(file.string() << ": " << line);
      CHECK_FALSE(std::regex_search(code_of(line), type));
    }
  }
}

// Two types of one name link to one program without a word, and share whatever is inline of them.
TEST_CASE("no two headers define a type of the same name in the same namespace") {
  const std::regex opens("^(?:inline )?namespace ([A-Za-z0-9_:]+) \\{");
  const std::regex defines(
      "^(?:struct|class|enum class)(?: alignas\\([^)]*\\))? ([A-Za-z0-9_]+)[^;]*\\{");
  std::map<std::string, std::string> defined;
  for (const fs::path& path : files_below("sim", {".h"})) {
    std::string in;
    for (const std::string& line : lines_of(text_of(root / path))) {
      std::smatch found;
      if (std::regex_search(line, found, opens)) in = found[1];
      if (!std::regex_search(line, found, defines)) continue;
      const auto [other, fresh] = defined.emplace(in + "::" + found[1].str(), path.string());
      INFO(other->first << " in " << other->second << " and " << path.string());
      CHECK(fresh);
    }
  }
  CHECK(defined.count("tessera::CostEstimate") == 1);
}

TEST_CASE("only cli prints or chooses an exit code") {
  // snprintf and _exit (of a forked child) are not among them: a word begins before the name.
  static const std::regex output(
      R"(\bstd::(cout|cerr|clog)\b|\b(printf|fprintf|puts|putchar|perror)\s*\(|\bfmt::print\b|)"
      R"((^|[^.>\w])(std::)?(exit|quick_exit|abort)\s*\()");
  for (const fs::path& file : sources()) {
    if (folder_of(file) == "cli") continue;
    for (const std::string& line : lines_of(text_of(root / file))) {
      INFO(file.string() << ": " << line);
      CHECK_FALSE(std::regex_search(code_of(line), output));
    }
  }
}

TEST_CASE("no file names a place of somebody's machine") {
  // The first folder of a path that nobody else has; not a folder of that name further in.
  static const std::regex place(R"((^|[^\w./\-])/(home|root|work|Users|mnt)/\w)");
  REQUIRE(
      std::regex_search("see /ho"
                        "me/somebody",
                        place));
  REQUIRE_FALSE(std::regex_search("see docs/work/x and https://a.b/home/x", place));
  std::vector<fs::path> files;
  for (const char* top : {"sim", "tests", "configs", "models", "traces", "docs", "cmake", ".ci"}) {
    const auto below = files_below(
        top, {".h", ".cpp", ".md", ".txt", ".cmake", ".sh", ".yaml", ".json", ".trace", ".in", ""});
    files.insert(files.end(), below.begin(), below.end());
  }
  for (const char* file : {"CMakeLists.txt", "README.md", "CONTRIBUTING.md", "tessera"}) {
    files.emplace_back(file);
  }
  for (const fs::path& file : files) {
    for (const std::string& line : lines_of(text_of(root / file))) {
      if (std::regex_search(line, place)) {
        FAIL_CHECK(file.string() << ": " << line);
      }
    }
  }
}

TEST_CASE("no test has a name that CTest splits or that Catch2 takes for a pattern") {
  static const std::regex name(R"re(\bTEST_CASE\s*\(\s*"(([^"\\]|\\.)*)")re");
  for (const fs::path& file : files_below("tests", {".cpp"})) {
    const std::string text = text_of(root / file);
    for (std::sregex_iterator it(text.begin(), text.end(), name), end; it != end; ++it) {
      const std::string title = (*it)[1];
      INFO(file.string() << ": " << title);
      CHECK(title.find_first_of(";[]*\\") == std::string::npos);
    }
  }
}

TEST_CASE("every link of a document leads to a file") {
  static const std::regex link(R"(\]\(([^)#\s]+)[^)]*\))");
  std::vector<fs::path> documents = files_below("docs", {".md"});
  for (const char* file : {"README.md", "CONTRIBUTING.md", "CHANGELOG.md"}) {
    documents.emplace_back(file);
  }
  REQUIRE(documents.size() > 4);
  for (const fs::path& document : documents) {
    const std::string text = text_of(root / document);
    for (std::sregex_iterator it(text.begin(), text.end(), link), end; it != end; ++it) {
      const std::string target = (*it)[1];
      if (target.find("://") != std::string::npos) continue;
      INFO(document.string() << " links to " << target);
      CHECK(fs::exists((root / document).parent_path() / target));
    }
  }
}

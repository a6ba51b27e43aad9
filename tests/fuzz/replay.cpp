#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "tests/fuzz/target.h"

// Feeds every file of a corpus to the target, without libFuzzer: REPLAY FOLDER. Prints each name
// before it is fed, so that the last one is the culprit where the process ends.
int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  if (argc != 2) {
    std::fprintf(stderr, "give a folder of inputs\n");
    return 2;
  }
  // Of the processor's time, for all of them: a hang ends here.
  constexpr rlimit seconds{60, 60};
  setrlimit(RLIMIT_CPU, &seconds);
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(argv[1])) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    std::printf("%s\n", file.filename().c_str());
    std::fflush(stdout);
    std::ostringstream content;
    content << std::ifstream(file, std::ios::binary).rdbuf();
    try {
      tessera::test::feed_and_judge(content.str());
    } catch (const std::exception& error) {
      std::fprintf(stderr, "another exception than InputError: %s\n", error.what());
      return 1;
    }
  }
  if (files.empty()) std::fprintf(stderr, "%s holds no inputs\n", argv[1]);
  return files.empty() ? 1 : 0;
}

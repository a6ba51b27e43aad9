#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#include <cstdlib>

// Every test executable's entry. SystemC's banner is silenced before anything elaborates; its
// library wants an sc_main symbol even where no test starts a simulation.
int main(int argc, char** argv) {
  setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", 1);
  return Catch::Session().run(argc, argv);
}

extern "C" int sc_main(int, char**) { return 0; }

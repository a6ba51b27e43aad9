#include "tests/hardware/nvml.h"

#include <dlfcn.h>

namespace hardware {
namespace {

/// nvmlFieldValue_t of nvml.h.
struct FieldValue {
  unsigned field, scope;
  long long timestamp, latency_us;
  int type, status;
  union {
    double real;
    unsigned whole;
    unsigned long long wide;
  } value;
};
constexpr unsigned power_instant = 186;  // NVML_FI_DEV_POWER_INSTANT, mW

}  // namespace

struct Nvml::Library {
  void* file = nullptr;
  void* device = nullptr;

  template <class Function>
  Function* find(const char* name) const {
    return file == nullptr ? nullptr : reinterpret_cast<Function*>(dlsym(file, name));
  }
  double unsigned_reading(const char* name) const {
    unsigned value = 0;
    auto* const read = find<int(void*, unsigned*)>(name);
    return device != nullptr && read != nullptr && read(device, &value) == 0 ? value : -1.0;
  }
  double typed_reading(const char* name, int type) const {
    unsigned value = 0;
    auto* const read = find<int(void*, int, unsigned*)>(name);
    return device != nullptr && read != nullptr && read(device, type, &value) == 0 ? value : -1.0;
  }
};

Nvml::Nvml(const std::string& pci_bus_id) : library_(std::make_unique<Library>()) {
  library_->file = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  auto* const init = library_->find<int()>("nvmlInit_v2");
  auto* const get = library_->find<int(const char*, void**)>("nvmlDeviceGetHandleByPciBusId_v2");
  if (init == nullptr || get == nullptr || init() != 0) return;
  if (get(pci_bus_id.c_str(), &library_->device) != 0) library_->device = nullptr;
}

Nvml::~Nvml() {
  if (library_->file != nullptr) dlclose(library_->file);
}

bool Nvml::is_there() const { return library_->device != nullptr; }

double Nvml::power_w() const {
  FieldValue power{};
  power.field = power_instant;
  auto* const read = library_->find<int(void*, int, FieldValue*)>("nvmlDeviceGetFieldValues");
  if (is_there() && read != nullptr && read(library_->device, 1, &power) == 0 && power.status == 0)
    return power.value.whole * 1e-3;
  const double mw = library_->unsigned_reading("nvmlDeviceGetPowerUsage");
  return mw < 0 ? mw : mw * 1e-3;
}

double Nvml::power_limit_w() const {
  const double mw = library_->unsigned_reading("nvmlDeviceGetPowerManagementLimit");
  return mw < 0 ? mw : mw * 1e-3;
}

double Nvml::energy_j() const {
  unsigned long long mj = 0;
  auto* const read =
      library_->find<int(void*, unsigned long long*)>("nvmlDeviceGetTotalEnergyConsumption");
  if (!is_there() || read == nullptr || read(library_->device, &mj) != 0) return -1;
  return static_cast<double>(mj) * 1e-3;
}

double Nvml::core_clock_mhz() const { return library_->typed_reading("nvmlDeviceGetClockInfo", 1); }
double Nvml::memory_clock_mhz() const {
  return library_->typed_reading("nvmlDeviceGetClockInfo", 2);
}
double Nvml::temperature_c() const {
  return library_->typed_reading("nvmlDeviceGetTemperature", 0);
}

std::string Nvml::driver() const {
  char text[128] = "";
  auto* const read = library_->find<int(char*, unsigned)>("nvmlSystemGetDriverVersion");
  return read != nullptr && read(text, sizeof text) == 0 ? text : "unknown";
}

}  // namespace hardware

#pragma once

#include <memory>
#include <string>

namespace hardware {

/// The driver's management library, loaded when the program runs: no header or library is needed
/// to build it. Every reading is -1 where there is none.
class Nvml {
 public:
  /// Of the GPU at a PCI address, "00000000:3B:00.0".
  explicit Nvml(const std::string& pci_bus_id);
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  bool is_there() const;
  /// Of the last tens of milliseconds where the driver gives it, else of the last second.
  double power_w() const;
  double power_limit_w() const;
  double energy_j() const;  ///< since the driver was loaded
  double core_clock_mhz() const;
  double memory_clock_mhz() const;
  double temperature_c() const;
  std::string driver() const;

 private:
  struct Library;
  std::unique_ptr<Library> library_;
};

}  // namespace hardware

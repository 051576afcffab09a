// What the NVIDIA driver says of itself and of its GPUs, asked through libcuda.so.1 without any
// library of CUDA. Meant for a process of its own: a broken driver may end it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace struprune {

// What was found wrong, and what would mend it; one line each.
struct Reason {
  std::string found, mend;
};

struct GpuReport {
  int index = 0;
  std::string name;
  int major = 0, minor = 0;  // compute capability
  uint64_t total_bytes = 0;
  std::optional<uint64_t> free_bytes;  // empty where no context was made
  std::optional<Reason> unusable;
};

struct DriverReport {
  int version = 0;  // CUDA version that the driver knows, 13000 for 13.0; 0 = no driver
  std::optional<Reason> unusable;  // of the driver as a whole
  std::vector<GpuReport> gpus;
};

// The oldest GPU that the library has code for.
inline constexpr int kMajorNeeded = 8;
// CUDA's version in the library that npm run build:cuda makes by itself.
inline constexpr int kUsualRuntime = 13000;
// Below this nothing useful fits beside a context.
inline constexpr uint64_t kFreeNeeded = uint64_t{512} << 20;

// Whether a library with that CUDA version in it (cuda/abi.h) could run. Never throws for what it
// finds. Makes a context on every GPU that is new enough, to learn how much memory is free.
DriverReport ProbeDriver(int runtime);

}  // namespace struprune

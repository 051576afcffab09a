// CUDA calls and kernel launches, each checked: a failure is a struprune::Error.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <string>

#include "core/error.h"

namespace struprune::cuda {

[[noreturn]] inline void ThrowCuda(cudaError_t status, const char* what) {
  const std::string text = std::string(what) + ": " + cudaGetErrorString(status);
  if (status == cudaErrorMemoryAllocation) {
    throw Error("ERR_BUDGET", "the GPU gave no more memory (" + text + ")",
                "free the GPU's memory, or lower --device-memory");
  }
  if (status == cudaErrorNoKernelImageForDevice || status == cudaErrorUnsupportedPtxVersion ||
      status == cudaErrorInvalidDeviceFunction) {
    throw Error("ERR_DEVICE", "the CUDA library has no code for this GPU (" + text + ")",
                "build it on this machine with npm run build:cuda, or use --device cpu");
  }
  if (status == cudaErrorInsufficientDriver) {
    throw Error("ERR_DEVICE", "the NVIDIA driver is too old (" + text + ")",
                "install a newer driver, or use --device cpu");
  }
  if (status == cudaErrorDevicesUnavailable) {
    throw Error("ERR_DEVICE", "the GPU is in other hands (" + text + ")",
                "end what else runs on it (nvidia-smi lists it), or use --device cpu");
  }
  // What a kernel or the memory did wrong ends the GPU's context, which lives as long as the
  // process.
  const bool process_over = cudaDeviceSynchronize() != cudaSuccess;
  throw Error("ERR_DEVICE", "the GPU failed (" + text + ")",
              std::string(process_over ? "start the process again" : "run again") +
                  "; if it fails again, use --device cpu and report the command");
}

inline void Check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) {
    cudaGetLastError();  // an error that is not sticky must not be found by the next launch
    ThrowCuda(status, what);
  }
}

inline int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline constexpr int kThreads = 256;

// Blocks of a grid-stride loop over `count`.
inline unsigned GridFor(int64_t count, int64_t per_block = kThreads) {
  const int64_t blocks = CeilDiv(count, per_block);
  return static_cast<unsigned>(blocks < 65535 ? (blocks > 0 ? blocks : 1) : 65535);
}

// Grid dimensions y and z end at 65535.
inline unsigned GridAxis(int64_t blocks, const char* what) {
  if (blocks < 1 || blocks > 65535) {
    throw Error("ERR_UNSUPPORTED", std::string(what) + " is too large for one launch on the GPU",
                "use --device cpu");
  }
  return static_cast<unsigned>(blocks);
}

template <typename... Params, typename... Args>
void Launch(const char* name, void (*kernel)(Params...), dim3 grid, dim3 block, cudaStream_t stream,
            Args... args) {
#ifdef __CUDACC__
  kernel<<<grid, block, 0, stream>>>(static_cast<Params>(args)...);
#else
  emulation::Enqueue(kernel, grid, block, stream, static_cast<Params>(args)...);
#endif
  Check(cudaGetLastError(), name);
}

}  // namespace struprune::cuda

// CUDA's runtime and device language on the host, as much of them as native/cuda uses: its sources
// compile with a plain C++ compiler against this header, and every kernel runs in the tests of a
// machine without a GPU. Only for tests; nothing that ships includes it.
//
// It is built to be unkind. The threads of a block are fibers that switch at barriers and shuffles,
// in an order that changes from round to round: a missing barrier shows as a wrong result.
// Streams do nothing until they are waited for: a missing event shows as data that is not there
// yet. Fresh device memory of up to 1 GiB is filled with NaNs.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#define STRUPRUNE_EMULATION
#define CUDART_VERSION 13000
#define __global__
#define __device__
#define __host__
// Blocks run one after the other.
#define __shared__ static
#define __launch_bounds__(...)

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorDevicesUnavailable = 46,
  cudaErrorInvalidDeviceFunction = 98,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorNoKernelImageForDevice = 209,
  cudaErrorUnsupportedPtxVersion = 222,
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum cudaDeviceAttr {
  cudaDevAttrMultiProcessorCount = 16,
  cudaDevAttrComputeCapabilityMajor = 75,
  cudaDevAttrComputeCapabilityMinor = 76,
};
struct cudaDeviceProp {
  char name[256];
};
struct cudaFuncAttributes {};
inline constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDefault = 0,
                          cudaEventDisableTiming = 2;

namespace emulation {
struct StreamState;
struct EventState;
// Runs `kernel` for every thread of every block; called when the stream gets to it.
void RunGrid(dim3 grid, dim3 block, const std::function<void()>& kernel);
void EnqueueWork(StreamState* stream, std::function<void()> work);
void SyncThreads();
// The value that `partner` of the calling thread's warp brings to the same call.
uint64_t Exchange(uint64_t mine, unsigned partner);

template <typename... Params, typename... Args>
void Enqueue(void (*kernel)(Params...), dim3 grid, dim3 block, StreamState* stream, Args... args) {
  EnqueueWork(stream, [=] { RunGrid(grid, block, [=] { kernel(args...); }); });
}
}  // namespace emulation

using cudaStream_t = emulation::StreamState*;
using cudaEvent_t = emulation::EventState*;

inline void __syncthreads() { emulation::SyncThreads(); }

template <typename T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = emulation::Exchange(bits, (threadIdx.x % 32) ^ static_cast<unsigned>(mask));
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

using std::isfinite;

const char* cudaGetErrorString(cudaError_t status);
cudaError_t cudaGetLastError();
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int index);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int index);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int index);
cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes);
template <typename Fn>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes*, Fn*) {
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaMalloc(void** data, size_t bytes);
cudaError_t cudaFree(void* data);
cudaError_t cudaMallocHost(void** data, size_t bytes);
cudaError_t cudaFreeHost(void* data);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_stride, const void* from, size_t from_stride,
                              size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t stream);

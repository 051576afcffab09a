// Streams, events and memory of the emulated GPU.
#include <chrono>
#include <cstdlib>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "cuda_runtime.h"

namespace emulation {

struct StreamState {
  std::deque<std::function<void()>> work;
};

struct EventState {
  StreamState* stream = nullptr;
  uint64_t recorded = 0, reached = 0;
  std::chrono::steady_clock::time_point when;
};

namespace {

// A budget beyond it is one of sizes alone: what is never written takes no memory of the host.
constexpr size_t kMostFilled = size_t{1} << 30;

cudaError_t last = cudaSuccess;
size_t used = 0;
std::map<void*, size_t> blocks;
std::set<cudaStream_t> streams;

// The environment decides how much memory the GPU seems to have.
size_t Total() {
  const char* text = std::getenv("STRUPRUNE_EMULATED_MEMORY");
  return text ? std::strtoull(text, nullptr, 10) : size_t{1} << 30;
}

cudaError_t Say(cudaError_t status) {
  if (status != cudaSuccess) last = status;
  return status;
}

void RunOne(StreamState& stream) {
  const auto work = std::move(stream.work.front());
  stream.work.pop_front();
  work();
}

void Reach(EventState& event, uint64_t ticket) {
  while (event.reached < ticket && !event.stream->work.empty()) RunOne(*event.stream);
}

}  // namespace

void EnqueueWork(StreamState* stream, std::function<void()> work) {
  stream->work.push_back(std::move(work));
}

}  // namespace emulation

using namespace emulation;

const char* cudaGetErrorString(cudaError_t status) {
  switch (status) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    default:
      return "emulated failure";
  }
}

cudaError_t cudaGetLastError() { return std::exchange(last, cudaSuccess); }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int index) {
  return Say(index == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::strcpy(properties->name, "emulated GPU");
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrComputeCapabilityMajor ? 8 : 0;
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  *total_bytes = Total();
  *free_bytes = Total() - used;
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  for (const cudaStream_t stream : streams) cudaStreamSynchronize(stream);
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** data, size_t bytes) {
  if (bytes > Total() - used) return Say(cudaErrorMemoryAllocation);
  *data = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (bytes <= kMostFilled) std::memset(*data, 0xff, bytes);
  used += bytes;
  blocks[*data] = bytes;
  return cudaSuccess;
}

cudaError_t cudaFree(void* data) {
  if (!data) return cudaSuccess;
  const auto found = blocks.find(data);
  if (found == blocks.end()) return Say(cudaErrorInvalidValue);
  used -= found->second;
  blocks.erase(found);
  std::free(data);
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** data, size_t bytes) {
  *data = std::malloc(bytes);
  std::memset(*data, 0xff, bytes);
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* data) {
  std::free(data);
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new StreamState;
  streams.insert(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  cudaStreamSynchronize(stream);
  streams.erase(stream);
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  while (!stream->work.empty()) RunOne(*stream);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new EventState;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->stream = stream;
  const uint64_t ticket = ++event->recorded;
  EnqueueWork(stream, [event, ticket] {
    event->reached = ticket;
    event->when = std::chrono::steady_clock::now();
  });
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  EnqueueWork(stream, [event, ticket = event->recorded] { Reach(*event, ticket); });
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->stream) Reach(*event, event->recorded);
  return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  *milliseconds = std::chrono::duration<float, std::milli>(to->when - from->when).count();
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                            cudaStream_t stream) {
  EnqueueWork(stream, [=] { std::memcpy(to, from, bytes); });
  return cudaSuccess;
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_stride, const void* from, size_t from_stride,
                              size_t width, size_t height, cudaMemcpyKind, cudaStream_t stream) {
  EnqueueWork(stream, [=] {
    for (size_t i = 0; i < height; ++i) {
      std::memcpy(static_cast<char*>(to) + i * to_stride,
                  static_cast<const char*>(from) + i * from_stride, width);
    }
  });
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t stream) {
  EnqueueWork(stream, [=] { std::memset(data, value, bytes); });
  return cudaSuccess;
}

// The table of abi.h. Every entry goes through one guard: an exception becomes a Failure.
#include <cstring>
#include <new>

#include "cuda/linear_map.h"
#include "cuda/open_device.h"
#include "cuda/scores.h"

namespace struprune::cuda {
namespace {

void Write(char* to, size_t size, const std::string& text) {
  std::strncpy(to, text.c_str(), size - 1);
  to[size - 1] = '\0';
}

void Report(Failure* failure, const Error& error) {
  Write(failure->code, sizeof(failure->code), error.code());
  Write(failure->message, sizeof(failure->message), error.what());
  Write(failure->mend, sizeof(failure->mend), error.mend());
}

template <typename Fn>
int Guarded(Failure* failure, Fn&& fn) noexcept {
  try {
    fn();
    return 0;
  } catch (const Error& error) {
    Report(failure, error);
  } catch (const std::bad_alloc&) {
    Report(failure, Error("ERR_BUDGET", "the system gave no more memory", "free memory"));
  } catch (const std::exception& error) {
    Report(failure, Error("ERR_INTERNAL", error.what()));
  }
  return 1;
}

// An operation as an entry: the current device is a thread's own, and callers change threads. It
// stays current: to go back to one that was never used would make a context there.
// `closing`: it gives something back, whatever the GPU's state, which may have failed before.
template <auto operation, bool closing = false, typename Type = decltype(operation)>
struct Entry;
template <auto operation, bool closing, typename... Args>
struct Entry<operation, closing, void (*)(Device&, Args...)> {
  static int Call(Device* device, Failure* failure, Args... args) noexcept {
    return Guarded(failure, [&] {
      const cudaError_t current = cudaSetDevice(device->index);
      if constexpr (!closing) Check(current, "a context");
      operation(*device, args...);
    });
  }
};

int CheckEntry(int32_t index, DeviceInfo* info, Failure* failure) noexcept {
  return Guarded(failure, [&] { *info = CheckDevice(index); });
}

int OpenEntry(const OpenOptions* options, Device** device, Failure* failure) noexcept {
  return Guarded(failure, [&] { *device = OpenDevice(*options).release(); });
}

void CloseEntry(Device* device) noexcept {
  if (!device) return;
  cudaSetDevice(device->index);
  std::unique_ptr<Device> gone(device);
}

void Memory(Device& device, MemoryReport* report) {
  const FreeList& list = device.slab.list();
  *report = {list.used(), list.peak(), list.limit()};
}

void PinnedWaiting(Device& device, int32_t trim, uint64_t* waiting) {
  if (trim) device.pinned.Trim();
  *waiting = device.pinned.waiting();
}

void TakePinned(Device& device, int64_t bytes, void** data) {
  *data = device.pinned.Take(static_cast<size_t>(bytes));
}

void GivePinned(Device& device, void* data, int64_t bytes) {
  device.pinned.Give(data, static_cast<size_t>(bytes));
}

void Describe(Device& device, char* text, int64_t size, int32_t* blas) {
  std::string all = device.info.name;
  all += device.blas ? ", " + device.blas->Describe() : ", built-in products";
  if (!device.blas_fault.empty()) all += " (" + device.blas_fault + ")";
  // What a run's bytes depend on, where it is used.
  if (device.fast_doubles()) {
    all += ", " + device.FindSolver()->Describe();
  } else if (device.has_double_units() && device.blas) {
    all += ", no cuSOLVER";
    if (!device.solver_fault.empty()) all += " (" + device.solver_fault + ")";
  }
  Write(text, static_cast<size_t>(size), all);
  *blas = device.blas != nullptr;
}

void FastDoubles(Device& device, int32_t* fast) { *fast = device.fast_doubles(); }

void Allocate(Device& device, int64_t bytes, void** data) {
  *data = device.slab.Take(static_cast<size_t>(bytes));
}

// Copies of other streams may still touch the memory: whoever sets them off waits for them.
void Release(Device& device, void* data) { device.slab.Give(data); }

void Synchronise(Device& device, Queue stream) {
  Check(cudaStreamSynchronize(device.stream(stream)), "what a stream was given");
}

void EventOpen(Device&, Event** event) { *event = std::make_unique<Event>().release(); }

void EventRecord(Device& device, Event* event, Queue stream) {
  Check(cudaEventRecord(*event, device.stream(stream)), "an event");
}

void EventWait(Device& device, Event* event, Queue stream) {
  Check(cudaStreamWaitEvent(device.stream(stream), *event, 0), "an event");
}

void EventReach(Device&, Event* event) {
  Check(cudaEventSynchronize(*event), "what a stream was given");
}

void EventSeconds(Device&, Event* from, Event* to, double* seconds) {
  float milliseconds = 0;
  Check(cudaEventElapsedTime(&milliseconds, *from, *to), "a clock");
  *seconds = 1e-3 * static_cast<double>(milliseconds);
}

void EventClose(Device&, Event* event) { std::unique_ptr<Event> gone(event); }

void CopyIn(Device& device, Queue stream, void* to, const void* from, int64_t bytes) {
  Check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyHostToDevice,
                        device.stream(stream)),
        "a copy to the GPU");
}

void CopyOut(Device& device, Queue stream, void* to, const void* from, int64_t bytes) {
  Check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost,
                        device.stream(stream)),
        "a copy from the GPU");
}

void CopyRowsOut(Device& device, int64_t rows, int64_t columns, int64_t stride, double* to,
                 const double* from) {
  const auto bytes = [](int64_t cells) { return static_cast<size_t>(cells) * sizeof(double); };
  Check(cudaMemcpy2DAsync(to, bytes(stride), from, bytes(stride), bytes(columns),
                          static_cast<size_t>(rows), cudaMemcpyDeviceToHost, device.compute),
        "a copy from the GPU");
}

void MapOpen(Device& device, int64_t outputs, int64_t inputs, int32_t bias, Precision precision,
             LinearMap** map) {
  *map = std::make_unique<LinearMap>(device, outputs, inputs, bias != 0, precision).release();
}

void MapLoad(Device&, LinearMap* map, int64_t row, int64_t count, const float* from) {
  map->Load(row, count, from);
}

void MapLoadBias(Device&, LinearMap* map, const float* from) { map->LoadBias(from); }

void MapApply(Device&, LinearMap* map, int64_t rows, const float* x, float beta, float* to) {
  map->Apply(rows, x, beta, to);
}

void MapApplyBack(Device&, LinearMap* map, int64_t rows, const float* x, float* to) {
  map->ApplyBack(rows, x, to);
}

void MapClose(Device&, LinearMap* map) { std::unique_ptr<LinearMap> gone(map); }

constexpr Api kApi = {
    .version = kAbiVersion,
    .size = sizeof(Api),
    .runtime = CUDART_VERSION,
    .targets = STRUPRUNE_CUDA_TARGETS,
    .check = CheckEntry,
    .open = OpenEntry,
    .close = CloseEntry,
    .memory = Entry<&Memory>::Call,
    .pinned = Entry<&PinnedWaiting, true>::Call,
    .take_pinned = Entry<&TakePinned>::Call,
    .give_pinned = Entry<&GivePinned, true>::Call,
    .describe = Entry<&Describe>::Call,
    .fast_doubles = Entry<&FastDoubles>::Call,
    .allocate = Entry<&Allocate>::Call,
    .release = Entry<&Release, true>::Call,
    .synchronise = Entry<&Synchronise, true>::Call,
    .event_open = Entry<&EventOpen>::Call,
    .event_record = Entry<&EventRecord>::Call,
    .event_wait = Entry<&EventWait>::Call,
    .event_reach = Entry<&EventReach>::Call,
    .event_seconds = Entry<&EventSeconds>::Call,
    .event_close = Entry<&EventClose, true>::Call,
    .copy_in = Entry<&CopyIn>::Call,
    .copy_out = Entry<&CopyOut>::Call,
    .copy_rows_out = Entry<&CopyRowsOut>::Call,
    .fill = Entry<&Fill>::Call,
    .norm = Entry<&NormRows>::Call,
    .rope = Entry<&Rope>::Call,
    .attention = Entry<&Attention>::Call,
    .activate = Entry<&Activate>::Call,
    .activate_slopes = Entry<&ActivateSlopes>::Call,
    .multiply_add = Entry<&MultiplyAdd>::Call,
    .combine = Entry<&Combine>::Call,
    .add_doubles = Entry<&AddDoubles>::Call,
    .test_finite = Entry<&TestFinite>::Call,
    .gemm_f32 = Entry<&GemmF32>::Call,
    .gemm_f64 = Entry<&GemmF64>::Call,
    .gram_add = Entry<&GramAdd>::Call,
    .cross_add = Entry<&CrossAdd>::Call,
    .gemm_bytes = Entry<&GemmBytes>::Call,
    .gram_bytes = Entry<&GramBytes>::Call,
    .cross_bytes = Entry<&CrossBytes>::Call,
    .moments_add = Entry<&MomentsAdd>::Call,
    .squared_distance = Entry<&SquaredDistance>::Call,
    .cholesky_bytes = Entry<&CholeskyBytes>::Call,
    .cholesky = Entry<&Cholesky>::Call,
    .solve_lower = Entry<&SolveLower>::Call,
    .invert_factored = Entry<&InvertFactored>::Call,
    .diagonal = Entry<&ReadDiagonal>::Call,
    .compact = Entry<&Compact>::Call,
    .map_open = Entry<&MapOpen>::Call,
    .map_load = Entry<&MapLoad>::Call,
    .map_load_bias = Entry<&MapLoadBias>::Call,
    .map_apply = Entry<&MapApply>::Call,
    .map_apply_back = Entry<&MapApplyBack>::Call,
    .map_close = Entry<&MapClose, true>::Call,
    .map_bytes = Entry<&MapBytes>::Call,
    .map_work_bytes = Entry<&MapWorkBytes>::Call,
    .scores_start = Entry<&ScoresStart>::Call,
    .scores_add = Entry<&ScoresAdd>::Call,
    .scores_finish = Entry<&ScoresFinish>::Call,
    .scale_rows = Entry<&ScaleRows>::Call,
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const Api* struprune_cuda_api() { return &kApi; }

}  // namespace struprune::cuda

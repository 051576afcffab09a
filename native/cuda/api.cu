// The table of abi.h. Every entry goes through one guard: an exception becomes a Failure.
#include <cstring>
#include <new>

#include "cuda/ffn.h"
#include "cuda/head.h"
#include "cuda/open_device.h"
#include "cuda/site.h"

namespace struprune::cuda {
namespace {

void Fill(char* to, size_t size, const std::string& text) {
  std::strncpy(to, text.c_str(), size - 1);
  to[size - 1] = '\0';
}

void Report(Failure* failure, const Error& error) {
  Fill(failure->code, sizeof(failure->code), error.code());
  Fill(failure->message, sizeof(failure->message), error.what());
  Fill(failure->mend, sizeof(failure->mend), error.mend());
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

void SiteTimesOf(Device& device, SiteTimes* times) { *times = device.times; }

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
  Fill(text, static_cast<size_t>(size), all);
  *blas = device.blas != nullptr;
}

void FastDoubles(Device& device, int32_t* fast) { *fast = device.fast_doubles(); }

void HasSolver(Device& device, int32_t* found) { *found = device.FindSolver() != nullptr; }

void Allocate(Device& device, int64_t bytes, void** data) {
  *data = device.slab.Take(static_cast<size_t>(bytes));
}

// Copies of other streams may still touch the memory: they go through sites, which wait by
// themselves.
void Release(Device& device, void* data) { device.slab.Give(data); }

void Upload(Device& device, void* to, const void* from, int64_t bytes) {
  Check(
      cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, device.compute),
      "a copy to the GPU");
  Check(cudaStreamSynchronize(device.compute), "a copy to the GPU");
}

void Download(Device& device, void* to, const void* from, int64_t bytes) {
  Check(
      cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, device.compute),
      "a copy from the GPU");
  Check(cudaStreamSynchronize(device.compute), "a copy from the GPU");
}

void Synchronise(Device& device) { Check(cudaStreamSynchronize(device.compute), "waiting"); }

void Clock(Device& device, double* seconds) {
  if (!seconds) {
    Check(cudaEventRecord(device.clock_start, device.compute), "a clock");
    return;
  }
  Check(cudaEventRecord(device.clock_end, device.compute), "a clock");
  Check(cudaEventSynchronize(device.clock_end), "a clock");
  *seconds = Seconds(device.clock_start, device.clock_end);
}

SiteRunner& Runner(Site* site) { return *reinterpret_cast<SiteRunner*>(site); }

template <typename Spec>
void RunnerBytesOf(Device& device, const Spec* spec, uint64_t* bytes, uint64_t* pinned) {
  CheckSpec(*spec);
  const RunnerBytes both = BytesOf(device, *spec);
  *bytes = both.device;
  *pinned = both.pinned;
}

void SiteOpen(Device& device, const SiteSpec* spec, const SiteVectors* vectors, Site** site) {
  CheckSpec(*spec);
  auto runner = std::make_unique<SiteRunner>(device, *spec, *vectors);
  *site = reinterpret_cast<Site*>(runner.release());
}

void SiteWeightStage(Device&, Site* site, WeightRows* rows) { *rows = Runner(site).StageWeight(); }

void SiteWeight(Device&, Site* site, SiteMap which, int64_t row, int64_t count) {
  Runner(site).Load(which, row, count);
}

void SitePass(Device&, Site* site, int64_t row, int64_t count, int32_t last) {
  Runner(site).Begin({row, count, last != 0});
}

void SiteStage(Device&, Site* site, SitePage* page) { *page = Runner(site).Stage(); }

void SitePush(Device&, Site* site, int64_t rows) { Runner(site).Push(rows); }

void SitePop(Device&, Site* site, SiteResult* result) { *result = Runner(site).Pop(); }

void SiteGram(Device&, Site* site, int64_t first, int64_t count, double* gram) {
  Runner(site).ReadGram(first, count, gram);
}

void SiteCross(Device&, Site* site, int64_t first, int64_t count, double* cross) {
  Runner(site).ReadCross(first, count, cross);
}

void SiteMoments(Device&, Site* site, double* squares, double* sums, double* residual_sums,
                 double* energy) {
  Runner(site).ReadMoments(squares, sums, residual_sums, energy);
}

void SiteClose(Device&, Site* site) { std::unique_ptr<SiteRunner> gone(&Runner(site)); }

FfnRunner& Runner(Ffn* ffn) { return *reinterpret_cast<FfnRunner*>(ffn); }

void FfnOpen(Device& device, const FfnSpec* spec, const float* bias, Ffn** ffn) {
  CheckSpec(*spec);
  auto runner = std::make_unique<FfnRunner>(device, *spec, bias);
  *ffn = reinterpret_cast<Ffn*>(runner.release());
}

void FfnWeightStage(Device&, Ffn* ffn, WeightRows* rows) { *rows = Runner(ffn).StageWeight(); }

void FfnLoad(Device&, Ffn* ffn, FfnWeight which, int64_t row, int64_t count) {
  Runner(ffn).Load(which, row, count);
}

void FfnWay(Device&, Ffn* ffn, int64_t row, int64_t count, int32_t last) {
  Runner(ffn).Begin(row, count, last != 0);
}

void FfnStage(Device&, Ffn* ffn, FfnTokenPage* page) { *page = Runner(ffn).Stage(); }

void FfnPush(Device&, Ffn* ffn, int64_t rows) { Runner(ffn).Push(rows); }

void FfnReadRows(Device&, Ffn* ffn, FfnRows which, int64_t first, int64_t count, double* rows) {
  Runner(ffn).ReadRows(which, first, count, rows);
}

void FfnReadSums(Device&, Ffn* ffn, const FfnSums* sums) { Runner(ffn).ReadSums(*sums); }

void FfnClose(Device&, Ffn* ffn) { std::unique_ptr<FfnRunner> gone(&Runner(ffn)); }

HeadRunner& Runner(Head* head) { return *reinterpret_cast<HeadRunner*>(head); }

void HeadOpen(Device& device, const HeadSpec* spec, Head** head) {
  CheckSpec(*spec);
  auto runner = std::make_unique<HeadRunner>(device, *spec);
  *head = reinterpret_cast<Head*>(runner.release());
}

void HeadBegin(Device&, Head* head, int64_t rows, const int32_t* targets) {
  Runner(head).Begin(rows, targets);
}

void HeadStage(Device&, Head* head, float** page) { *page = Runner(head).Stage(); }

void HeadTokens(Device&, Head* head, int64_t row, int64_t count) {
  Runner(head).PushTokens(row, count);
}

void HeadTable(Device&, Head* head, int64_t count) { Runner(head).PushTable(count); }

void HeadReadScores(Device&, Head* head, const HeadScores* scores) {
  Runner(head).ReadScores(*scores);
}

void HeadMeans(Device&, Head* head, int64_t row, int64_t count) {
  Runner(head).ReadMeans(row, count);
}

void HeadClose(Device&, Head* head) { std::unique_ptr<HeadRunner> gone(&Runner(head)); }

void GatherFloatRows(Device& device, int64_t count, int64_t cols, const int32_t* indices,
                     const float* from, float* to) {
  GatherRows(device, count, cols, indices, from, to);
}

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
    .site_times = Entry<&SiteTimesOf>::Call,
    .describe = Entry<&Describe>::Call,
    .fast_doubles = Entry<&FastDoubles>::Call,
    .has_solver = Entry<&HasSolver>::Call,
    .allocate = Entry<&Allocate>::Call,
    .release = Entry<&Release, true>::Call,
    .upload = Entry<&Upload>::Call,
    .download = Entry<&Download>::Call,
    .fill_zero = Entry<&FillZero>::Call,
    .synchronise = Entry<&Synchronise>::Call,
    .clock = Entry<&Clock>::Call,
    .norm = Entry<&NormRows>::Call,
    .rope = Entry<&Rope>::Call,
    .attention = Entry<&Attention>::Call,
    .activate = Entry<&Activate>::Call,
    .activate_slopes = Entry<&ActivateSlopes>::Call,
    .multiply_add = Entry<&MultiplyAdd>::Call,
    .add_bias = Entry<&AddBias>::Call,
    .combine = Entry<&Combine>::Call,
    .widen = Entry<&Widen>::Call,
    .narrow = Entry<&Narrow>::Call,
    .gemm_f32 = Entry<&GemmF32>::Call,
    .gemm_bf16 = Entry<&GemmBf16>::Call,
    .gemm_f64 = Entry<&GemmF64>::Call,
    .gram_add = Entry<&GramAdd>::Call,
    .cross_add = Entry<&CrossAdd>::Call,
    .moments_add = Entry<&MomentsAdd>::Call,
    .squared_distance = Entry<&SquaredDistance>::Call,
    .group_energies = Entry<&GroupEnergies>::Call,
    .admm_right = Entry<&AdmmRight>::Call,
    .admm_project = Entry<&AdmmProject>::Call,
    .admm_dual = Entry<&AdmmDual>::Call,
    .mask_columns = Entry<&MaskColumns>::Call,
    .gather_columns = Entry<&GatherColumns>::Call,
    .scatter_columns = Entry<&ScatterColumns>::Call,
    .gather_rows = Entry<&GatherFloatRows>::Call,
    .cholesky_bytes = Entry<&CholeskyBytes>::Call,
    .cholesky = Entry<&Cholesky>::Call,
    .solve_rows = Entry<&SolveRows>::Call,
    .solve_lower = Entry<&SolveLower>::Call,
    .invert_factored = Entry<&InvertFactored>::Call,
    .diagonal = Entry<&ReadDiagonal>::Call,
    .compact = Entry<&Compact>::Call,
    .eigen = Entry<&Eigen>::Call,
    .site_bytes = Entry<&RunnerBytesOf<SiteSpec>>::Call,
    .site_open = Entry<&SiteOpen>::Call,
    .site_weight_stage = Entry<&SiteWeightStage>::Call,
    .site_weight = Entry<&SiteWeight>::Call,
    .site_pass = Entry<&SitePass>::Call,
    .site_stage = Entry<&SiteStage>::Call,
    .site_push = Entry<&SitePush>::Call,
    .site_pop = Entry<&SitePop>::Call,
    .site_gram = Entry<&SiteGram>::Call,
    .site_cross = Entry<&SiteCross>::Call,
    .site_moments = Entry<&SiteMoments>::Call,
    .site_close = Entry<&SiteClose, true>::Call,
    .ffn_bytes = Entry<&RunnerBytesOf<FfnSpec>>::Call,
    .ffn_open = Entry<&FfnOpen>::Call,
    .ffn_weight_stage = Entry<&FfnWeightStage>::Call,
    .ffn_weight = Entry<&FfnLoad>::Call,
    .ffn_way = Entry<&FfnWay>::Call,
    .ffn_stage = Entry<&FfnStage>::Call,
    .ffn_push = Entry<&FfnPush>::Call,
    .ffn_rows = Entry<&FfnReadRows>::Call,
    .ffn_sums = Entry<&FfnReadSums>::Call,
    .ffn_close = Entry<&FfnClose, true>::Call,
    .head_bytes = Entry<&RunnerBytesOf<HeadSpec>>::Call,
    .head_open = Entry<&HeadOpen>::Call,
    .head_begin = Entry<&HeadBegin>::Call,
    .head_stage = Entry<&HeadStage>::Call,
    .head_tokens = Entry<&HeadTokens>::Call,
    .head_table = Entry<&HeadTable>::Call,
    .head_scores = Entry<&HeadReadScores>::Call,
    .head_means = Entry<&HeadMeans>::Call,
    .head_close = Entry<&HeadClose, true>::Call,
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const Api* struprune_cuda_api() { return &kApi; }

}  // namespace struprune::cuda

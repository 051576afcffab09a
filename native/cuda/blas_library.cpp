#include "cuda/blas_library.h"

#include "core/error.h"
#include "core/os/shared_library.h"

namespace struprune::cuda {
namespace {

// Whether drivers may be here that know CUDA 12 alone: what CUDA 13 has loads there, but does not
// work.
constexpr bool kOfCuda12 = CUDART_VERSION < 13000;

[[noreturn]] void Throw(int status, const char* call, bool out_of_memory) {
  const std::string text = std::string(call) + " failed with status " + std::to_string(status);
  if (out_of_memory) {
    throw Error("ERR_BUDGET", "the GPU has no memory left beside the budget (" + text + ")",
                "lower --device-memory, or free the GPU's memory");
  }
  throw Error("ERR_DEVICE", text, "free the GPU's memory, or use --device cpu");
}

// A handle takes memory of its own beside the budget; without it the libraries call themselves not
// initialised.
void CheckBlasHandle(int status) {
  if (status == kBlasNotInitialised) Throw(status, "cublasCreate", true);
  CheckBlas(status, "cublasCreate");
}
void CheckSolverHandle(int status) {
  if (status == kSolverNotInitialised) Throw(status, "cusolverDnCreate", true);
  CheckSolver(status, "cusolverDnCreate");
}

}  // namespace

std::unique_ptr<SharedLibrary> SharedLibrary::Open(const char* path,
                                                   std::initializer_list<const char*> names) {
  if (path) {
    std::string why;
    void* handle = os::LoadSharedLibrary(path, &why);
    if (!handle) {
      throw Error("ERR_DEVICE", std::string(path) + " does not load: " + why,
                  "correct STRUPRUNE_CUBLAS or STRUPRUNE_CUSOLVER, or unset it");
    }
    return std::unique_ptr<SharedLibrary>(new SharedLibrary(handle, path));
  }
  for (const char* name : names) {
    if (void* handle = os::LoadSharedLibrary(name)) {
      return std::unique_ptr<SharedLibrary>(new SharedLibrary(handle, name));
    }
  }
  return nullptr;
}

void* SharedLibrary::Symbol(const char* symbol) const {
  void* found = os::FindSymbol(handle_, symbol);
  if (found) return found;
  throw Error("ERR_DEVICE", name_ + " has no " + symbol, "install the library of CUDA 13 or 12");
}

void CheckBlas(int status, const char* call) {
  if (status != kBlasSuccess) Throw(status, call, status == kBlasAllocFailed);
}

void CheckSolver(int status, const char* call) {
  if (status != kSolverSuccess) Throw(status, call, status == kSolverAllocFailed);
}

std::unique_ptr<Blas> Blas::Open(const char* path, cudaStream_t stream, void* workspace,
                                 size_t workspace_bytes) {
  auto library =
      kOfCuda12 ? SharedLibrary::Open(path, {"libcublas.so.12", "libcublas.so"})
                : SharedLibrary::Open(path, {"libcublas.so.13", "libcublas.so.12", "libcublas.so"});
  if (!library) return nullptr;
  std::unique_ptr<Blas> blas(new Blas(std::move(library)));
  BlasCalls& calls = blas->calls_;
  const SharedLibrary& from = *blas->library_;
  from.Load(calls.create, "cublasCreate_v2");
  from.Load(calls.destroy, "cublasDestroy_v2");
  from.Load(calls.version, "cublasGetVersion_v2");
  from.Load(calls.set_stream, "cublasSetStream_v2");
  from.Load(calls.set_workspace, "cublasSetWorkspace_v2");
  from.Load(calls.gemm, "cublasGemmEx");
  from.Load(calls.trsm, "cublasDtrsm_v2");
  CheckBlasHandle(calls.create(&blas->handle_));
  // The stream first: setting it takes a user's work space away again.
  CheckBlas(calls.set_stream(blas->handle_, stream), "cublasSetStream");
  CheckBlas(calls.set_workspace(blas->handle_, workspace, workspace_bytes), "cublasSetWorkspace");
  return blas;
}

Blas::~Blas() {
  if (handle_) calls_.destroy(handle_);
}

std::string Blas::Describe() const {
  int version = 0;
  calls_.version(handle_, &version);
  return library_->name() + " " + std::to_string(version);
}

std::unique_ptr<Solver> Solver::Open(const char* path, cudaStream_t stream) {
  auto library =
      kOfCuda12
          ? SharedLibrary::Open(path, {"libcusolver.so.11", "libcusolver.so"})
          : SharedLibrary::Open(path, {"libcusolver.so.12", "libcusolver.so.11", "libcusolver.so"});
  if (!library) return nullptr;
  std::unique_ptr<Solver> solver(new Solver(std::move(library)));
  SolverCalls& calls = solver->calls_;
  const SharedLibrary& from = *solver->library_;
  from.Load(calls.version, "cusolverGetVersion");
  from.Load(calls.create, "cusolverDnCreate");
  from.Load(calls.destroy, "cusolverDnDestroy");
  from.Load(calls.set_stream, "cusolverDnSetStream");
  from.Load(calls.potrf_size, "cusolverDnDpotrf_bufferSize");
  from.Load(calls.potrf, "cusolverDnDpotrf");
  CheckSolverHandle(calls.create(&solver->handle_));
  CheckSolver(calls.set_stream(solver->handle_, stream), "cusolverDnSetStream");
  return solver;
}

Solver::~Solver() {
  if (handle_) calls_.destroy(handle_);
}

std::string Solver::Describe() const {
  int version = 0;
  calls_.version(&version);
  return library_->name() + " " + std::to_string(version);
}

}  // namespace struprune::cuda

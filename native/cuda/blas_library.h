// cuBLAS and cuSOLVER, loaded when a device is opened and they are there.
#pragma once

#include <climits>
#include <memory>
#include <string>

#include "core/error.h"
#include "cuda/blas_api.h"

namespace struprune::cuda {

// An extent as both libraries take it. Throws ERR_UNSUPPORTED.
inline int Int(int64_t value) {
  if (value > INT_MAX) {
    throw Error("ERR_UNSUPPORTED", "a matrix is too large for cuBLAS and cuSOLVER",
                "use --device cpu");
  }
  return static_cast<int>(value);
}

class SharedLibrary {
 public:
  // Empty when no name loads.
  static std::unique_ptr<SharedLibrary> Open(const char* path,
                                             std::initializer_list<const char*> names);
  SharedLibrary(const SharedLibrary&) = delete;
  SharedLibrary& operator=(const SharedLibrary&) = delete;

  template <typename Fn>
  void Load(Fn*& to, const char* symbol) const {
    to = reinterpret_cast<Fn*>(Symbol(symbol));
  }
  const std::string& name() const { return name_; }

 private:
  SharedLibrary(void* handle, std::string name) : handle_(handle), name_(std::move(name)) {}
  void* Symbol(const char* symbol) const;  // throws ERR_DEVICE
  void* handle_;
  std::string name_;
};

class Blas {
 public:
  static std::unique_ptr<Blas> Open(const char* path, cudaStream_t stream, void* workspace,
                                    size_t workspace_bytes);
  ~Blas();
  const BlasCalls& calls() const { return calls_; }
  BlasHandle handle() const { return handle_; }
  std::string Describe() const;

 private:
  explicit Blas(std::unique_ptr<SharedLibrary> library) : library_(std::move(library)) {}
  std::unique_ptr<SharedLibrary> library_;
  BlasCalls calls_{};
  BlasHandle handle_ = nullptr;
};

class Solver {
 public:
  static std::unique_ptr<Solver> Open(const char* path, cudaStream_t stream);
  ~Solver();
  const SolverCalls& calls() const { return calls_; }
  SolverHandle handle() const { return handle_; }
  std::string Describe() const;

 private:
  explicit Solver(std::unique_ptr<SharedLibrary> library) : library_(std::move(library)) {}
  std::unique_ptr<SharedLibrary> library_;
  SolverCalls calls_{};
  SolverHandle handle_ = nullptr;
};

// Throws unless the call has succeeded: ERR_BUDGET where the library got no memory, ERR_DEVICE.
void CheckBlas(int status, const char* call);
void CheckSolver(int status, const char* call);

}  // namespace struprune::cuda

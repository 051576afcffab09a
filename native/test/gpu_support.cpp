#include "gpu_support.h"

#include <cstdlib>
#include <map>

#include "tiles/strips.h"

namespace struprune::test {
namespace {

const char* WordOf(cuda::Precision precision) {
  switch (precision) {
    case cuda::Precision::kExact:
      return "F32";
    case cuda::Precision::kTf32:
      return "Tf32";
    case cuda::Precision::kBf16x3:
      return "Bf16x3";
    case cuda::Precision::kBf16:
      return "Bf16";
  }
  return "";
}

}  // namespace

TestedGpuOptions& TestedGpu() {
#ifdef STRUPRUNE_EMULATED_LIBRARY
  // The emulation has stand-ins for cuBLAS and cuSOLVER inside.
  static TestedGpuOptions setup{STRUPRUNE_EMULATED_LIBRARY, STRUPRUNE_EMULATED_LIBRARY,
                                STRUPRUNE_EMULATED_LIBRARY};
#else
  static TestedGpuOptions setup;
#endif
  return setup;
}

std::string NameOf(const GpuKind& kind) {
  return std::string(kind.libraries ? "Libraries" : "BuiltIn") + WordOf(kind.precision);
}

std::vector<GpuKind> ExactKinds() {
  return {{false, cuda::Precision::kExact}, {true, cuda::Precision::kExact}};
}

std::vector<GpuKind> AllKinds() {
  return {{false, cuda::Precision::kExact},
          {true, cuda::Precision::kExact},
          {true, cuda::Precision::kTf32},
          {true, cuda::Precision::kBf16x3},
          {true, cuda::Precision::kBf16}};
}

std::shared_ptr<CudaDevice> OpenGpu(bool libraries) {
  // Never closed: at exit the library's own statics are gone before these would be.
  static auto& opened = *new std::map<bool, std::shared_ptr<CudaDevice>>;
  auto& device = opened[libraries];
  if (!device) {
    const TestedGpuOptions& setup = TestedGpu();
    CudaOptions options;
    options.index = setup.index;
    options.budget = setup.budget;
    options.libraries = libraries;
    options.cublas = setup.cublas;
    options.cusolver = setup.cusolver;
    device = std::make_shared<CudaDevice>(CudaLibrary::Load(setup.library), options);
  }
  return libraries && !device->has_blas() ? nullptr : device;
}

double BoundOf(const GpuKind& kind, double terms) {
  const double sums = 0x1p-24 * (std::sqrt(terms) + 4);
  switch (kind.precision) {
    case cuda::Precision::kExact:
      return sums;
    case cuda::Precision::kTf32:
      return 0x1p-9 + sums;
    case cuda::Precision::kBf16x3:
      return 0x1p-15 + sums;
    case cuda::Precision::kBf16:
      return 0x1p-7 + sums;
  }
  return 0;
}

std::vector<float> AllOf(const PagedMatrix& matrix) {
  std::vector<float> values(matrix.rows() * matrix.cols());
  matrix.Read(0, matrix.rows(), values.data());
  return values;
}

std::vector<double> AllOf(const TileMatrix<double>& matrix) {
  std::vector<double> values(matrix.rows().size() * matrix.cols().size());
  ReadRows(matrix, 0, matrix.rows().size(), values.data());
  return values;
}

double Tolerance(const GpuKind& kind) {
  switch (kind.precision) {
    case cuda::Precision::kExact:
      return 2e-5;
    case cuda::Precision::kTf32:
      // Operands that are cut off rather than rounded are all too small by up to 2⁻¹⁰: what a chain
      // of products makes of that does not cancel.
      return 1e-2;
    case cuda::Precision::kBf16x3:
      return 1e-4;
    case cuda::Precision::kBf16:
      return 4e-2;
  }
  return 0;
}

std::shared_ptr<CudaDevice> GpuTest::Open(uint64_t budget) const {
  CudaOptions options = gpu_->options();
  options.budget = budget;
  options.forward = options.gram = GetParam().precision;
  return std::make_shared<CudaDevice>(CudaLibrary::Load(TestedGpu().library), options);
}

std::shared_ptr<CudaDevice> GpuTest::OpenChecked(uint64_t budget) const {
  const bool checked = std::getenv("STRUPRUNE_CUDA_CHECK") != nullptr;
  setenv("STRUPRUNE_CUDA_CHECK", "1", 1);
  auto device = Open(budget);
  if (!checked) unsetenv("STRUPRUNE_CUDA_CHECK");
  return device;
}

std::shared_ptr<CudaDevice> GpuTest::OpenWithRoom(uint64_t bytes) const {
  const uint64_t workspace = std::max<uint64_t>(16 << 10, bytes / 15);
  return Open(GetParam().libraries ? bytes + workspace : bytes);
}

}  // namespace struprune::test

#include "gpu_support.h"

#include <map>

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

}  // namespace struprune::test

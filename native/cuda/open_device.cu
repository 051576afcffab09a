#include <vector>

#include "cuda/open_device.h"
#include "cuda/ops.h"

namespace struprune::cuda {
namespace {

// A library from before this GPU makes a handle and has no products for it.
void TryBlas(Device& device, bool named) {
  constexpr int64_t n = 16, count = n * n;
  try {
    const auto a = device.Allocate<double>(count), b = device.Allocate<double>(count),
               c = device.Allocate<double>(count);
    for (const auto* array : {&a, &b}) Fill(device, array->data(), 0, count * sizeof(double));
    GemmF64(device, false, true, n, n, n, 1, a.data(), n, b.data(), n, 0, c.data(), n);
    const auto floats = [](const Array<double>& array) {
      return reinterpret_cast<float*>(array.data());
    };
    for (const Precision precision : {Precision::kExact, Precision::kTf32, Precision::kBf16}) {
      GemmF32(device, false, true, n, n, n, 1, floats(a), n, floats(b), n, 0, floats(c), n,
              precision);
    }
    SolveLower(device, true, n, a.data(), n, n, c.data(), n);
    Check(cudaStreamSynchronize(device.compute), "the first products");
  } catch (const Error& error) {
    // Of a GPU that has failed nothing else can be had either.
    if (named || cudaStreamSynchronize(device.compute) != cudaSuccess) throw;
    device.DropBlas(error.what());
  }
}

void TrySolver(Device& device, bool named) {
  constexpr int64_t n = 16;
  std::vector<double> unit(n * n);
  for (int64_t i = 0; i < n; ++i) unit[static_cast<size_t>(i * (n + 1))] = 1;
  try {
    if (!device.FindSolver()) return;
    const auto a = device.Allocate<double>(n * n);
    Check(cudaMemcpyAsync(a.data(), unit.data(), unit.size() * sizeof(double),
                          cudaMemcpyHostToDevice, device.compute),
          "a copy to the GPU");
    int32_t positive = 0;
    Cholesky(device, n, a.data(), n, &positive);
  } catch (const Error& error) {
    // Of a GPU that has failed nothing else can be had either. A budget that is too small for the
    // library's work space says nothing against the library.
    const bool refused = named && error.code() != "ERR_BUDGET";
    if (cudaStreamSynchronize(device.compute) != cudaSuccess || refused) throw;
    device.DropSolver(error.what());
  }
}

}  // namespace

std::unique_ptr<Device> OpenDevice(const OpenOptions& options) {
  auto device = std::make_unique<Device>(options);
  if (device->blas) TryBlas(*device, options.cublas != nullptr);
  if (device->blas && device->has_double_units()) TrySolver(*device, options.cusolver != nullptr);
  return device;
}

}  // namespace struprune::cuda

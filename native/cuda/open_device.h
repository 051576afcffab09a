// Opening a GPU with the libraries that work on it.
#pragma once

#include <memory>

#include "cuda/device.h"

namespace struprune::cuda {

// Makes one product of each kind, and does without cuBLAS where it cannot, unless it was named. The
// same of a small factor and cuSOLVER, on a GPU that is fast at doubles.
std::unique_ptr<Device> OpenDevice(const OpenOptions& options);

}  // namespace struprune::cuda

#include <algorithm>

#include "cuda/linear_map.h"

namespace struprune::cuda {
namespace {

// By the compute stream.
void CopyIn(Device& device, const float* from, float* to, int64_t count) {
  Check(cudaMemcpyAsync(to, from, static_cast<size_t>(count) * sizeof(float),
                        cudaMemcpyHostToDevice, device.compute),
        "a copy to the GPU");
}

}  // namespace

LinearMap::LinearMap(Device& device, int64_t outputs, int64_t inputs, bool bias,
                     Precision precision)
    : device_(device), outputs_(outputs), inputs_(inputs), precision_(precision) {
  if (bias) bias_ = device.Allocate<float>(outputs);
  if (IsSplit(device, precision)) {
    parts_ = Parts(device, outputs, inputs, precision);
  } else {
    weight_ = device.Allocate<float>(outputs * inputs);
  }
}

void LinearMap::Load(int64_t row, int64_t count, const float* from) {
  if (row < 0 || count < 0 || row + count > outputs_) {
    throw Error("ERR_ARGUMENT", "rows outside a weight on the GPU");
  }
  if (weight_.data()) {
    return CopyIn(device_, from, weight_.data() + row * inputs_, count * inputs_);
  }
  const auto floats = device_.Allocate<float>(count * inputs_);
  CopyIn(device_, from, floats.data(), count * inputs_);
  uint16_t* const low = parts_.low.data();
  const int64_t to = row * parts_.stride;
  SplitBf16(device_, count, inputs_, floats.data(), inputs_, parts_.high.data() + to,
            low ? low + to : nullptr, parts_.stride);
}

void LinearMap::LoadBias(const float* from) { CopyIn(device_, from, bias_.data(), outputs_); }

void LinearMap::Apply(int64_t rows, const float* x, float beta, float* to) const {
  if (weight_.data()) {
    GemmF32(device_, false, true, rows, outputs_, inputs_, 1, x, inputs_, weight_.data(), inputs_,
            beta, to, outputs_, precision_);
  } else {
    GemmParts(device_, true, rows, outputs_, inputs_, x, parts_, beta, to, precision_);
  }
  if (bias_.data()) AddBias(device_, rows, outputs_, bias_.data(), to);
}

void LinearMap::ApplyBack(int64_t rows, const float* x, float* to) const {
  if (weight_.data()) {
    GemmF32(device_, false, false, rows, inputs_, outputs_, 1, x, outputs_, weight_.data(), inputs_,
            0, to, inputs_, precision_);
  } else {
    GemmParts(device_, false, rows, inputs_, outputs_, x, parts_, 0, to, precision_);
  }
}

void MapBytes(Device& device, int64_t outputs, int64_t inputs, Precision precision,
              uint64_t* bytes) {
  *bytes = ArrayBytes<float>(outputs) + (IsSplit(device, precision)
                                             ? PartsBytes(outputs, inputs, precision)
                                             : ArrayBytes<float>(outputs * inputs));
}

void MapWorkBytes(Device& device, int64_t floats, int64_t rows, int64_t columns,
                  Precision precision, uint64_t* bytes) {
  *bytes = IsSplit(device, precision)
               ? std::max(ArrayBytes<float>(floats), PartsBytes(rows, columns, precision))
               : 0;
}

}  // namespace struprune::cuda

#include "cuda/linear_map.h"
#include "cuda/streams.h"

namespace struprune::cuda {

LinearMap::LinearMap(Device& device, int64_t outputs, int64_t inputs, bool bias,
                     Precision precision)
    : device_(&device), outputs_(outputs), inputs_(inputs), precision_(precision) {
  if (bias) bias_ = device.Allocate<float>(outputs);
  if (IsSplit(device, precision)) {
    parts_ = Parts(device, outputs, inputs, precision);
  } else {
    weight_ = device.Allocate<float>(outputs * inputs);
  }
}

void LinearMap::Load(int64_t row, int64_t count, const float* from) {
  if (weight_.data()) {
    return CopyIn(from, weight_.data() + row * inputs_, count * inputs_, device_->compute);
  }
  const auto floats = device_->Allocate<float>(count * inputs_);
  CopyIn(from, floats.data(), count * inputs_, device_->compute);
  uint16_t* const low = parts_.low.data();
  const int64_t to = row * parts_.stride;
  SplitBf16(*device_, count, inputs_, floats.data(), inputs_, parts_.high.data() + to,
            low ? low + to : nullptr, parts_.stride);
}

void LinearMap::LoadBias(const float* from) {
  CopyIn(from, bias_.data(), outputs_, device_->compute);
}

void LinearMap::Apply(int64_t rows, const float* x, float beta, float* to) const {
  if (weight_.data()) {
    GemmF32(*device_, false, true, rows, outputs_, inputs_, 1, x, inputs_, weight_.data(), inputs_,
            beta, to, outputs_, precision_);
  } else {
    GemmParts(*device_, true, rows, outputs_, inputs_, x, parts_, beta, to, precision_);
  }
  if (bias_.data()) AddBias(*device_, rows, outputs_, bias_.data(), to);
}

void LinearMap::ApplyTransposed(int64_t rows, const float* x, float* to) const {
  if (weight_.data()) {
    GemmF32(*device_, false, false, rows, inputs_, outputs_, 1, x, outputs_, weight_.data(),
            inputs_, 0, to, inputs_, precision_);
  } else {
    GemmParts(*device_, false, rows, inputs_, outputs_, x, parts_, 0, to, precision_);
  }
}

uint64_t LinearMap::Bytes(const Device& device, int64_t outputs, int64_t inputs,
                          Precision precision) {
  const uint64_t weight = IsSplit(device, precision) ? PartsBytes(outputs, inputs, precision)
                                                     : ArrayBytes<float>(outputs * inputs);
  return weight + ArrayBytes<float>(outputs);
}

uint64_t LinearMap::LoadScratch(const Device& device, int64_t floats, Precision precision) {
  return IsSplit(device, precision) ? ArrayBytes<float>(floats) : 0;
}

uint64_t LinearMap::ApplyScratch(const Device& device, int64_t rows, int64_t columns,
                                 Precision precision) {
  return IsSplit(device, precision) ? PartsBytes(rows, columns, precision) : 0;
}

}  // namespace struprune::cuda

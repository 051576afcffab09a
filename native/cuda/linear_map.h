// A linear map on the device, loaded once and applied to page after page.
#pragma once

#include "cuda/ops.h"

namespace struprune::cuda {

// Its weight is there as floats or, where products split their operands, as bf16 parts.
class LinearMap {
 public:
  LinearMap() = default;
  // Of a weight [outputs, inputs] that Load brings. `bias`: it gets one too.
  LinearMap(Device& device, int64_t outputs, int64_t inputs, bool bias, Precision precision);

  // Rows [row, row + count) of the weight from the host, which must stay until the compute stream
  // was waited for.
  void Load(int64_t row, int64_t count, const float* from);
  void LoadBias(const float* from);
  int64_t outputs() const { return outputs_; }
  int64_t inputs() const { return inputs_; }

  // to[rows, outputs] = x[rows, inputs] Wᵀ + bias + beta to
  void Apply(int64_t rows, const float* x, float beta, float* to) const;
  // to[rows, inputs] = x[rows, outputs] W
  void ApplyTransposed(int64_t rows, const float* x, float* to) const;

  // Device memory of one with a bias, and what is taken beside to load so many floats of a weight
  // at a time, and to apply it to x[rows, columns].
  static uint64_t Bytes(const Device& device, int64_t outputs, int64_t inputs, Precision precision);
  static uint64_t LoadScratch(const Device& device, int64_t floats, Precision precision);
  static uint64_t ApplyScratch(const Device& device, int64_t rows, int64_t columns,
                               Precision precision);

 private:
  Device* device_ = nullptr;
  int64_t outputs_ = 0, inputs_ = 0;
  Precision precision_ = Precision::kExact;
  Array<float> weight_, bias_;
  Parts parts_;
};

}  // namespace struprune::cuda

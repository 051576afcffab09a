// A linear map on the device, loaded once and applied to page after page.
#pragma once

#include "cuda/ops.h"

namespace struprune::cuda {

// Its weight is there as floats or, where products split their operands, as bf16 parts.
class LinearMap {
 public:
  // Of a weight [outputs, inputs] that Load brings. `bias`: it gets one too.
  LinearMap(Device& device, int64_t outputs, int64_t inputs, bool bias, Precision precision);

  // Rows [row, row + count) of the weight from the host, which must stay until the compute stream
  // was waited for.
  void Load(int64_t row, int64_t count, const float* from);
  void LoadBias(const float* from);

  // to[rows, outputs] = x[rows, inputs] Wᵀ + bias + beta to
  void Apply(int64_t rows, const float* x, float beta, float* to) const;
  // to[rows, inputs] = x[rows, outputs] W
  void ApplyBack(int64_t rows, const float* x, float* to) const;

 private:
  Device& device_;
  const int64_t outputs_, inputs_;
  const Precision precision_;
  Array<float> weight_, bias_;
  Parts parts_;
};

// See abi.h.
void MapBytes(Device&, int64_t outputs, int64_t inputs, Precision precision, uint64_t* bytes);
void MapWorkBytes(Device&, int64_t floats, int64_t rows, int64_t columns, Precision precision,
                  uint64_t* bytes);

}  // namespace struprune::cuda

// An FFN as a nonlinear map of its inputs, on rows of tokens: Ŷ = P Dᵀ + b with P = φ(X Gᵀ) ∘ X Uᵀ,
// or φ(X Uᵀ) where there is no gate. A bias of gate and up is the weight of a last column of ones
// in X.
#pragma once

#include <cstddef>

#include "core/context.h"
#include "ops/activation.h"

namespace struprune {

struct FfnMap {
  Activation activation = Activation::kSilu;
  size_t parts = 2;    // weights of the inputs: gate and up, or up alone
  size_t inputs = 0;   // columns of X
  size_t width = 0;    // channels
  size_t outputs = 0;  // columns of Y
  Buffer<float> in;    // [parts * width, inputs]: gate's rows, then up's
  Buffer<float> down;  // [outputs, width]
  Buffer<float> bias;  // [outputs], or empty

  size_t rows() const { return parts * width; }
};

// Below, values by channel have one array [rows, width] a part, `stride` elements apart.

// pre = x[rows, inputs] weightᵀ for a weight of the shape of map.in.
void PreActivations(const FfnMap& map, const float* weight, size_t rows, const float* x, float* pre,
                    size_t stride);

// pre becomes the slopes of hidden by pre; hidden[rows, width] is P.
void HiddenAndSlopes(const FfnMap& map, size_t rows, float* pre, size_t stride, float* hidden);

// y[rows, outputs] -= hidden Dᵀ + b: what the target is missed by.
void SubtractOutput(const FfnMap& map, size_t rows, const float* hidden, float* y);

// to[rows, outputs] = the change of Ŷ where pre changes by `change`, to first order; scratch[rows,
// width].
void PushForward(const FfnMap& map, size_t rows, const float* change, size_t change_stride,
                 const float* slopes, size_t stride, float* scratch, float* to);

// Its transpose: to[rows, map.rows()], the parts side by side, of from[rows, outputs].
void PullBack(const FfnMap& map, size_t rows, const float* from, const float* slopes, size_t stride,
              float* scratch, float* to);

}  // namespace struprune

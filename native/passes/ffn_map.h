// An FFN as a nonlinear map of its inputs, on rows of tokens: Ŷ = P Dᵀ + b with P = φ(X Gᵀ) ∘ X Uᵀ,
// or φ(X Uᵀ) where there is no gate. A bias of gate and up is the weight of a last column of ones
// in X.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "core/context.h"
#include "core/needs.h"
#include "core/paged_matrix.h"
#include "core/segments.h"
#include "ops/activation.h"

namespace struprune {

// Weights of the inputs: [width, inputs] a part, gate's and up's, or up's alone.
using InputWeights = std::vector<std::shared_ptr<PagedMatrix>>;

struct FfnMap {
  Activation activation = Activation::kSilu;
  size_t inputs = 0;   // columns of X
  size_t width = 0;    // channels
  size_t outputs = 0;  // columns of Y
  InputWeights in;
  std::shared_ptr<PagedMatrix> down;  // [outputs, width]
  Buffer<float> bias;                 // [outputs], or empty

  size_t parts() const { return in.size(); }
};

// Its sizes, rows that lie in one page of its tokens, at most kFfnPage (ffn_tokens.h), and how
// those are summed.
struct FfnShape {
  Activation activation;
  bool gated;
  size_t inputs, width, outputs, page;
  Segments segments{0, 1};

  size_t parts() const { return gated ? 2 : 1; }
};

inline FfnShape ShapeOf(const FfnMap& map) {
  return {map.activation, map.parts() == 2, map.inputs, map.width, map.outputs, 0};
}

// Below, values by channel have one array [rows, width] a part, `stride` elements apart.

// pre = x[rows, inputs] weightᵀ for weights of the shapes of map.in.
void PreActivations(Context& context, const InputWeights& weights, size_t rows, const float* x,
                    float* pre, size_t stride);

// pre becomes the slopes of hidden by pre; hidden[rows, width] is P.
void HiddenAndSlopes(const FfnMap& map, size_t rows, float* pre, size_t stride, float* hidden);

// y[rows, outputs] -= hidden Dᵀ + b: what the target is missed by.
void SubtractOutput(Context& context, const FfnMap& map, size_t rows, const float* hidden,
                    float* y);

// to[rows, outputs] = the change of Ŷ where pre changes by `change`, to first order; scratch[rows,
// width].
void PushForward(Context& context, const FfnMap& map, size_t rows, const float* change,
                 size_t change_stride, const float* slopes, size_t stride, float* scratch,
                 float* to);

// Its transpose: `to` by channel, as far apart as the slopes, of from[rows, outputs].
void PullBack(Context& context, const FfnMap& map, size_t rows, const float* from,
              const float* slopes, size_t stride, float* scratch, float* to);

}  // namespace struprune

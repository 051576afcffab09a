#include "cuda/cells.h"
#include "cuda/math.h"
#include "cuda/scores.h"

namespace struprune::cuda {
namespace {

// Tokens of a block, side by side in the lanes of a warp: rows of logits are read in whole lines.
// Its warps share the piece of the vocabulary.
constexpr int kLanes = 32, kSlices = kThreads / kLanes;
// Logits that a thread has asked for before it waits for the first of them.
constexpr int kBatch = 8;

// visit(j, capped logits of token at j) for j = slice, slice + kSlices, … below count, in order.
template <typename Visit>
__device__ void EachLogit(int slice, int64_t count, const float* logits, int64_t stride, float cap,
                          Visit visit) {
  for (int64_t first = slice; first < count; first += kSlices * kBatch) {
    float batch[kBatch];
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const int64_t j = first + b * kSlices;
      batch[b] = j < count ? logits[j * stride] : 0.0f;
    }
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const int64_t j = first + b * kSlices;
      if (j < count) visit(j, Capped(batch[b], cap));
    }
  }
}

// The next piece of the vocabulary, [first, first + count): logits[count, stride] hold a token a
// column, and become exp(logit - the largest so far) where they are `kept`. targets[tokens], -1 =
// none.
__global__ void __launch_bounds__(kThreads)
    LogitsKernel(int64_t tokens, int64_t first, int64_t count, float* logits, int64_t stride,
                 bool kept, float cap, const int32_t* targets, TokenStates states) {
  __shared__ float tops[kSlices][kLanes];
  __shared__ int32_t places[kSlices][kLanes];
  __shared__ double sums[kSlices][kLanes];
  const int lane = static_cast<int>(threadIdx.x) % kLanes,
            slice = static_cast<int>(threadIdx.x) / kLanes;
  const int64_t token = static_cast<int64_t>(blockIdx.x) * kLanes + lane;
  const bool inside = token < tokens;
  float* const own = logits + token;
  const int64_t target = inside && targets[token] >= 0 ? targets[token] - first : -1;
  float top = -INFINITY, target_logit = 0;
  int32_t place = 0x7fffffff;
  if (inside) {
    EachLogit(slice, count, own, stride, cap, [&](int64_t j, float logit) {
      if (logit > top) {
        top = logit;
        place = static_cast<int32_t>(j);
      }
      if (j == target) target_logit = logit;
    });
  }
  // Whose slice the target lies in.
  if (target >= 0 && target < count && target % kSlices == slice) {
    states.target_logit[token] = target_logit;
  }
  tops[slice][lane] = top;
  places[slice][lane] = place;
  __syncthreads();
  for (int s = 0; s < kSlices; ++s) {
    const float other = tops[s][lane];
    if (other > top || (other == top && places[s][lane] < place)) {
      top = other;
      place = places[s][lane];
    }
  }
  const float before = inside ? states.top[token] : top;
  const bool rises = top > before;
  if (!rises) top = before;
  double sum = 0;
  if (inside) {
    EachLogit(slice, count, own, stride, cap, [&](int64_t j, float logit) {
      const float weight = expf(logit - top);
      if (kept) own[j * stride] = weight;
      sum += static_cast<double>(weight);
    });
  }
  sums[slice][lane] = sum;
  __syncthreads();
  if (!inside || slice != 0) return;
  for (int s = 1; s < kSlices; ++s) sum += sums[s][lane];
  const double earlier = states.sum[token];
  const float factor = earlier > 0 ? expf(before - top) : 0.0f;
  states.factor[token] = factor;
  states.sum[token] = earlier * static_cast<double>(factor) + sum;
  states.top[token] = top;
  if (rises) states.best[token] = static_cast<int32_t>(first) + place;
}

__global__ void StartKernel(int64_t tokens, TokenStates states) {
  for (int64_t i = FirstCell(); i < tokens; i += Stride()) {
    states.top[i] = -INFINITY;
    states.sum[i] = 0;
    states.target_logit[i] = NAN;
    states.best[i] = -1;
    states.factor[i] = 0;
  }
}

// The factor becomes what sums of exponentials are divided by.
__global__ void FinishKernel(int64_t tokens, TokenStates states, double* log_sum) {
  for (int64_t i = FirstCell(); i < tokens; i += Stride()) {
    log_sum[i] = log(states.sum[i]) + static_cast<double>(states.top[i]);
    states.factor[i] = static_cast<float>(1 / states.sum[i]);
  }
}

// x[rows, cols] <- factor[row] x; after the first pieces of the vocabulary most factors are 1.
__global__ void ScaleRowsKernel(int64_t rows, int64_t cols, const float* factor, float* x) {
  for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    const float by = factor[row];
    if (by == 1.0f) continue;
    for (int64_t col = FirstCell(); col < cols; col += Stride()) x[row * cols + col] *= by;
  }
}

}  // namespace

void ScoresStart(Device& device, int64_t tokens, const TokenStates* states) {
  Launch("a start", StartKernel, GridFor(tokens), kThreads, device.compute, tokens, *states);
}

void ScoresAdd(Device& device, int64_t tokens, int64_t first, int64_t count, float* logits,
               int64_t stride, int32_t kept, float cap, const int32_t* targets,
               const TokenStates* states) {
  Launch("logits", LogitsKernel, static_cast<unsigned>(CeilDiv(tokens, kLanes)), kThreads,
         device.compute, tokens, first, count, logits, stride, kept != 0, cap, targets, *states);
}

void ScoresFinish(Device& device, int64_t tokens, const TokenStates* states, double* log_sum) {
  Launch("an end", FinishKernel, GridFor(tokens), kThreads, device.compute, tokens, *states,
         log_sum);
}

void ScaleRows(Device& device, int64_t rows, int64_t cols, const float* factor, float* x) {
  const dim3 grid(GridFor(cols), GridFor(rows, 1));
  Launch("a scale", ScaleRowsKernel, grid, kThreads, device.compute, rows, cols, factor, x);
}

}  // namespace struprune::cuda

// One thread a cell (or a pair of cells), in loops over the grid.
#include "cuda/cells.h"
#include "cuda/math.h"
#include "cuda/ops.h"
#include "ops/half.h"

namespace struprune::cuda {
namespace {

__global__ void RopeKernel(int64_t rows, int64_t heads, int64_t head_dim, int64_t half,
                           const float* cosine, const float* sine, float* x, int64_t stride,
                           int64_t first, int64_t window) {
  const int64_t count = rows * heads * half;
  for (int64_t at = FirstCell(); at < count; at += Stride()) {
    const int64_t i = at % half, head = at / half % heads, row = at / (half * heads);
    const int64_t position = (first + row) % window;
    const float c = cosine[position * half + i], s = sine[position * half + i];
    float* pair = x + row * stride + head * head_dim + i;
    const float a = pair[0], b = pair[half];
    pair[0] = a * c - b * s;
    pair[half] = b * c + a * s;
  }
}

__global__ void ActivateKernel(Gate kind, int64_t count, const float* gate, const float* up,
                               float* out) {
  for (int64_t i = FirstCell(); i < count; i += Stride()) {
    out[i] = gate ? ActivationOf(kind, gate[i]) * up[i] : ActivationOf(kind, up[i]);
  }
}

// In place: gate and up become the slopes of out by them.
__global__ void ActivateSlopesKernel(Gate kind, int64_t count, float* gate, float* up, float* out) {
  for (int64_t i = FirstCell(); i < count; i += Stride()) {
    const float linear = gate ? up[i] : 1.0f;
    const ValueAndSlope act = ActivationAndSlope(kind, gate ? gate[i] : up[i]);
    out[i] = act.value * linear;
    if (gate) gate[i] = act.slope * linear;
    up[i] = gate ? act.value : act.slope;
  }
}

__global__ void MultiplyAddKernel(int64_t count, const float* a, const float* b, float beta,
                                  float* to) {
  for (int64_t i = FirstCell(); i < count; i += Stride()) {
    to[i] = a[i] * b[i] + (beta != 0 ? beta * to[i] : 0.0f);
  }
}

__global__ void AddBiasKernel(int64_t rows, int64_t cols, const float* bias, float* x) {
  for (int64_t i = FirstCell(); i < rows * cols; i += Stride()) x[i] += bias[i % cols];
}

__global__ void CombineKernel(int64_t count, float alpha, const float* a, float beta,
                              const float* b, float* to) {
  for (int64_t i = FirstCell(); i < count; i += Stride()) to[i] = alpha * a[i] + beta * b[i];
}

// This and the next: a row a block, or several; no division, which would take longer than the
// memory.
__global__ void SplitKernel(int64_t rows, int64_t cols, const float* x, int64_t x_stride,
                            uint16_t* high, uint16_t* low, int64_t stride) {
  for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    for (int64_t col = FirstCell(); col < cols; col += Stride()) {
      const float value = x[row * x_stride + col];
      const uint16_t top = FloatToBfloat16(value);
      high[row * stride + col] = top;
      if (low) low[row * stride + col] = FloatToBfloat16(value - Bfloat16ToFloat(top));
    }
  }
}

__global__ void AddToDoubleKernel(int64_t rows, int64_t cols, const float* from,
                                  int64_t from_stride, double* to, int64_t to_stride) {
  for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    for (int64_t col = FirstCell(); col < cols; col += Stride()) {
      to[row * to_stride + col] += from[row * from_stride + col];
    }
  }
}

__global__ void AddDoublesKernel(int64_t count, const double* from, double* to) {
  for (int64_t i = FirstCell(); i < count; i += Stride()) to[i] += from[i];
}

__global__ void TestFiniteKernel(int64_t count, const float* x, int32_t* finite) {
  for (int64_t i = FirstCell(); i < count; i += Stride()) {
    // Whoever finds one writes the same value.
    if (!isfinite(x[i])) *finite = 0;
  }
}

}  // namespace

void Fill(Device& device, void* data, int32_t byte, int64_t bytes) {
  Check(cudaMemsetAsync(data, byte, static_cast<size_t>(bytes), device.compute), "a memset");
}

void Rope(Device& device, int64_t rows, int64_t heads, int64_t head_dim, int64_t half,
          const float* cosine, const float* sine, float* x, int64_t stride, int64_t first,
          int64_t window) {
  Launch("rope", RopeKernel, GridFor(rows * heads * half), kThreads, device.compute, rows, heads,
         head_dim, half, cosine, sine, x, stride, first, window);
}

void Activate(Device& device, Gate kind, int64_t count, const float* gate, const float* up,
              float* out) {
  Launch("an activation", ActivateKernel, GridFor(count), kThreads, device.compute, kind, count,
         gate, up, out);
}

void ActivateSlopes(Device& device, Gate kind, int64_t count, float* gate, float* up, float* out) {
  Launch("slopes", ActivateSlopesKernel, GridFor(count), kThreads, device.compute, kind, count,
         gate, up, out);
}

void MultiplyAdd(Device& device, int64_t count, const float* a, const float* b, float beta,
                 float* to) {
  Launch("a product of cells", MultiplyAddKernel, GridFor(count), kThreads, device.compute, count,
         a, b, beta, to);
}

void AddBias(Device& device, int64_t rows, int64_t cols, const float* bias, float* x) {
  Launch("a bias", AddBiasKernel, GridFor(rows * cols), kThreads, device.compute, rows, cols, bias,
         x);
}

void Combine(Device& device, int64_t count, float alpha, const float* a, float beta, const float* b,
             float* to) {
  Launch("a sum", CombineKernel, GridFor(count), kThreads, device.compute, count, alpha, a, beta, b,
         to);
}

void SplitBf16(Device& device, int64_t rows, int64_t cols, const float* x, int64_t x_stride,
               uint16_t* high, uint16_t* low, int64_t stride) {
  const dim3 grid(GridFor(cols, 4 * kThreads), GridFor(rows, 1));
  Launch("a split", SplitKernel, grid, kThreads, device.compute, rows, cols, x, x_stride, high, low,
         stride);
}

void AddToDouble(Device& device, int64_t rows, int64_t cols, const float* from, int64_t from_stride,
                 double* to, int64_t to_stride) {
  const dim3 grid(GridFor(cols, 4 * kThreads), GridFor(rows, 1));
  Launch("a sum of pages", AddToDoubleKernel, grid, kThreads, device.compute, rows, cols, from,
         from_stride, to, to_stride);
}

void AddDoubles(Device& device, int64_t count, const double* from, double* to) {
  Launch("a sum of segments", AddDoublesKernel, GridFor(count), kThreads, device.compute, count,
         from, to);
}

void TestFinite(Device& device, int64_t count, const float* x, int32_t* finite) {
  Launch("a test", TestFiniteKernel, GridFor(count), kThreads, device.compute, count, x, finite);
}

}  // namespace struprune::cuda

// Elementwise steps that also sum something: losses and the steps of ADMM (docs/method.md, 2).
#include "cuda/ops.h"
#include "cuda/reduce.h"

namespace struprune::cuda {
namespace {

struct Distance {
  const float *a, *b;
  __device__ Sums<1> operator()(int64_t i) const {
    const double gap = static_cast<double>(a[i]) - (b ? b[i] : 0.0f);
    return {{gap * gap}};
  }
};

struct Project {
  int64_t cols, group;
  const uint8_t* keep;
  const double *w, *u;
  double* z;
  __device__ Sums<1> operator()(int64_t i) const {
    const double before = z[i], after = keep[i % cols / group] ? w[i] + u[i] : 0.0;
    z[i] = after;
    return {{(after - before) * (after - before)}};
  }
};

struct Dual {
  const double *w, *z;
  double* u;
  __device__ Sums<4> operator()(int64_t i) const {
    const double gap = w[i] - z[i], dual = u[i] + gap;
    u[i] = dual;
    return {{gap * gap, w[i] * w[i], z[i] * z[i], dual * dual}};
  }
};

struct OffAndOn {
  int64_t n, lda;
  const double* a;
  __device__ Sums<2> operator()(int64_t i) const {
    const int64_t row = i / n, col = i % n;
    const double square = a[row * lda + col] * a[row * lda + col];
    return row == col ? Sums<2>{{0, square}} : Sums<2>{{square, 0}};
  }
};

__global__ void RightKernel(int64_t count, double rho, const double* right, const double* z,
                            const double* u, double* to) {
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    to[i] = right[i] + rho * (z[i] - u[i]);
  }
}

}  // namespace

void SquaredDistance(Device& device, int64_t count, const float* a, const float* b, double* sum) {
  SumCells<1>(device, count, Distance{a, b}, true, sum);
}

void AdmmRight(Device& device, int64_t count, double rho, const double* right, const double* z,
               const double* u, double* to) {
  Launch("an ADMM step", RightKernel, GridFor(count), kThreads, device.compute, count, rho, right,
         z, u, to);
}

void AdmmProject(Device& device, int64_t rows, int64_t groups, int64_t group, const uint8_t* keep,
                 const double* w, const double* u, double* z, double* moved) {
  const int64_t cols = groups * group;
  SumCells<1>(device, rows * cols, Project{cols, group, keep, w, u, z}, false, moved);
}

void AdmmDual(Device& device, int64_t count, const double* w, const double* z, double* u,
              double* sums) {
  SumCells<4>(device, count, Dual{w, z, u}, false, sums);
}

void OffDiagonal(Device& device, int64_t n, const double* a, int64_t lda, double* sum) {
  SumCells<2>(device, n * n, OffAndOn{n, lda, a}, false, sum);
}

}  // namespace struprune::cuda

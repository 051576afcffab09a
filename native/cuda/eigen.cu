// Eigenvalues of a symmetric matrix: cuSOLVER's divide and conquer, else Jacobi rotations of n / 2
// disjoint pairs at a time, paired as in a round-robin tournament.
#include <algorithm>
#include <numeric>
#include <vector>

#include "cuda/ops.h"

namespace struprune::cuda {
namespace {

constexpr int kSweeps = 60;
// Off-diagonal ÷ all squares at which the rotations have settled.
constexpr double kSettled = 1e-28;

struct Pair {
  int64_t p, q;
};

// Pair k of round r among m players (m even): player m - 1 stays, the others move on.
__device__ Pair PairOf(int64_t k, int64_t round, int64_t m) {
  const int64_t a = k == 0 ? m - 1 : (round + k) % (m - 1);
  const int64_t b = (round + m - 1 - k) % (m - 1);
  return a < b ? Pair{a, b} : Pair{b, a};
}

// cosine and sine[m / 2] of the rotations that zero the pairs' cells.
__global__ void AnglesKernel(int64_t n, int64_t m, int64_t round, const double* a, int64_t lda,
                             double* cosine, double* sine) {
  const int64_t k = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (k >= m / 2) return;
  const auto [p, q] = PairOf(k, round, m);
  double c = 1, s = 0;
  if (q < n && a[p * lda + q] != 0) {
    const double theta = (a[q * lda + q] - a[p * lda + p]) / (2 * a[p * lda + q]);
    const double t = (theta >= 0 ? 1.0 : -1.0) / (fabs(theta) + sqrt(theta * theta + 1));
    c = 1 / sqrt(t * t + 1);
    s = t * c;
  }
  cosine[k] = c;
  sine[k] = s;
}

// Rows p and q of x[n, cols] are turned, or with kColumns columns p and q of x[cols, n].
template <bool kColumns>
__global__ void TurnKernel(int64_t n, int64_t m, int64_t round, const double* cosine,
                           const double* sine, int64_t cols, double* x, int64_t ldx) {
  const int64_t count = m / 2 * cols;
  for (int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; at < count;
       at += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const int64_t k = kColumns ? at % (m / 2) : at / cols, j = kColumns ? at / (m / 2) : at % cols;
    const auto [p, q] = PairOf(k, round, m);
    if (q >= n) continue;  // the player that an odd n lacks
    double* first = kColumns ? x + j * ldx + p : x + p * ldx + j;
    double* second = kColumns ? x + j * ldx + q : x + q * ldx + j;
    const double u = *first, v = *second;
    *first = cosine[k] * u - sine[k] * v;
    *second = sine[k] * u + cosine[k] * v;
  }
}

template <typename T>
std::vector<T> ToHost(Device& device, const T* from, int64_t count) {
  std::vector<T> values(static_cast<size_t>(count));
  Check(cudaMemcpyAsync(values.data(), from, values.size() * sizeof(T), cudaMemcpyDeviceToHost,
                        device.compute),
        "a copy");
  Check(cudaStreamSynchronize(device.compute), "an eigendecomposition");
  return values;
}

void Sweep(Device& device, int64_t n, int64_t m, double* a, int64_t lda, double* vectors,
           double* cosine, double* sine) {
  for (int64_t round = 0; round < m - 1; ++round) {
    Launch("rotations", AnglesKernel, GridFor(m / 2), kThreads, device.compute, n, m, round, a, lda,
           cosine, sine);
    Launch("rotations", TurnKernel<false>, GridFor(m / 2 * n), kThreads, device.compute, n, m,
           round, cosine, sine, n, a, lda);
    Launch("rotations", TurnKernel<true>, GridFor(m / 2 * n), kThreads, device.compute, n, m, round,
           cosine, sine, n, a, lda);
    Launch("rotations", TurnKernel<false>, GridFor(m / 2 * n), kThreads, device.compute, n, m,
           round, cosine, sine, n, vectors, n);
  }
}

void Jacobi(Device& device, int64_t n, double* a, int64_t lda, double* w) {
  const int64_t m = n + n % 2;
  auto vectors = device.Allocate<double>(n * n);
  auto angles = device.Allocate<double>(m);
  auto sums = device.Allocate<double>(2);
  UnitMatrix(device, n, vectors.data());
  for (int sweep = 0; n > 1; ++sweep) {
    OffDiagonal(device, n, a, lda, sums.data());
    const std::vector<double> squares = ToHost(device, sums.data(), 2);
    if (squares[0] <= kSettled * (squares[0] + squares[1])) break;
    if (sweep == kSweeps) {
      throw Error("ERR_NUMERIC", "the eigenvalues of a matrix did not settle",
                  "install cuSOLVER, or use --device cpu");
    }
    Sweep(device, n, m, a, lda, vectors.data(), angles.data(), angles.data() + m / 2);
  }
  ReadDiagonal(device, n, a, lda, w);
  std::vector<double> values = ToHost(device, w, n);
  std::vector<int32_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t i, int32_t j) { return values[i] < values[j]; });
  std::sort(values.begin(), values.end());
  auto indices = device.Allocate<int32_t>(n);
  auto sorted = device.Allocate<double>(n * n);
  Check(cudaMemcpyAsync(indices.data(), order.data(), order.size() * sizeof(int32_t),
                        cudaMemcpyHostToDevice, device.compute),
        "a copy");
  Check(cudaMemcpyAsync(w, values.data(), values.size() * sizeof(double), cudaMemcpyHostToDevice,
                        device.compute),
        "a copy");
  GatherRows(device, n, n, indices.data(), vectors.data(), sorted.data());
  Check(cudaMemcpy2DAsync(a, static_cast<size_t>(lda) * sizeof(double), sorted.data(),
                          static_cast<size_t>(n) * sizeof(double),
                          static_cast<size_t>(n) * sizeof(double), static_cast<size_t>(n),
                          cudaMemcpyDeviceToDevice, device.compute),
        "a copy");
  // The host's vectors must outlive the copies from them.
  Check(cudaStreamSynchronize(device.compute), "an eigendecomposition");
}

}  // namespace

void Eigen(Device& device, int64_t n, double* a, int64_t lda, double* w) {
  if (n == 0) return;
  const Solver* const found = device.FindSolver();
  if (!found) return Jacobi(device, n, a, lda, w);
  const Solver& solver = *found;
  const int size = Int(n), stride = Int(lda);
  int count = 0;
  CheckSolver(solver.calls().syevd_size(solver.handle(), kEigVectors, kFillLower, size, a, stride,
                                        w, &count),
              "cusolverDnDsyevd_bufferSize");
  auto work = device.Allocate<double>(count);
  auto info = device.Allocate<int32_t>(1);
  // Eigenvectors are columns of the column-major result: rows of ours.
  CheckSolver(solver.calls().syevd(solver.handle(), kEigVectors, kFillLower, size, a, stride, w,
                                   work.data(), count, info.data()),
              "cusolverDnDsyevd");
  const int32_t status = ToHost(device, info.data(), 1)[0];
  if (status < 0) {
    throw Error("ERR_INTERNAL", "cusolverDnDsyevd refused its argument " + std::to_string(-status));
  }
  if (status != 0) {
    throw Error("ERR_NUMERIC", "the eigenvalues of a matrix did not settle", "raise --lambda");
  }
}

}  // namespace struprune::cuda

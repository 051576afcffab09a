#include "solver/kronecker.h"

#include "ops/gemm.h"

namespace struprune {
namespace {

// Share of the diagonal, and of its mean for dead channels, that is added before factoring.
constexpr double kDamping = 0.5, kFloor = 1e-6;

void Factor(size_t n, double* a) {
  double mean = 0;
  for (size_t i = 0; i < n; ++i) mean += a[i * n + i] / static_cast<double>(n);
  const double floor = mean > 0 ? kFloor * mean : 1.0;
  for (size_t i = 0; i < n; ++i) a[i * n + i] += kDamping * a[i * n + i] + floor;
  if (Cholesky(n, a, n)) return;
  throw Error("ERR_NUMERIC", "the curvature of an FFN could not be factored",
              "choose --ffn-solver output, or calibrate on more tokens");
}

void Transpose(size_t rows, size_t cols, const double* from, double* to) {
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < cols; ++j) to[j * rows + i] = from[i * cols + j];
  }
}

}  // namespace

KroneckerInverse::KroneckerInverse(Context& context, double tokens, size_t n, Buffer<double> inputs,
                                   size_t width, std::vector<Buffer<double>> curvatures)
    : context_(context),
      tokens_(tokens),
      n_(n),
      width_(width),
      inputs_(std::move(inputs)),
      curvatures_(std::move(curvatures)) {
  context_.pool.ParallelFor(curvatures_.size() + 1, [&](size_t task, size_t) {
    if (task == curvatures_.size()) return Factor(n_, inputs_.data());
    Factor(width_, curvatures_[task].data());
  });
}

void KroneckerInverse::Apply(const double* r, double* z) const {
  const size_t cells = width_ * n_;
  Buffer<double> transposed = context_.Allocate<double>(cells);
  for (size_t part = 0; part < curvatures_.size(); ++part) {
    Transpose(width_, n_, r + part * cells, transposed.data());
    ParallelCholeskySolveRows(context_, width_, curvatures_[part].data(), width_, n_,
                              transposed.data(), width_);
    double* to = z + part * cells;
    Transpose(n_, width_, transposed.data(), to);
    ParallelCholeskySolveRows(context_, n_, inputs_.data(), n_, width_, to, n_);
    for (size_t c = 0; c < cells; ++c) to[c] *= tokens_;
  }
}

}  // namespace struprune

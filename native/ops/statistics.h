// What a calibration run keeps of a linear map's input: token count, column sums, squares or the
// whole Gram matrix, and the cross products with a target's residual.
#pragma once

#include <cstddef>
#include <memory>

#include "core/context.h"

namespace struprune {

class Statistics {
 public:
  // dim = columns of X. with_gram false keeps diag(XᵀX) only. residual_dim > 0 also keeps RᵀX.
  Statistics(std::shared_ptr<Context> context, size_t dim, bool with_gram, size_t residual_dim);

  // Adds x[rows, dim] (contiguous) and, when the cross products are kept, residual[rows,
  // residual_dim]. Products of kTokenPage rows are summed in float, pages in double: the result
  // depends on neither the number of threads nor how the rows were cut, as long as every cut is a
  // multiple of kTokenPage.
  void Add(size_t rows, const float* x, const float* residual);

  // Adds what was summed elsewhere (on a GPU): rows [first, first + count) of the Gram matrix, of
  // which the cells up to the diagonal count; and the other sums of `tokens` rows, cross,
  // residual_sums and residual_energy only where they are kept.
  void AddGramRows(size_t first, size_t count, const double* rows);
  void AddSums(size_t tokens, const double* squares, const double* sums, const double* cross,
               const double* residual_sums, double residual_energy);

  size_t dim() const { return dim_; }
  size_t residual_dim() const { return residual_dim_; }
  size_t tokens() const { return tokens_; }
  bool has_gram() const { return !gram_.empty(); }
  const double* gram() const { return gram_.data(); }        // [dim, dim], symmetric
  const double* squares() const { return squares_.data(); }  // [dim] = diag of the Gram
  const double* sums() const { return sums_.data(); }        // [dim]
  const double* cross() const { return cross_.data(); }      // [residual_dim, dim] = RᵀX
  const double* residual_sums() const { return residual_sums_.data(); }  // [residual_dim]
  double residual_energy() const { return residual_energy_; }            // ‖R‖²

  static constexpr size_t kTokenPage = 512;

 private:
  void AddPage(size_t rows, const float* x, const float* residual);

  std::shared_ptr<Context> context_;
  const size_t dim_, residual_dim_;
  size_t tokens_ = 0;
  double residual_energy_ = 0;
  Buffer<double> gram_, squares_, sums_, cross_, residual_sums_;
  Buffer<float> tiles_;  // one product tile a worker
};

}  // namespace struprune

// Sums over calibration tokens of the inputs X of a linear map: column sums, column squares and,
// when wanted, the whole Gram matrix, and the cross products with a target's residual.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "ops/packed_operand.h"
#include "tiles/tile_matrix.h"

namespace struprune {

class Statistics {
 public:
  // Of columns X, their Gram matrix and as many of a residual.
  struct Sizes {
    size_t dim = 0;
    bool gram = false;
    size_t residual = 0;
  };
  // Of sums in tiles of the canonical size; Buffers: of what does not lie in them.
  static Needs NeedsOf(const Context& context, const Sizes& sizes, bool paged);
  static Needs Buffers(const Context& context, const Sizes& sizes);
  // Useful flops of a Gram matrix: two a token and pair of columns, of half of the pairs.
  static double GramFlops(size_t dim, size_t tokens) {
    return static_cast<double>(dim) * static_cast<double>(dim) * static_cast<double>(tokens);
  }

  // dim = columns of X. with_gram false keeps diag(XᵀX) only. residual_dim > 0 also keeps RᵀX.
  Statistics(const TileSpace& space, size_t dim, bool with_gram, size_t residual_dim);

  // Adds x[rows, dim] (contiguous) and, when the cross products are kept, residual[rows,
  // residual_dim]. Products of TokenPage() rows are summed in float, pages in double: the result
  // depends on neither the number of threads nor how the rows were cut, as long as every cut is a
  // multiple of that. A tile is in memory once a call, whatever the rows.
  void Add(size_t rows, const float* x, const float* residual);

  // Adds what was summed elsewhere (on a GPU): rows [first, first + count) of the Gram matrix, of
  // which the cells up to the diagonal count; of the cross products, their columns [column, column
  // + columns); and the other sums of `tokens` rows, null where they are not wanted.
  void AddGramRows(size_t first, size_t count, const double* rows);
  void AddCrossRows(size_t first, size_t count, size_t column, size_t columns, const double* rows);
  void AddSums(size_t tokens, const double* squares, const double* sums,
               const double* residual_sums, double residual_energy);

  const TileSpace& space() const { return space_; }
  size_t dim() const { return dim_; }
  size_t residual_dim() const { return residual_dim_; }
  size_t tokens() const { return tokens_; }
  bool has_gram() const { return gram_ != nullptr; }
  // Bytes of tiles that the first rows will make.
  size_t unmade() const;
  // [dim, dim] symmetric; null without.
  std::shared_ptr<const TileMatrix<double>> gram() const { return gram_; }
  const double* squares() const { return squares_.data(); }  // [dim] = diag of the Gram
  const double* sums() const { return sums_.data(); }        // [dim]
  // [residual_dim, dim] = RᵀX; null without.
  std::shared_ptr<const TileMatrix<double>> cross() const { return cross_; }
  const double* residual_sums() const { return residual_sums_.data(); }  // [residual_dim]
  double residual_energy() const;                                        // ‖R‖²

  // Of the thread's GEMM path. Products of rounded operands get longer pages, whose sums are still
  // more exact than they are: every page costs a pass over the doubles.
  static size_t TokenPage();
  static constexpr size_t kExactPage = 512, kRoundedPage = 2048;

 private:
  struct Input {
    size_t rows;
    const float *x, *residual;
  };
  // Tiles of columns as the operands of all products that they are in; none where they are not
  // packed.
  struct Columns {
    std::vector<PackedOperand> x, x_transposed, residual_transposed;
  };
  Columns Pack(const Input& input) const;
  void AddProducts(const Input& input);
  void AddProduct(const Input& input, const Columns& packed, TileMatrix<double>& sum, size_t i,
                  size_t j, float* product);

  const TileSpace space_;
  const size_t dim_, residual_dim_;
  size_t tokens_ = 0;
  double other_energy_ = 0;  // ‖R‖² of what was summed elsewhere
  std::shared_ptr<TileMatrix<double>> gram_, cross_;
  Buffer<double> squares_, sums_, residual_squares_, residual_sums_;
  Buffer<float> products_;  // one tile a worker
};

}  // namespace struprune

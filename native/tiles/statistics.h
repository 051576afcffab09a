// Sums over calibration tokens of the inputs X of a linear map: column sums, column squares and,
// when wanted, the whole Gram matrix, and the cross products with a target's residual.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "core/segments.h"
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
  // Of the sums of segments before the one at hand, while such tokens are added to all of these,
  // beside them.
  static Needs WaitingNeeds(const Context& context, std::span<const Sizes> all,
                            const TokenPages& tokens);
  // Useful flops of a Gram matrix: two a token and pair of columns, of half of the pairs.
  static double GramFlops(size_t dim, size_t tokens) {
    return static_cast<double>(dim) * static_cast<double>(dim) * static_cast<double>(tokens);
  }

  // dim = columns of X. with_gram false keeps diag(XᵀX) only. residual_dim > 0 also keeps RᵀX.
  // `share`: of tokens that ranks share, whose sums are joined with those of the others.
  Statistics(const TileSpace& space, size_t dim, bool with_gram, size_t residual_dim,
             Share share = {});
  Statistics(const Statistics&) = delete;
  Statistics& operator=(const Statistics&) = delete;

  // Adds x[rows, dim] (contiguous) and, when the cross products are kept, residual[rows,
  // residual_dim], of one segment. Products of `page` rows are summed in float, pages in double:
  // the result depends on neither the number of threads nor how the rows were cut, as long as every
  // cut is a multiple of that. A tile is in memory once a call, whatever the rows.
  void Add(size_t segment, size_t rows, const float* x, const float* residual,
           size_t page = TokenPage());
  // Joins the segments, which otherwise who first asks for a sum does; where ranks share the tokens
  // every pass over them ends with it, on all ranks.
  void Join();

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
  bool has_gram() const { return with_gram_; }
  // Bytes of tiles that rows of the segments will make.
  size_t Unmade(const Segments& segments) const;
  // [dim, dim] symmetric; null without.
  std::shared_ptr<const TileMatrix<double>> gram() { return sums_.Total().gram; }
  const double* squares() { return sums_.Total().squares.data(); }  // [dim] = diag of the Gram
  const double* sums() { return sums_.Total().sums.data(); }        // [dim]
  // [residual_dim, dim] = RᵀX; null without.
  std::shared_ptr<const TileMatrix<double>> cross() { return sums_.Total().cross; }
  const double* residual_sums() { return sums_.Total().residual_sums.data(); }  // [residual_dim]
  double residual_energy();                                                     // ‖R‖²

  // Of the thread's GEMM path. Products of rounded operands get longer pages, whose sums are still
  // more exact than they are: every page costs a pass over the doubles.
  static size_t TokenPage();
  static constexpr size_t kExactPage = 512, kRoundedPage = 2048;

 private:
  // Of a segment, or of some that were joined.
  struct Sums {
    void operator+=(Sums&& from);
    std::shared_ptr<TileMatrix<double>> gram, cross;  // null: not wanted
    Buffer<double> squares, sums, residual_squares, residual_sums;
    double other_energy = 0;  // ‖R‖² of what was summed elsewhere
  };
  struct Input {
    size_t rows;
    const float *x, *residual;
    size_t page;
  };
  // Tiles of columns as the operands of all products that they are in; none where they are not
  // packed.
  struct Columns {
    std::vector<PackedOperand> x, x_transposed, residual_transposed;
  };
  Sums Zero() const;
  void JoinRanksOf();
  Columns Pack(const Input& input) const;
  void AddProducts(const Input& input, Sums& to);
  void AddProduct(const Input& input, const Columns& packed, bool cross, TileMatrix<double>& sum,
                  size_t i, size_t j, float* product) const;

  const TileSpace space_;
  const size_t dim_, residual_dim_;
  const bool with_gram_;
  Share share_;  // of one alone, once it is joined
  size_t tokens_ = 0;
  SegmentSums<Sums> sums_;
  Buffer<float> products_;  // one tile a worker
};

// XᵀX less what such means of the columns account for: tokens · means meansᵀ.
std::shared_ptr<const TileMatrix<double>> GramAbout(std::span<const double> means,
                                                    Statistics& statistics);

}  // namespace struprune

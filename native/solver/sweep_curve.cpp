// The exact cost and error of every step of a known order, from one Cholesky.
//
// Order the columns as [kept, last removed, …, first removed] and factor H_λ = L Lᵀ. The refit on
// the leading k columns is Σ_{i<k} t_i l_i with l_i the rows of L⁻¹ and t_i the columns of T = W*
// L, so going from k+1 columns to k subtracts t_k l_k from Ŵ and raises the penalised error by
// ‖t_k‖²_G. The penalty Σ_j Λ_j ‖Ŵ_j − W_j‖²_G moves by Σ_j Λ_j (l_kj² ‖t_k‖² − 2 l_kj (⟨W*_j −
// W_j, t_k⟩ − Σ_{i>k} l_ij ⟨t_i, t_k⟩)), and the error is one minus the other. Everything starts at
// the dense end and sums small numbers.
//
// K stands for the kept columns, R for the removed ones in that order; L, its inverse and W* − W
// are held as their blocks.
#include <algorithm>

#include "solver/sweep_state.h"
#include "tiles/cholesky.h"
#include "tiles/elementwise.h"
#include "tiles/gather.h"
#include "tiles/multiply.h"
#include "tiles/reduce.h"
#include "tiles/run_tiles.h"

namespace struprune {
namespace {

// Zeros on and above the diagonal of a symmetric matrix.
void KeepStrictlyLower(TileMatrix<double>& matrix) {
  for (size_t i = 0; i < matrix.rows().tiles(); ++i) {
    const auto tile = matrix.Update(i, i);
    for (size_t r = 0; r < tile.rows; ++r) std::fill(tile.row(r) + r, tile.row(r) + tile.cols, 0.0);
  }
  matrix.set_shape(Shape::kLower);
}

class CurveMeasure {
 public:
  CurveMeasure(const SiteProblem& site, const SweepOptions& options, const Ridge& ridge,
               const std::vector<int32_t>& order, TileMatrix<double> shift)
      : site_(site), options_(options), ridge_(ridge) {
    std::vector<uint8_t> keep(site.groups(), 1);
    for (const int32_t group : order) keep[group] = 0;
    kept_ = SplitColumns(site, keep).kept;
    const auto width = static_cast<int32_t>(site.input().group);
    for (auto group = order.rbegin(); group != order.rend(); ++group) {
      for (int32_t c = 0; c < width; ++c) removed_.push_back(*group * width + c);
    }
    if (shift.rows().size() == 0) return;
    shift_k_ = ColumnsOf(shift, kept_);
    shift_r_ = ColumnsOf(shift, removed_);
    shift = {};
  }

  std::optional<ExactCurve> Run() {
    if (!Factor()) return std::nullopt;
    SolveUnconstrained();
    MakeSteps();
    InvertRows();
    MeasureSteps();
    return Sum();
  }

 private:
  bool Factor() {
    factor_kk_ = site_.GatherRidged(options_.bias, ridge_, kept_);
    if (!FactorCholesky(factor_kk_)) return false;
    factor_rk_ = site_.GatherGram(options_.bias, removed_, kept_);
    SolveForward(factor_kk_, factor_rk_);
    factor_rr_ = site_.GatherRidged(options_.bias, ridge_, removed_);
    Multiply(-1, {factor_rk_}, {factor_rk_, Trans::kYes}, 1, factor_rr_);
    return FactorCholesky(factor_rr_);
  }

  static TileMatrix<double> ColumnsOf(const TileMatrix<double>& from,
                                      const std::vector<int32_t>& columns) {
    TileMatrix<double> to(from.space(), from.rows().size(), columns.size());
    Gather(from, AllOf(to.rows()), columns, to);
    return to;
  }

  // shift = W* − W = D H_λ⁻¹; none when R = 0.
  void SolveUnconstrained() {
    if (!site_.has_cross() || shift_k_.rows().size() > 0) return;
    shift_k_ = site_.GatherCross(options_.bias, kept_);
    shift_r_ = site_.GatherCross(options_.bias, removed_);
    SolveForward(factor_kk_, shift_k_);
    Multiply(-1, {shift_k_}, {factor_rk_, Trans::kYes}, 1, shift_r_);
    SolveForward(factor_rr_, shift_r_);
    SolveBackward(factor_rr_, shift_r_);
    Multiply(-1, {shift_r_}, {factor_rk_}, 1, shift_k_);
    SolveBackward(factor_kk_, shift_k_);
  }

  // steps_ = T's last columns = W*_R L_RR [out, removed].
  void MakeSteps() {
    TileMatrix<double> weight = site_.GatherWeight(removed_);
    if (site_.has_cross()) Add(1, shift_r_, weight);
    steps_ = TileMatrix<double>(site_.space(), site_.out(), removed_.size());
    Multiply(1, {weight}, {factor_rr_}, 0, steps_);
  }

  // The last rows of L⁻¹: L_RR⁻¹ on R, −L_RR⁻¹ L_RK L_KK⁻¹ on K.
  void InvertRows() {
    rows_r_ = InvertLower(factor_rr_);
    rows_k_ = TileMatrix<double>(site_.space(), removed_.size(), kept_.size());
    Multiply(-1, {rows_r_}, {factor_rk_}, 0, rows_k_);
    SolveBackward(factor_kk_, rows_k_);
    for (TileMatrix<double>* used : {&factor_kk_, &factor_rk_, &factor_rr_}) *used = {};
  }

  // Per removed column: ‖t‖² in both metrics and the change of the penalty.
  void MeasureSteps() {
    TileMatrix<double> storage;
    if (options_.selection != options_.curve) {
      selected_ = ColumnDots(site_.ApplyMetric(options_.selection, steps_, storage), steps_);
    }
    const TileMatrix<double>& weighted = site_.ApplyMetric(options_.curve, steps_, storage);
    measured_ = ColumnDots(weighted, steps_);
    if (options_.selection == options_.curve) selected_ = measured_;

    // products_ir = ⟨t_i, t_r⟩ for columns i that went before r (i > r).
    TileMatrix<double> products(site_.space(), removed_.size(), removed_.size(), Shape::kSymmetric);
    Multiply(1, {steps_, Trans::kYes}, {weighted}, 0, products);
    KeepStrictlyLower(products);
    penalty_.assign(removed_.size(), 0);
    AddPenalty(kept_, rows_k_, weighted, products, shift_k_);
    AddPenalty(removed_, rows_r_, weighted, products, shift_r_);
  }

  // What the columns of one block, with their part of L⁻¹'s rows, add to the change of the penalty.
  void AddPenalty(const std::vector<int32_t>& columns, const TileMatrix<double>& rows,
                  const TileMatrix<double>& weighted, const TileMatrix<double>& products,
                  const TileMatrix<double>& shift) {
    // inner[r, j] = Σ_{i>r} l_ij ⟨t_i, t_r⟩ − ⟨W*_j − W_j, t_r⟩.
    TileMatrix<double> inner(site_.space(), removed_.size(), columns.size(), rows.shape());
    Multiply(1, {products, Trans::kYes}, {rows}, 0, inner);
    if (site_.has_cross()) Multiply(-1, {weighted, Trans::kYes}, {shift}, 1, inner);
    // One task a row of tiles, which `inner` and `rows` may end at the diagonal.
    const TileAxis &lines = rows.rows(), &blocks = rows.cols();
    const auto blocks_of = [&](size_t i) {
      size_t count = 0;
      while (count < blocks.tiles() && rows.Has(i, count)) ++count;
      return count;
    };
    RunTiles(
        rows.space(), lines.tiles(),
        [&](size_t i, Visits& visits) {
          for (size_t j = 0; j < blocks_of(i); ++j) {
            visits.push_back(rows.At(i, j));
            visits.push_back(inner.At(i, j));
          }
        },
        [&](size_t i, size_t) {
          for (size_t j = 0; j < blocks_of(i); ++j) {
            const auto l = rows.Read(i, j), product = std::as_const(inner).Read(i, j);
            const int32_t* own = columns.data() + blocks.begin(j);
            for (size_t r = 0; r < l.rows; ++r) {
              const double square = measured_[lines.begin(i) + r];
              double sum = 0;
              for (size_t c = 0; c < l.cols; ++c) {
                const double value = l.row(r)[c];
                sum += ridge_.diagonal[own[c]] * value * (value * square + 2 * product.row(r)[c]);
              }
              penalty_[lines.begin(i) + r] += sum;
            }
          }
        });
  }

  // The error before any removal: ‖R‖² − tr(D Δ*ᵀ) − tr(Δ* Λ Δ*ᵀ), Δ* = W* − W.
  double DenseError() const {
    const double error = site_.residual_norm_sq(options_.curve, options_.bias);
    if (!site_.has_cross()) return error;
    return error - site_.unit(options_.curve) *
                       (DenseGain(kept_, shift_k_) + DenseGain(removed_, shift_r_));
  }

  double DenseGain(const std::vector<int32_t>& columns, const TileMatrix<double>& shift) const {
    TileMatrix<double> cross = site_.GatherCross(options_.bias, columns);
    EachTile(
        [&](size_t i, size_t j) {
          const auto to = cross.Update(i, j);
          const auto from = shift.Read(i, j);
          const int32_t* own = columns.data() + cross.cols().begin(j);
          for (size_t r = 0; r < to.rows; ++r) {
            for (size_t c = 0; c < to.cols; ++c) {
              to.row(r)[c] += ridge_.diagonal[own[c]] * from.row(r)[c];
            }
          }
        },
        cross, shift);
    TileMatrix<double> storage;
    return Dot(site_.ApplyMetric(options_.curve, shift, storage), cross);
  }

  ExactCurve Sum() const {
    ExactCurve curve;
    double error = DenseError();
    curve.error.push_back(error);
    const size_t width = site_.input().group;
    for (size_t end = removed_.size(); end > 0; end -= width) {
      double cost = 0;
      for (size_t r = end; r-- > end - width;) {
        cost += site_.unit(options_.selection) * selected_[r];
        error += site_.unit(options_.curve) * (measured_[r] - penalty_[r]);
      }
      curve.cost.push_back(cost);
      curve.error.push_back(error);
    }
    return curve;
  }

  const SiteProblem& site_;
  const SweepOptions& options_;
  const Ridge& ridge_;
  std::vector<int32_t> kept_, removed_;                   // removed: the first removal last
  TileMatrix<double> factor_kk_, factor_rk_, factor_rr_;  // L
  TileMatrix<double> shift_k_, shift_r_;                  // [out, kept], [out, removed]
  TileMatrix<double> steps_;                              // [out, removed]
  TileMatrix<double> rows_k_, rows_r_;                    // [removed, kept], [removed, removed]
  std::vector<double> selected_, measured_, penalty_;     // [removed]
};

}  // namespace

size_t CurveTiles(const ProblemShape& shape, size_t removed) {
  const size_t kept = shape.in - removed, metric = shape.fisher ? 2 : 1;
  const size_t shift = shape.cross ? MapBytes(shape, kept) + MapBytes(shape, removed) : 0;
  const size_t rows_r = HalfBytes(removed), rows_k = TileBytes(removed, kept);
  const size_t factor = HalfBytes(kept) + rows_k + rows_r, steps = MapBytes(shape, removed);
  return std::max({
      shape.cross ? MapBytes(shape, shape.in) + shift : 0,  // the constructor, and
      shift + factor + 2 * steps,                           // MakeSteps
      shift + factor + steps + rows_k + rows_r,             // InvertRows
      shift + rows_k + rows_r + metric * steps + HalfBytes(removed) +
          std::max(rows_k, rows_r),  // MeasureSteps
      shape.cross ? shift + rows_k + rows_r + steps + metric * MapBytes(shape, kept)
                  : 0,  // DenseGain
  });
}

std::optional<ExactCurve> MeasureCurve(const SiteProblem& site, const SweepOptions& options,
                                       const Ridge& ridge, const std::vector<int32_t>& order,
                                       TileMatrix<double> shift) {
  return CurveMeasure(site, options, ridge, order, std::move(shift)).Run();
}

}  // namespace struprune

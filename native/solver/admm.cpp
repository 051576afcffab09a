#include "solver/admm.h"

#include <cmath>
#include <numeric>
#include <utility>

#include "tiles/cholesky.h"
#include "tiles/elementwise.h"
#include "tiles/gather.h"
#include "tiles/multiply.h"
#include "tiles/reduce.h"

namespace struprune {
namespace {

double Norm(const TileMatrix<double>& matrix) { return std::sqrt(Dot(matrix, matrix)); }

// One sum a tile, added up in order.
class TileSums {
 public:
  explicit TileSums(const TileMatrix<double>& matrix)
      : columns_(matrix.cols().tiles()), sums_(matrix.rows().tiles() * columns_) {}
  double& at(size_t i, size_t j) { return sums_[i * columns_ + j]; }
  double Total() const { return std::accumulate(sums_.begin(), sums_.end(), 0.0); }

 private:
  const size_t columns_;
  std::vector<double> sums_;
};

// Element (r, c) of a tile, for every one.
template <typename Work>
void EachElement(const Tile<double>& tile, Work work) {
  for (size_t r = 0; r < tile.rows; ++r) {
    for (size_t c = 0; c < tile.cols; ++c) work(r, c);
  }
}

}  // namespace

Needs AdmmNeeds(const Context& context, const ProblemShape& shape) {
  // A, the factor and the next one; Ŵ, Z, U and the right side.
  const size_t tiles = 3 * HalfBytes(shape.in) + 4 * MapBytes(shape, shape.in);
  return StepNeeds(context, shape, tiles);
}

AdmmState::AdmmState(std::shared_ptr<const SiteProblem> site, bool bias) : site_(std::move(site)) {
  const size_t in = site_->in(), out = site_->out();
  const std::vector<int32_t> all = AllOf(site_->input().gram->cols());

  // The ridge must make H_λ itself positive, not only A + ρI: the refit at the end uses it.
  const Ridge ridge =
      WithRisingRidge(*site_, bias, [&](const Ridge& tried) -> std::optional<Ridge> {
        factor_ = site_->GatherRidged(bias, tried, all);
        return FactorCholesky(factor_) ? std::optional(tried) : std::nullopt;
      });
  lambda_ = ridge.lambda;
  ridge_raised_ = ridge.raised;

  matrix_ = site_->GatherRidged(bias, ridge, all);
  weight_ = site_->GatherWeight(all);
  dual_ = TileMatrix<double>(site_->space(), out, in);
  right_ = site_->has_cross() ? site_->GatherCross(bias, all)
                              : TileMatrix<double>(site_->space(), out, in);
  TileMatrix<double> shift = Copy(right_);  // W* − W
  if (site_->has_cross()) {
    SolveForward(factor_, shift);
    SolveBackward(factor_, shift);
  }
  Multiply(1, {weight_}, {matrix_}, 1, right_);
  Add(1, shift, weight_);

  std::vector<double> scale = Diagonal(matrix_);
  for (double& value : scale) value = std::sqrt(value);
  const TileAxis axis = matrix_.rows();
  EachTile(
      [&](size_t i, size_t j) {
        const auto tile = matrix_.Update(i, j);
        const double *left = scale.data() + axis.begin(i), *right = scale.data() + axis.begin(j);
        EachElement(tile, [&](size_t r, size_t c) { tile.row(r)[c] /= left[r] * right[c]; });
      },
      matrix_);
  EachTile(
      [&](size_t i, size_t j) {
        const auto weight = weight_.Update(i, j), right = right_.Update(i, j);
        const double* own = scale.data() + axis.begin(j);
        EachElement(weight, [&](size_t r, size_t c) {
          weight.row(r)[c] *= own[c];
          right.row(r)[c] /= own[c];
        });
      },
      weight_, right_);
  target_ = Copy(weight_);
}

void AdmmState::SetRho(double rho) {
  if (!(rho > 0) || !std::isfinite(rho)) {
    throw Error("ERR_ARGUMENT", "ADMM's rho must be a finite number > 0");
  }
  factor_ = Copy(matrix_);
  for (size_t i = 0; i < factor_.rows().tiles(); ++i) {
    const auto tile = factor_.Update(i, i);
    for (size_t r = 0; r < tile.rows; ++r) tile.row(r)[r] += rho;
  }
  if (!FactorCholesky(factor_)) {
    throw Error("ERR_NUMERIC", "the matrix of an ADMM step could not be factored",
                "raise --lambda");
  }
  if (rho_ > 0) Scale(rho_ / rho, dual_);
  rho_ = rho;
}

void AdmmState::Solve() {
  if (rho_ <= 0) throw Error("ERR_ARGUMENT", "ADMM needs its rho before the first step");
  EachTile(
      [&](size_t i, size_t j) {
        const auto weight = weight_.Write(i, j);
        const auto right = std::as_const(right_).Read(i, j), target = target_.Read(i, j),
                   dual = dual_.Read(i, j);
        EachElement(weight, [&](size_t r, size_t c) {
          weight.row(r)[c] = right.row(r)[c] + rho_ * (target.row(r)[c] - dual.row(r)[c]);
        });
      },
      weight_, right_, target_, dual_);
  SolveForward(factor_, weight_);
  SolveBackward(factor_, weight_);
}

std::vector<double> AdmmState::GroupEnergies() const {
  const TileAxis columns = weight_.cols();
  std::vector<double> squares(columns.size(), 0.0);
  RunTiles(
      weight_.space(), columns.tiles(),
      [&](size_t j, Visits& visits) {
        for (size_t i = 0; i < weight_.rows().tiles(); ++i) {
          visits.push_back(weight_.At(i, j));
          visits.push_back(dual_.At(i, j));
        }
      },
      [&](size_t j, size_t) {
        double* to = squares.data() + columns.begin(j);
        for (size_t i = 0; i < weight_.rows().tiles(); ++i) {
          const auto weight = weight_.Read(i, j), dual = dual_.Read(i, j);
          for (size_t r = 0; r < weight.rows; ++r) {
            const double *w = weight.row(r), *u = dual.row(r);
            for (size_t c = 0; c < weight.cols; ++c) to[c] += (w[c] + u[c]) * (w[c] + u[c]);
          }
        }
      });
  std::vector<double> energies(site_->groups());
  for (size_t j = 0; j < squares.size(); ++j) energies[j / site_->input().group] += squares[j];
  return energies;
}

void AdmmState::Project(std::span<const uint8_t> keep) {
  if (keep.size() != site_->groups())
    throw Error("ERR_ARGUMENT", "ADMM's mask needs one byte a group");
  const size_t group = site_->input().group;
  TileSums moved(target_);
  EachTile(
      [&](size_t i, size_t j) {
        const auto target = target_.Update(i, j);
        const auto weight = std::as_const(weight_).Read(i, j), dual = dual_.Read(i, j);
        double sum = 0;
        EachElement(target, [&](size_t r, size_t c) {
          const bool kept = keep[(target_.cols().begin(j) + c) / group] != 0;
          const double value = kept ? weight.row(r)[c] + dual.row(r)[c] : 0.0;
          const double change = value - target.row(r)[c];
          sum += change * change;
          target.row(r)[c] = value;
        });
        moved.at(i, j) = sum;
      },
      target_, weight_, dual_);
  moved_ = moved.Total();
}

AdmmState::Residuals AdmmState::UpdateDual() {
  TileSums gap(dual_);
  EachTile(
      [&](size_t i, size_t j) {
        const auto dual = dual_.Update(i, j);
        const auto weight = std::as_const(weight_).Read(i, j), target = target_.Read(i, j);
        double sum = 0;
        EachElement(dual, [&](size_t r, size_t c) {
          const double difference = weight.row(r)[c] - target.row(r)[c];
          dual.row(r)[c] += difference;
          sum += difference * difference;
        });
        gap.at(i, j) = sum;
      },
      dual_, weight_, target_);
  Residuals residuals;
  residuals.primal = std::sqrt(gap.Total());
  residuals.dual = rho_ * std::sqrt(moved_);
  residuals.weight_norm = Norm(weight_);
  residuals.target_norm = Norm(target_);
  residuals.dual_norm = rho_ * Norm(dual_);
  return residuals;
}

}  // namespace struprune

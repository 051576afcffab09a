#include "solver/site_problem.h"

#include <algorithm>
#include <cmath>

#include "ops/rows.h"
#include "tiles/doubles_on_device.h"
#include "tiles/elementwise.h"
#include "tiles/gather.h"
#include "tiles/multiply.h"
#include "tiles/reduce.h"

namespace struprune {
namespace {

// Share of the mean diagonal that is added to every column, so that dead ones can be factored.
constexpr double kJitter = 1e-6;

void CheckSize(size_t have, size_t want, const char* what) {
  if (have != want) {
    throw Error("ERR_ARGUMENT", std::string(what) + " has " + std::to_string(have) +
                                    " elements where the site needs " + std::to_string(want));
  }
}

template <typename T>
void CheckShape(const TileMatrix<T>& matrix, size_t rows, size_t cols, const char* what) {
  if (matrix.rows().size() == rows && matrix.cols().size() == cols) return;
  const auto shape = [](size_t r, size_t c) {
    return "[" + std::to_string(r) + ", " + std::to_string(c) + "]";
  };
  throw Error("ERR_ARGUMENT", std::string(what) + " is " +
                                  shape(matrix.rows().size(), matrix.cols().size()) +
                                  " where the site needs " + shape(rows, cols));
}

template <typename T>
void CheckVector(const std::vector<T>& values, const char* what) {
  for (const T value : values) {
    if (!std::isfinite(value)) {
      throw Error("ERR_NAN", std::string(what) + " holds a value that is not finite",
                  "check the checkpoint and the calibration text");
    }
  }
}

// W, and G.
size_t HeldTiles(const ProblemShape& shape) {
  return TileBytes<float>(shape.out, shape.in) + (shape.fisher ? HalfBytes(shape.out) : 0);
}

}  // namespace

Needs ProblemNeeds(const Context& context, const ProblemShape& shape) {
  return TileNeeds(context, HeldTiles(shape), shape.paged);
}

Needs MakeProblemNeeds(const Context& context, const ProblemShape& shape) {
  // The weight in doubles, the product, and that in the metric.
  return StepNeeds(context, shape, (shape.fisher ? 3 : 2) * MapBytes(shape, shape.in));
}

Needs StepNeeds(const Context& context, const ProblemShape& shape, size_t tiles) {
  return TileNeeds(context, HeldTiles(shape) + tiles, shape.paged) +
         DoublesNeedsOnDevice(context, shape.in, shape.out);
}

SiteProblem::SiteProblem(SiteInput input) : input_(std::move(input)) {
  Check();
  diagonal_ = Diagonal(*input_.gram);
  MeasureTarget();
}

void SiteProblem::Check() const {
  const SiteInput& i = input_;
  if (!i.gram || !i.weight || in() == 0 || out() == 0 || i.group == 0 || in() % i.group != 0) {
    throw Error("ERR_ARGUMENT", "a site needs columns and rows, and whole groups of columns");
  }
  if (!(i.tokens >= 1) || !std::isfinite(i.tokens)) {
    throw Error("ERR_ARGUMENT", "a site needs at least one calibration token");
  }
  if (!(i.lambda >= 0) || !std::isfinite(i.lambda)) {
    throw Error("ERR_ARGUMENT", "the ridge must be a finite number >= 0");
  }
  CheckShape(*i.gram, in(), in(), "the Gram matrix");
  CheckSize(i.sums.size(), in(), "the column sums");
  CheckShape(*i.weight, out(), in(), "the weight");
  if (!i.bias.empty()) CheckSize(i.bias.size(), out(), "the bias");
  if (has_cross() == i.residual_sums.empty()) {
    throw Error("ERR_ARGUMENT", "the cross product and the sums of the residual come together");
  }
  if (has_cross()) {
    CheckShape(*i.cross, out(), in(), "the cross product");
    CheckSize(i.residual_sums.size(), out(), "the sums of the residual");
    CheckFinite(*i.cross, "the cross product");
  }
  if (has_fisher()) {
    CheckShape(*i.fisher, out(), out(), "the Fisher matrix");
    CheckFinite(*i.fisher, "the Fisher matrix");
  }
  if (!std::isfinite(i.residual_norm_sq)) throw Error("ERR_NAN", "the residual is not finite");
  CheckFinite(*i.gram, "the Gram matrix");
  CheckFinite(*i.weight, "the weight");
  CheckVector(i.sums, "the column sums");
  CheckVector(i.bias, "the bias");
  CheckVector(i.residual_sums, "the sums of the residual");
}

// ‖Y‖² = tr(W (H Wᵀ + 2 Dᵀ)) + ‖R‖².
void SiteProblem::MeasureTarget() {
  const TileMatrix<double> weight = GatherWeight(AllOf(input_.gram->cols()));
  TileMatrix<double> product(space(), out(), in());
  Multiply(1, {weight}, {.matrix = *input_.gram, .folded = true}, 0, product);
  if (has_cross()) Add(2, *input_.cross, product);
  target_norm_sq_ = std::max(0.0, Dot(weight, product) + input_.residual_norm_sq);
  if (!has_fisher()) return;
  TileMatrix<double> storage;
  const TileMatrix<double>& metric = ApplyMetric(Metric::kFisher, weight, storage);
  target_norm_fisher_ = std::max(0.0, unit(Metric::kFisher) * Dot(metric, product));
}

double SiteProblem::target_norm_sq(Metric metric) const {
  return metric == Metric::kPlain ? target_norm_sq_ : target_norm_fisher_;
}

double SiteProblem::unit(Metric metric) const {
  return metric == Metric::kPlain ? 1.0 : 0.5 / input_.tokens;
}

double SiteProblem::residual_norm_sq(Metric metric, bool bias) const {
  if (!has_cross()) return 0;
  double norm = metric == Metric::kPlain ? input_.residual_norm_sq : 0;
  if (bias) {
    const std::vector<double>& sums = input_.residual_sums;
    const std::vector<double> weighted = ApplyMetric(metric, sums);
    norm -= unit(metric) * Dot(out(), weighted.data(), sums.data()) / input_.tokens;
  }
  return norm;
}

double SiteProblem::GramDiagonal(size_t column, bool bias) const {
  const double mean_part = bias ? input_.sums[column] * input_.sums[column] / input_.tokens : 0;
  return std::max(0.0, diagonal_[column] - mean_part);
}

Ridge SiteProblem::MakeRidge(bool bias, double lambda) const {
  Ridge ridge;
  ridge.lambda = lambda;
  ridge.diagonal.resize(in());
  double mean = 0;
  for (size_t j = 0; j < in(); ++j) mean += (ridge.diagonal[j] = GramDiagonal(j, bias));
  mean /= static_cast<double>(in());
  // No activation at all: the ridge alone decides, and any positive one keeps W as it is.
  const double jitter = mean > 0 ? kJitter * mean : 1.0;
  for (double& value : ridge.diagonal) value = lambda * value + jitter;
  return ridge;
}

TileMatrix<double> SiteProblem::GatherGram(bool bias, std::span<const int32_t> rows,
                                           std::span<const int32_t> columns) const {
  TileMatrix<double> to(space(), rows.size(), columns.size());
  GatherCentred(*input_.gram, bias ? &input_.sums : nullptr, rows, columns, to);
  return to;
}

TileMatrix<double> SiteProblem::GatherRidged(bool bias, const Ridge& ridge,
                                             std::span<const int32_t> columns) const {
  TileMatrix<double> to(space(), columns.size(), columns.size(), Shape::kSymmetric);
  GatherCentred(*input_.gram, bias ? &input_.sums : nullptr, columns, columns, to);
  for (size_t i = 0; i < to.rows().tiles(); ++i) {
    const Tile<double> tile = to.Update(i, i);
    for (size_t r = 0; r < tile.rows; ++r) {
      const int32_t column = columns[to.rows().begin(i) + r];
      // The clamped diagonal: centring may leave a rounding error below zero.
      tile.row(r)[r] = GramDiagonal(column, bias) + ridge.diagonal[column];
    }
  }
  return to;
}

TileMatrix<double> SiteProblem::GatherWeight(std::span<const int32_t> columns) const {
  TileMatrix<double> to(space(), out(), columns.size());
  Gather(*input_.weight, AllOf(to.rows()), columns, to);
  return to;
}

TileMatrix<double> SiteProblem::GatherCross(bool bias, std::span<const int32_t> columns) const {
  TileMatrix<double> to(space(), out(), columns.size());
  GatherCentred(*input_.cross, bias ? &input_.residual_sums : nullptr, AllOf(to.rows()), columns,
                to);
  return to;
}

// `from` at those rows and columns; with the rows' sums, less what the means account for.
void SiteProblem::GatherCentred(const TileMatrix<double>& from, const std::vector<double>* row_sums,
                                std::span<const int32_t> rows, std::span<const int32_t> columns,
                                TileMatrix<double>& to) const {
  Gather(from, rows, columns, to, [&](const Tile<double>& tile, size_t i, size_t j) {
    if (!row_sums) return;
    const std::span<const int32_t> own = columns.subspan(to.cols().begin(j), tile.cols);
    for (size_t r = 0; r < tile.rows; ++r) {
      const double shift = (*row_sums)[rows[to.rows().begin(i) + r]] / input_.tokens;
      for (size_t c = 0; c < tile.cols; ++c) tile.row(r)[c] -= shift * input_.sums[own[c]];
    }
  });
}

const TileMatrix<double>& SiteProblem::ApplyMetric(Metric metric, const TileMatrix<double>& from,
                                                   TileMatrix<double>& storage) const {
  if (metric == Metric::kPlain) return from;
  storage = TileMatrix<double>(space(), out(), from.cols().size());
  Multiply(1, {*input_.fisher}, {from}, 0, storage);
  return storage;
}

std::vector<double> SiteProblem::ApplyMetric(Metric metric, const std::vector<double>& from) const {
  return metric == Metric::kPlain ? from : TimesVector(*input_.fisher, from);
}

void SiteProblem::RequireMetric(Metric metric) const {
  if (metric == Metric::kFisher && !has_fisher()) {
    throw Error("ERR_ARGUMENT", "the Fisher metric was asked for and no Fisher matrix was given");
  }
}

ColumnSplit SplitColumns(const SiteProblem& site, std::span<const uint8_t> keep) {
  CheckSize(keep.size(), site.groups(), "the mask");
  ColumnSplit split;
  for (size_t j = 0; j < site.in(); ++j) {
    auto& side = keep[j / site.input().group] ? split.kept : split.removed;
    side.push_back(static_cast<int32_t>(j));
  }
  return split;
}

double NextLambda(double lambda) { return std::max(10 * lambda, 1e-8); }

void ThrowRidgeExhausted(const SiteProblem& site, double lambda) {
  throw Error("ERR_NUMERIC",
              "the Gram matrix of a map with " + std::to_string(site.in()) +
                  " columns could not be factored although the ridge was raised to " +
                  std::to_string(lambda),
              "raise --lambda or calibrate on more tokens");
}

}  // namespace struprune

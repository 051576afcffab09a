#include "solver/site_problem.h"

#include <algorithm>
#include <cmath>

#include "ops/gemm.h"
#include "ops/rows.h"

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
void CheckFinite(std::span<const T> values, const char* what) {
  for (const T value : values) {
    if (!std::isfinite(value)) {
      throw Error("ERR_NAN", std::string(what) + " holds a value that is not finite",
                  "check the checkpoint and the calibration text");
    }
  }
}

}  // namespace

SiteProblem::SiteProblem(std::shared_ptr<Context> context, SiteInput input)
    : context_(std::move(context)), input_(std::move(input)) {
  Check();
  MeasureTarget();
}

void SiteProblem::Check() const {
  const SiteInput& i = input_;
  if (i.in == 0 || i.out == 0 || i.group == 0 || i.in % i.group != 0) {
    throw Error("ERR_ARGUMENT", "a site needs columns and rows, and whole groups of columns");
  }
  if (!(i.tokens >= 1) || !std::isfinite(i.tokens)) {
    throw Error("ERR_ARGUMENT", "a site needs at least one calibration token");
  }
  if (!(i.lambda >= 0) || !std::isfinite(i.lambda)) {
    throw Error("ERR_ARGUMENT", "the ridge must be a finite number >= 0");
  }
  CheckSize(i.gram.size(), i.in * i.in, "the Gram matrix");
  CheckSize(i.sums.size(), i.in, "the column sums");
  CheckSize(i.weight.size(), i.out * i.in, "the weight");
  if (!i.bias.empty()) CheckSize(i.bias.size(), i.out, "the bias");
  if (i.cross.empty() != i.residual_sums.empty()) {
    throw Error("ERR_ARGUMENT", "the cross product and the sums of the residual come together");
  }
  if (has_cross()) {
    CheckSize(i.cross.size(), i.out * i.in, "the cross product");
    CheckSize(i.residual_sums.size(), i.out, "the sums of the residual");
  }
  if (!i.fisher.empty()) CheckSize(i.fisher.size(), i.out * i.out, "the Fisher matrix");
  if (!std::isfinite(i.residual_norm_sq)) throw Error("ERR_NAN", "the residual is not finite");
  CheckFinite(i.gram, "the Gram matrix");
  CheckFinite(i.sums, "the column sums");
  CheckFinite(i.weight, "the weight");
  CheckFinite(i.bias, "the bias");
  CheckFinite(i.cross, "the cross product");
  CheckFinite(i.residual_sums, "the sums of the residual");
  CheckFinite(i.fisher, "the Fisher matrix");
}

// ‖Y‖² = tr(W (H Wᵀ + 2 Dᵀ)) + ‖R‖².
void SiteProblem::MeasureTarget() {
  const size_t cells = out() * in();
  Buffer<double> weight = context_->Allocate<double>(cells);
  std::copy(input_.weight.begin(), input_.weight.end(), weight.data());
  Buffer<double> product = context_->Allocate<double>(cells);
  ParallelGemm(*context_, Trans::kNo, Trans::kNo, out(), in(), in(), 1, weight.data(), in(),
               input_.gram.data(), in(), 0, product.data(), in());
  for (size_t c = 0; has_cross() && c < cells; ++c) product[c] += 2 * input_.cross[c];
  target_norm_sq_ =
      std::max(0.0, Dot(cells, weight.data(), product.data()) + input_.residual_norm_sq);
  if (input_.fisher.empty()) return;
  const Buffer<double> metric = ApplyMetric(Metric::kFisher, weight.data(), in());
  target_norm_fisher_ =
      std::max(0.0, unit(Metric::kFisher) * Dot(cells, metric.data(), product.data()));
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
    const double* sums = input_.residual_sums.data();
    const Buffer<double> weighted = ApplyMetric(metric, sums, 1);
    norm -= unit(metric) * Dot(out(), weighted.data(), sums) / input_.tokens;
  }
  return norm;
}

double SiteProblem::GramDiagonal(size_t column, bool bias) const {
  const double mean_part = bias ? input_.sums[column] * input_.sums[column] / input_.tokens : 0;
  return std::max(0.0, input_.gram[column * in() + column] - mean_part);
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

void SiteProblem::GatherGram(bool bias, std::span<const int32_t> rows,
                             std::span<const int32_t> columns, double* to) const {
  context_->pool.ParallelFor(rows.size(), [&](size_t r, size_t) {
    const double* from = input_.gram.data() + rows[r] * in();
    const double shift = bias ? input_.sums[rows[r]] / input_.tokens : 0;
    double* row = to + r * columns.size();
    for (size_t c = 0; c < columns.size(); ++c) {
      row[c] = from[columns[c]] - shift * input_.sums[columns[c]];
    }
  });
}

void SiteProblem::GatherRidged(bool bias, const Ridge& ridge, std::span<const int32_t> columns,
                               double* to) const {
  GatherGram(bias, columns, columns, to);
  for (size_t c = 0; c < columns.size(); ++c) {
    // The clamped diagonal: centring may leave a rounding error below zero.
    to[c * columns.size() + c] = GramDiagonal(columns[c], bias) + ridge.diagonal[columns[c]];
  }
}

void SiteProblem::GatherWeight(std::span<const int32_t> columns, double* to) const {
  for (size_t o = 0; o < out(); ++o) {
    const float* from = input_.weight.data() + o * in();
    for (size_t c = 0; c < columns.size(); ++c) *to++ = from[columns[c]];
  }
}

void SiteProblem::GatherCross(bool bias, std::span<const int32_t> columns, double* to) const {
  for (size_t o = 0; o < out(); ++o) {
    const double* from = input_.cross.data() + o * in();
    const double shift = bias ? input_.residual_sums[o] / input_.tokens : 0;
    for (size_t c = 0; c < columns.size(); ++c) {
      *to++ = from[columns[c]] - shift * input_.sums[columns[c]];
    }
  }
}

Buffer<double> SiteProblem::ApplyMetric(Metric metric, const double* from, size_t columns) const {
  Buffer<double> to = context_->Allocate<double>(out() * columns);
  if (metric == Metric::kPlain) {
    std::copy(from, from + out() * columns, to.data());
  } else if (columns > 0) {
    ParallelGemm(*context_, Trans::kNo, Trans::kNo, out(), columns, out(), 1, input_.fisher.data(),
                 out(), from, columns, 0, to.data(), columns);
  }
  return to;
}

void SiteProblem::RequireMetric(Metric metric) const {
  if (metric == Metric::kFisher && input_.fisher.empty()) {
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

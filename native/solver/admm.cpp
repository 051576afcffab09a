#include "solver/admm.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ops/gemm.h"
#include "ops/rows.h"

namespace struprune {
namespace {

double SquaredNorm(const Buffer<double>& values) {
  return Dot(values.size(), values.data(), values.data());
}

}  // namespace

AdmmState::AdmmState(std::shared_ptr<const SiteProblem> site, bool bias) : site_(std::move(site)) {
  Context& context = site_->context();
  const size_t in = site_->in(), out = site_->out();
  std::vector<int32_t> all(in);
  std::iota(all.begin(), all.end(), 0);
  matrix_ = context.Allocate<double>(in * in);
  factor_ = context.Allocate<double>(in * in);
  right_ = context.Allocate<double>(cells());
  weight_ = context.Allocate<double>(cells());
  target_ = context.Allocate<double>(cells());
  dual_ = context.Allocate<double>(cells());

  // The ridge must make H_λ itself positive, not only A + ρI: the refit at the end uses it.
  const Ridge ridge =
      WithRisingRidge(*site_, bias, [&](const Ridge& tried) -> std::optional<Ridge> {
        site_->GatherRidged(bias, tried, all, factor_.data());
        std::copy_n(factor_.data(), in * in, matrix_.data());
        return Cholesky(in, factor_.data(), in) ? std::optional(tried) : std::nullopt;
      });
  lambda_ = ridge.lambda;
  ridge_raised_ = ridge.raised;

  site_->GatherWeight(all, weight_.data());
  if (site_->has_cross()) {
    site_->GatherCross(bias, all, right_.data());
    std::copy_n(right_.data(), cells(), target_.data());
    ParallelCholeskySolveRows(context, in, factor_.data(), in, out, target_.data(), in);
  } else {
    std::fill_n(right_.data(), cells(), 0.0);
    std::fill_n(target_.data(), cells(), 0.0);
  }
  ParallelGemm(context, Trans::kNo, Trans::kNo, out, in, in, 1, weight_.data(), in, matrix_.data(),
               in, 1, right_.data(), in);

  std::vector<double> scale(in);
  for (size_t j = 0; j < in; ++j) scale[j] = std::sqrt(matrix_[j * in + j]);
  for (size_t i = 0; i < in; ++i) {
    for (size_t j = 0; j < in; ++j) matrix_[i * in + j] /= scale[i] * scale[j];
  }
  for (size_t o = 0; o < out; ++o) {
    for (size_t j = 0; j < in; ++j) {
      const size_t cell = o * in + j;
      weight_[cell] = (weight_[cell] + target_[cell]) * scale[j];
      right_[cell] /= scale[j];
    }
  }
  std::copy_n(weight_.data(), cells(), target_.data());
  std::fill_n(dual_.data(), cells(), 0.0);
}

void AdmmState::SetRho(double rho) {
  if (!(rho > 0) || !std::isfinite(rho)) {
    throw Error("ERR_ARGUMENT", "ADMM's rho must be a finite number > 0");
  }
  const size_t in = site_->in();
  std::copy_n(matrix_.data(), in * in, factor_.data());
  for (size_t j = 0; j < in; ++j) factor_[j * in + j] += rho;
  if (!Cholesky(in, factor_.data(), in)) {
    throw Error("ERR_NUMERIC", "the matrix of an ADMM step could not be factored",
                "raise --lambda");
  }
  if (rho_ > 0) {
    for (double& value : dual_.span()) value *= rho_ / rho;
  }
  rho_ = rho;
}

void AdmmState::Solve() {
  if (rho_ <= 0) throw Error("ERR_ARGUMENT", "ADMM needs its rho before the first step");
  for (size_t c = 0; c < cells(); ++c) weight_[c] = right_[c] + rho_ * (target_[c] - dual_[c]);
  ParallelCholeskySolveRows(site_->context(), site_->in(), factor_.data(), site_->in(),
                            site_->out(), weight_.data(), site_->in());
}

std::vector<double> AdmmState::GroupEnergies() const {
  std::vector<double> energies(site_->groups());
  const size_t in = site_->in(), group = site_->input().group;
  for (size_t o = 0; o < site_->out(); ++o) {
    for (size_t j = 0; j < in; ++j) {
      const double value = weight_[o * in + j] + dual_[o * in + j];
      energies[j / group] += value * value;
    }
  }
  return energies;
}

void AdmmState::Project(std::span<const uint8_t> keep) {
  if (keep.size() != site_->groups())
    throw Error("ERR_ARGUMENT", "ADMM's mask needs one byte a group");
  const size_t in = site_->in(), group = site_->input().group;
  moved_ = 0;
  for (size_t o = 0; o < site_->out(); ++o) {
    for (size_t j = 0; j < in; ++j) {
      const size_t cell = o * in + j;
      const double value = keep[j / group] ? weight_[cell] + dual_[cell] : 0.0;
      moved_ += (value - target_[cell]) * (value - target_[cell]);
      target_[cell] = value;
    }
  }
}

AdmmState::Residuals AdmmState::UpdateDual() {
  Residuals residuals;
  double gap = 0;
  for (size_t c = 0; c < cells(); ++c) {
    const double difference = weight_[c] - target_[c];
    dual_[c] += difference;
    gap += difference * difference;
  }
  residuals.primal = std::sqrt(gap);
  residuals.dual = rho_ * std::sqrt(moved_);
  residuals.weight_norm = std::sqrt(SquaredNorm(weight_));
  residuals.target_norm = std::sqrt(SquaredNorm(target_));
  residuals.dual_norm = rho_ * std::sqrt(SquaredNorm(dual_));
  return residuals;
}

}  // namespace struprune

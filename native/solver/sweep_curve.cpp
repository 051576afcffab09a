// The exact cost and error of every step of a known order, from one Cholesky.
//
// Order the columns as [kept, last removed, …, first removed] and factor H_λ = L Lᵀ. The refit on
// the leading k columns is Σ_{i<k} t_i l_i with l_i the rows of L⁻¹ and t_i the columns of T = W*
// L, so going from k+1 columns to k subtracts t_k l_k from Ŵ and raises the penalised error by
// ‖t_k‖²_G. The penalty Σ_j Λ_j ‖Ŵ_j − W_j‖²_G moves by Σ_j Λ_j (l_kj² ‖t_k‖² − 2 l_kj (⟨W*_j −
// W_j, t_k⟩ − Σ_{i>k} l_ij ⟨t_i, t_k⟩)), and the error is one minus the other. Everything starts at
// the dense end and sums small numbers.
#include <algorithm>

#include "ops/gemm.h"
#include "ops/rows.h"
#include "solver/sweep_state.h"

namespace struprune {
namespace {

constexpr size_t kTile = 64;

class CurveMeasure {
 public:
  CurveMeasure(const SiteProblem& site, const SweepOptions& options, const Ridge& ridge,
               const std::vector<int32_t>& order)
      : site_(site),
        context_(site.context()),
        options_(options),
        ridge_(ridge),
        in_(site.in()),
        out_(site.out()),
        removed_(order.size() * site.input().group),
        kept_(in_ - removed_) {
    std::vector<uint8_t> keep(site.groups(), 1);
    for (const int32_t group : order) keep[group] = 0;
    columns_ = SplitColumns(site, keep).kept;
    const auto width = static_cast<int32_t>(site.input().group);
    for (auto group = order.rbegin(); group != order.rend(); ++group) {
      for (int32_t c = 0; c < width; ++c) columns_.push_back(*group * width + c);
    }
  }

  std::optional<ExactCurve> Run() {
    factor_ = context_.Allocate<double>(in_ * in_);
    site_.GatherRidged(options_.bias, ridge_, columns_, factor_.data());
    if (!Cholesky(in_, factor_.data(), in_)) return std::nullopt;
    SolveUnconstrained();
    MakeSteps();
    InvertRows();
    MeasureSteps();
    return Sum();
  }

 private:
  // shift_ = W* − W = D H_λ⁻¹ [out, in] in the order of columns_; empty when R = 0.
  void SolveUnconstrained() {
    if (!site_.has_cross()) return;
    shift_ = context_.Allocate<double>(out_ * in_);
    site_.GatherCross(options_.bias, columns_, shift_.data());
    ParallelCholeskySolveRows(context_, in_, factor_.data(), in_, out_, shift_.data(), in_);
  }

  // steps_ = T's last columns = W*_R L_RR [out, removed].
  void MakeSteps() {
    if (removed_ == 0) return;
    const std::span<const int32_t> removed(columns_.data() + kept_, removed_);
    Buffer<double> weight = context_.Allocate<double>(out_ * removed_);
    site_.GatherWeight(removed, weight.data());
    for (size_t o = 0; !shift_.empty() && o < out_; ++o) {
      for (size_t r = 0; r < removed_; ++r) {
        weight[o * removed_ + r] += shift_[o * in_ + kept_ + r];
      }
    }
    Buffer<double> corner = context_.Allocate<double>(removed_ * removed_);
    for (size_t r = 0; r < removed_; ++r) {
      double* row = corner.data() + r * removed_;
      std::copy_n(factor_.data() + (kept_ + r) * in_ + kept_, r + 1, row);
      std::fill(row + r + 1, row + removed_, 0.0);
    }
    steps_ = context_.Allocate<double>(out_ * removed_);
    ParallelGemm(context_, Trans::kNo, Trans::kNo, out_, removed_, removed_, 1, weight.data(),
                 removed_, corner.data(), removed_, 0, steps_.data(), removed_);
  }

  // rows_ = the last rows of L⁻¹ [removed, in], by solving X L = I tile by tile.
  void InvertRows() {
    rows_ = context_.Allocate<double>(removed_ * in_);
    context_.pool.ParallelFor((removed_ + kTile - 1) / kTile, [&](size_t tile, size_t) {
      context_.CheckAbort();
      const size_t first = tile * kTile, last = std::min(removed_, first + kTile);
      std::fill(rows_.data() + first * in_, rows_.data() + last * in_, 0.0);
      for (size_t r = first; r < last; ++r) rows_[r * in_ + kept_ + r] = 1;
      // Row r of L⁻¹ ends at its diagonal, so the leading part of L is enough.
      SolveLower(false, kept_ + last, factor_.data(), in_, last - first, rows_.data() + first * in_,
                 in_);
    });
  }

  // Per removed column: ‖t‖² in both metrics and the change of the penalty.
  void MeasureSteps() {
    selected_.assign(removed_, 0);
    measured_.assign(removed_, 0);
    penalty_.assign(removed_, 0);
    if (removed_ == 0) return;
    const Buffer<double> weighted = site_.ApplyMetric(options_.curve, steps_.data(), removed_);
    AddSquares(weighted, measured_);
    if (options_.selection == options_.curve) {
      selected_ = measured_;
    } else {
      AddSquares(site_.ApplyMetric(options_.selection, steps_.data(), removed_), selected_);
    }
    context_.pool.ParallelFor((removed_ + kTile - 1) / kTile, [&](size_t tile, size_t) {
      context_.CheckAbort();
      MeasureTile(weighted, tile * kTile, std::min(removed_, (tile + 1) * kTile));
    });
  }

  void AddSquares(const Buffer<double>& weighted, std::vector<double>& squares) const {
    for (size_t o = 0; o < out_; ++o) {
      for (size_t r = 0; r < removed_; ++r) {
        squares[r] += weighted[o * removed_ + r] * steps_[o * removed_ + r];
      }
    }
  }

  void MeasureTile(const Buffer<double>& weighted, size_t first, size_t last) {
    const size_t count = last - first;
    // products[r, i] = ⟨t_i, t_r⟩ for removed columns i that went before r (i > r), else 0.
    Buffer<double> products = context_.Allocate<double>(count * removed_);
    Gemm(Trans::kYes, Trans::kNo, count, removed_, out_, 1, weighted.data() + first, removed_,
         steps_.data(), removed_, 0, products.data(), removed_);
    for (size_t r = 0; r < count; ++r) {
      std::fill_n(products.data() + r * removed_, first + r + 1, 0.0);
    }
    // inner[r, j] = Σ_{i>r} l_ij ⟨t_i, t_r⟩ − ⟨W*_j − W_j, t_r⟩.
    Buffer<double> inner = context_.Allocate<double>(count * in_);
    Gemm(Trans::kNo, Trans::kNo, count, in_, removed_ - first, 1, products.data() + first, removed_,
         rows_.data() + first * in_, in_, 0, inner.data(), in_);
    if (!shift_.empty()) {
      Gemm(Trans::kYes, Trans::kNo, count, in_, out_, -1, weighted.data() + first, removed_,
           shift_.data(), in_, 1, inner.data(), in_);
    }
    for (size_t r = 0; r < count; ++r) {
      const double* row = rows_.data() + (first + r) * in_;
      const double square = measured_[first + r];
      double change = 0;
      for (size_t j = 0; j <= kept_ + first + r; ++j) {
        change +=
            ridge_.diagonal[columns_[j]] * row[j] * (row[j] * square + 2 * inner[r * in_ + j]);
      }
      penalty_[first + r] = change;
    }
  }

  // The error before any removal: ‖R‖² − tr(D Δ*ᵀ) − tr(Δ* Λ Δ*ᵀ), Δ* = W* − W.
  double DenseError() const {
    double error = site_.residual_norm_sq(options_.curve, options_.bias);
    if (shift_.empty()) return error;
    Buffer<double> cross = context_.Allocate<double>(out_ * in_);
    site_.GatherCross(options_.bias, columns_, cross.data());
    for (size_t o = 0; o < out_; ++o) {
      for (size_t j = 0; j < in_; ++j) {
        cross[o * in_ + j] += ridge_.diagonal[columns_[j]] * shift_[o * in_ + j];
      }
    }
    const Buffer<double> weighted = site_.ApplyMetric(options_.curve, shift_.data(), in_);
    return error - site_.unit(options_.curve) * Dot(out_ * in_, weighted.data(), cross.data());
  }

  ExactCurve Sum() const {
    ExactCurve curve;
    double error = DenseError();
    curve.error.push_back(error);
    const size_t width = site_.input().group;
    for (size_t end = removed_; end > 0; end -= width) {
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
  Context& context_;
  const SweepOptions& options_;
  const Ridge& ridge_;
  const size_t in_, out_, removed_, kept_;
  std::vector<int32_t> columns_;  // [in] kept, then removed with the first removal last
  Buffer<double> factor_;         // [in, in] L
  Buffer<double> shift_;          // [out, in]
  Buffer<double> steps_;          // [out, removed]
  Buffer<double> rows_;           // [removed, in]
  std::vector<double> selected_, measured_, penalty_;  // [removed]
};

}  // namespace

std::optional<ExactCurve> MeasureCurve(const SiteProblem& site, const SweepOptions& options,
                                       const Ridge& ridge, const std::vector<int32_t>& order) {
  return CurveMeasure(site, options, ridge, order).Run();
}

}  // namespace struprune

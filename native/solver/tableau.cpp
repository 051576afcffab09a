#include "solver/tableau.h"

#include <algorithm>

#include "ops/gemm.h"
#include "solver/least_squares.h"

namespace struprune {
namespace {

void Scatter(std::span<const int32_t> rows, std::span<const int32_t> columns, const double* from,
             double sign, size_t ld, double* to) {
  for (size_t r = 0; r < rows.size(); ++r) {
    for (size_t c = 0; c < columns.size(); ++c) {
      to[rows[r] * ld + columns[c]] = sign * from[r * columns.size() + c];
    }
  }
}

// coupling[kept, removed] = P H_KR.
Buffer<double> Coupling(const SiteProblem& site, const double* inverse, size_t kept, size_t removed,
                        const double* gram) {
  Buffer<double> coupling = site.context().Allocate<double>(kept * removed);
  ParallelGemm(site.context(), Trans::kNo, Trans::kNo, kept, removed, kept, 1, inverse, kept, gram,
               removed, 0, coupling.data(), removed);
  return coupling;
}

// E_R = W_R (H_λ)_RR + D_R − (Ŵ_K − W_K) H_KR, scattered into e [out, in].
void ScatterResiduals(const SiteProblem& site, bool bias, const ColumnSplit& split,
                      const double* ridged, const double* gram, const double* shift, double* e) {
  Context& context = site.context();
  const size_t kept = split.kept.size(), removed = split.removed.size(), out = site.out();
  Buffer<double> weight = context.Allocate<double>(out * removed);
  site.GatherWeight(split.removed, weight.data());
  Buffer<double> residual = context.Allocate<double>(out * removed);
  if (site.has_cross()) {
    site.GatherCross(bias, split.removed, residual.data());
  } else {
    std::fill_n(residual.data(), residual.size(), 0.0);
  }
  ParallelGemm(context, Trans::kNo, Trans::kNo, out, removed, removed, 1, weight.data(), removed,
               ridged, removed, 1, residual.data(), removed);
  if (kept > 0) {
    ParallelGemm(context, Trans::kNo, Trans::kNo, out, removed, kept, -1, shift, kept, gram,
                 removed, 1, residual.data(), removed);
  }
  for (size_t o = 0; o < out; ++o) {
    for (size_t r = 0; r < removed; ++r) {
      e[o * site.in() + split.removed[r]] = residual[o * removed + r];
    }
  }
}

}  // namespace

Tableau::Tableau(const SiteProblem& site)
    : context_(site.context()),
      size_(site.in()),
      width_(site.input().group),
      table_(context_.Allocate<double>(size_ * size_)),
      energy_(context_.Allocate<double>(size_ * size_)) {}

std::optional<Tableau> Tableau::Make(const SiteProblem& site, Metric metric, bool bias,
                                     const Ridge& ridge, std::span<const uint8_t> keep) {
  const ColumnSplit split = SplitColumns(site, keep);
  const size_t kept = split.kept.size(), removed = split.removed.size();
  Context& context = site.context();
  auto solution = SolveKept(site, bias, ridge, split);
  if (!solution) return std::nullopt;

  Tableau tableau(site);
  const size_t in = site.in();
  Buffer<double> e = context.Allocate<double>(site.out() * in);
  double* inverse = solution->factor.data();
  const double* shift = solution->shift.data();
  if (kept > 0) {
    CholeskyInverse(kept, inverse, kept);
    Scatter(split.kept, split.kept, inverse, 1, in, tableau.table_.data());
    for (size_t o = 0; o < site.out(); ++o) {
      for (size_t k = 0; k < kept; ++k) {
        const int32_t j = split.kept[k];
        e[o * in + j] = -(shift[o * kept + k] + site.input().weight[o * in + j]);
      }
    }
  }
  if (removed > 0) {
    Buffer<double> schur = context.Allocate<double>(removed * removed);
    site.GatherRidged(bias, ridge, split.removed, schur.data());
    Buffer<double> gram = context.Allocate<double>(kept * removed);
    site.GatherGram(bias, split.kept, split.removed, gram.data());
    ScatterResiduals(site, bias, split, schur.data(), gram.data(), shift, e.data());
    if (kept > 0) {
      const Buffer<double> coupling = Coupling(site, inverse, kept, removed, gram.data());
      ParallelGemm(context, Trans::kYes, Trans::kNo, removed, removed, kept, -1, gram.data(),
                   removed, coupling.data(), removed, 1, schur.data(), removed);
      Scatter(split.kept, split.removed, coupling.data(), 1, in, tableau.table_.data());
      for (size_t r = 0; r < removed; ++r) {
        for (size_t k = 0; k < kept; ++k) {
          tableau.table_[split.removed[r] * in + split.kept[k]] = -coupling[k * removed + r];
        }
      }
    }
    Scatter(split.removed, split.removed, schur.data(), 1, in, tableau.table_.data());
  }
  const Buffer<double> weighted = site.ApplyMetric(metric, e.data(), in);
  ParallelGemm(context, Trans::kYes, Trans::kNo, in, in, site.out(), 1, e.data(), in,
               weighted.data(), in, 0, tableau.energy_.data(), in);
  return tableau;
}

// With Y = T_gg⁻¹ T_g: and rest = all but g:
//   T ← T − T_:g Y,  T_g: ← Y,  T_:g ← −T_:g T_gg⁻¹,  T_gg ← T_gg⁻¹,
//   E ← E − E_g Y,   E_g ← −E_g T_gg⁻¹, and energy follows E.
bool Tableau::Pivot(size_t g) {
  const size_t n = size_, s = width_, start = g * s;
  double* t = table_.data();
  double* f = energy_.data();
  Buffer<double> inverse = context_.Allocate<double>(s * s);
  for (size_t i = 0; i < s; ++i)
    std::copy_n(t + (start + i) * n + start, s, inverse.data() + i * s);
  if (!Cholesky(s, inverse.data(), s)) return false;
  CholeskyInverse(s, inverse.data(), s);

  // M = [−Y for the rest; −T_gg⁻¹ on g] [s, n] turns the old E_g into the change of E, apart from
  // E_g's own disappearance: E ← (E with E_g = 0) + E_g M.
  Buffer<double> rows = context_.Allocate<double>(s * n);
  std::copy_n(t + start * n, s * n, rows.data());
  Buffer<double> change = context_.Allocate<double>(s * n);
  Gemm(Trans::kNo, Trans::kNo, s, n, s, -1, inverse.data(), s, rows.data(), n, 0, change.data(), n);
  for (size_t i = 0; i < s; ++i) {
    for (size_t j = 0; j < s; ++j) change[i * n + start + j] = -inverse[i * s + j];
  }
  Buffer<double> columns = context_.Allocate<double>(n * s);   // T_:g, with T_gg set to 0
  Buffer<double> energies = context_.Allocate<double>(n * s);  // F_:g, with F_gg halved below
  for (size_t r = 0; r < n; ++r) {
    const bool inside = r >= start && r < start + s;
    for (size_t c = 0; c < s; ++c) {
      columns[r * s + c] = inside ? 0 : t[r * n + start + c];
      energies[r * s + c] = inside ? 0 : f[r * n + start + c];
      t[r * n + start + c] = 0;
    }
  }
  Buffer<double> block = context_.Allocate<double>(s * s);
  for (size_t i = 0; i < s; ++i) std::copy_n(f + (start + i) * n + start, s, block.data() + i * s);
  for (size_t i = 0; i < s; ++i) {
    std::fill_n(t + (start + i) * n, n, 0.0);
    std::fill_n(f + (start + i) * n, n, 0.0);
    for (size_t r = 0; r < n; ++r) f[r * n + start + i] = 0;
  }
  ParallelGemm(context_, Trans::kNo, Trans::kNo, n, n, s, 1, columns.data(), s, change.data(), n, 1,
               t, n);
  for (size_t i = 0; i < s; ++i) {
    for (size_t j = 0; j < n; ++j) t[(start + i) * n + j] = -change[i * n + j];
  }
  // F ← F_rest + F_:g M + Mᵀ F_g: + Mᵀ F_gg M = F_rest + V M + Mᵀ Vᵀ with V = F_:g + ½ Mᵀ F_gg.
  ParallelGemm(context_, Trans::kYes, Trans::kNo, n, s, s, 0.5, change.data(), n, block.data(), s,
               1, energies.data(), s);
  ParallelGemm(context_, Trans::kNo, Trans::kNo, n, n, s, 1, energies.data(), s, change.data(), n,
               1, f, n);
  ParallelGemm(context_, Trans::kYes, Trans::kYes, n, n, s, 1, change.data(), n, energies.data(), s,
               1, f, n);
  return true;
}

}  // namespace struprune

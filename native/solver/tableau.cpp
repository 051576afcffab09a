#include "solver/tableau.h"

#include <algorithm>

#include "ops/cholesky.h"
#include "ops/gemm.h"
#include "solver/least_squares.h"
#include "tiles/cholesky.h"
#include "tiles/elementwise.h"
#include "tiles/gather.h"
#include "tiles/multiply.h"
#include "tiles/strips.h"

namespace struprune {
namespace {

// Puts blocks on kept and removed columns where they belong.
class Assembly {
 public:
  Assembly(const ColumnSplit& split, size_t in)
      : kept_(PlacesOf(split.kept, in)), removed_(PlacesOf(split.removed, in)) {}

  // Σ of the four blocks of a square matrix.
  void Square(const TileMatrix<double>& kk, const TileMatrix<double>& kr,
              const TileMatrix<double>& rk, const TileMatrix<double>& rr,
              TileMatrix<double>& to) const {
    Overlay(kk, kept_, kept_, to);
    Overlay(kr, kept_, removed_, to);
    Overlay(rk, removed_, kept_, to);
    Overlay(rr, removed_, removed_, to);
  }

  void Columns(const TileMatrix<double>& k, const TileMatrix<double>& r,
               TileMatrix<double>& to) const {
    const auto rows = AllOf(to.rows());
    Overlay(k, rows, kept_, to);
    Overlay(r, rows, removed_, to);
  }

 private:
  const std::vector<int32_t> kept_, removed_;
};

// E_K = −Ŵ_K.
TileMatrix<double> KeptPart(const SiteProblem& site, const ColumnSplit& split,
                            const TileMatrix<double>& shift) {
  TileMatrix<double> e(site.space(), site.out(), split.kept.size());
  Add(-1, shift, e);
  Add(-1, site.GatherWeight(split.kept), e);
  return e;
}

// E_R = W_R (H_λ)_RR + D_R − (Ŵ_K − W_K) H_KR.
TileMatrix<double> RemovedPart(const SiteProblem& site, bool bias, const ColumnSplit& split,
                               const TileMatrix<double>& ridged, const TileMatrix<double>& gram,
                               const TileMatrix<double>& shift) {
  TileMatrix<double> e = site.has_cross()
                             ? site.GatherCross(bias, split.removed)
                             : TileMatrix<double>(site.space(), site.out(), split.removed.size());
  Multiply(1, {site.GatherWeight(split.removed)}, {ridged}, 1, e);
  Multiply(-1, {shift}, {gram, Trans::kYes}, 1, e);
  return e;
}

}  // namespace

size_t Tableau::MakeTiles(const ProblemShape& shape, size_t kept) {
  const size_t removed = shape.in - kept, map = MapBytes(shape, shape.in);
  const size_t schur = HalfBytes(removed), gram = TileBytes(removed, kept);
  const size_t factor = HalfBytes(kept), shift = MapBytes(shape, kept);
  const size_t solution = factor + shift;
  return std::max({
      // The kept part of E and the removed one, made of the weight there,
      solution + schur + gram + map + shift + MapBytes(shape, removed),
      // the root of the inverse,
      solution + schur + gram + map + 2 * factor,
      // the table, beside the coupling and its transposed,
      solution + schur + gram + map + factor + 2 * gram + HalfBytes(shape.in),
      // and the energy, also in the metric.
      solution + schur + gram + (shape.fisher ? 2 : 1) * map + factor + gram +
          2 * HalfBytes(shape.in),
  });
}

Tableau::Tableau(const SiteProblem& site, std::span<const uint8_t> keep)
    : width_(site.input().group),
      keep_(keep.begin(), keep.end()),
      table_(site.space(), site.in(), site.in(), Shape::kSymmetric),
      energy_(site.space(), site.in(), site.in(), Shape::kSymmetric) {}

std::optional<Tableau> Tableau::Make(const SiteProblem& site, Metric metric, bool bias,
                                     const Ridge& ridge, std::span<const uint8_t> keep) {
  const ColumnSplit split = SplitColumns(site, keep);
  const size_t kept = split.kept.size(), removed = split.removed.size();
  const Assembly assembly(split, site.in());
  const auto solution = SolveKept(site, bias, ridge, split);
  if (!solution) return std::nullopt;

  Tableau tableau(site, keep);
  TileMatrix<double> schur = site.GatherRidged(bias, ridge, split.removed);
  const TileMatrix<double> gram = site.GatherGram(bias, split.removed, split.kept);
  TileMatrix<double> e(site.space(), site.out(), site.in());
  assembly.Columns(KeptPart(site, split, solution->shift),
                   RemovedPart(site, bias, split, schur, gram, solution->shift), e);

  const TileMatrix<double> inverse = InvertFactored(solution->factor);
  TileMatrix<double> coupling(site.space(), removed, kept);  // −H_RK P
  Multiply(-1, {gram}, {inverse}, 0, coupling);
  Multiply(1, {coupling}, {gram, Trans::kYes}, 1, schur);
  {
    // A pivot below zero would have a price like any other: all of H_λ must be positive.
    TileMatrix<double> factor = Copy(schur);
    if (!FactorCholesky(factor)) return std::nullopt;
  }
  assembly.Square(inverse, Transposed(-1, coupling), coupling, schur, tableau.table_);

  TileMatrix<double> storage;
  const TileMatrix<double>& weighted = site.ApplyMetric(metric, e, storage);
  Multiply(1, {e, Trans::kYes}, {weighted}, 0, tableau.energy_);
  return tableau;
}

void Tableau::ReadTable(size_t rows, size_t columns, double* to) const {
  const size_t s = width_;
  ReadBlock(table_, rows * s, s, columns * s, s, to);
  if (keep_[rows] == keep_[columns]) return;
  for (size_t r = 0; r < s; ++r) {
    for (size_t c = 0; c < s; ++c) {
      const size_t i = table_.rows().tile_of(rows * s + r),
                   j = table_.cols().tile_of(columns * s + c);
      if (!table_.Has(i, j)) to[r * s + c] = -to[r * s + c];
    }
  }
}

void Tableau::ReadEnergy(size_t rows, size_t columns, double* to) const {
  ReadBlock(energy_, rows * width_, width_, columns * width_, width_, to);
}

// to[in, width] = T_:g.
void Tableau::ReadColumns(size_t g, double* to) const {
  for (size_t row = 0; row < keep_.size(); ++row) ReadTable(row, g, to + row * width_ * width_);
}

// With Y = T_gg⁻¹ T_g: and rest = all but g:
//   T ← T − T_:g Y,  T_g: ← Y,  T_:g ← −T_:g T_gg⁻¹,  T_gg ← T_gg⁻¹,
//   E ← E − E_g Y,   E_g ← −E_g T_gg⁻¹, and energy follows E.
bool Tableau::Pivot(size_t g) {
  Context& context = table_.context();
  const size_t n = table_.rows().size(), s = width_, start = g * s;
  const PivotCounts counts(n, s);
  Buffer<double> inverse = context.Allocate<double>(counts.block);
  ReadTable(g, g, inverse.data());
  if (!Cholesky(s, inverse.data(), s)) return false;
  CholeskyInverse(s, inverse.data(), s);
  Buffer<double> columns = context.Allocate<double>(counts.columns);  // T_:g, with T_gg set to 0
  Buffer<double> energies =
      context.Allocate<double>(counts.columns);                   // F_:g, with F_gg halved below
  Buffer<double> block = context.Allocate<double>(counts.block);  // F_gg
  ReadColumns(g, columns.data());
  ReadBlock(energy_, 0, n, start, s, energies.data());
  ReadEnergy(g, g, block.data());

  // M = [−Y for the rest; −T_gg⁻¹ on g] [s, n] turns the old E_g into the change of E, apart from
  // E_g's own disappearance: E ← (E with E_g = 0) + E_g M.
  Buffer<double> rows = context.Allocate<double>(counts.columns);  // T_g:
  for (size_t r = 0; r < n; ++r) {
    const double sign = keep_[r / s] == keep_[g] ? 1 : -1;
    for (size_t c = 0; c < s; ++c) rows[c * n + r] = sign * columns[r * s + c];
  }
  Buffer<double> change = context.Allocate<double>(counts.columns);
  Gemm(Trans::kNo, Trans::kNo, s, n, s, -1, inverse.data(), s, rows.data(), n, 0, change.data(), n);
  for (size_t i = 0; i < s; ++i) {
    for (size_t j = 0; j < s; ++j) change[i * n + start + j] = -inverse[i * s + j];
  }
  std::fill_n(columns.data() + start * s, s * s, 0.0);
  std::fill_n(energies.data() + start * s, s * s, 0.0);
  // F ← F_rest + F_:g M + Mᵀ F_g: + Mᵀ F_gg M = F_rest + V M + Mᵀ Vᵀ with V = F_:g + ½ Mᵀ F_gg.
  ParallelGemm(context, Trans::kYes, Trans::kNo, n, s, s, 0.5, change.data(), n, block.data(), s, 1,
               energies.data(), s);

  const auto inside = [&](size_t index) { return index >= start && index < start + s; };
  EachTile(
      [&](size_t i, size_t j) {
        const auto t = table_.Update(i, j), f = energy_.Update(i, j);
        const size_t row = table_.rows().begin(i), column = table_.cols().begin(j);
        for (size_t r = 0; r < t.rows; ++r) {
          for (size_t c = 0; c < t.cols; ++c) {
            if (inside(row + r) || inside(column + c)) t.row(r)[c] = f.row(r)[c] = 0;
          }
        }
        Gemm(Trans::kNo, Trans::kNo, t.rows, t.cols, s, 1, columns.data() + row * s, s,
             change.data() + column, n, 1, t.data, t.stride);
        for (size_t r = 0; r < t.rows; ++r) {
          if (!inside(row + r)) continue;
          const double* from = change.data() + (row + r - start) * n + column;
          for (size_t c = 0; c < t.cols; ++c) t.row(r)[c] = -from[c];
        }
        Gemm(Trans::kNo, Trans::kNo, f.rows, f.cols, s, 1, energies.data() + row * s, s,
             change.data() + column, n, 1, f.data, f.stride);
        Gemm(Trans::kYes, Trans::kYes, f.rows, f.cols, s, 1, change.data() + row, n,
             energies.data() + column * s, s, 1, f.data, f.stride);
      },
      table_, energy_);
  keep_[g] = keep_[g] ? 0 : 1;
  return true;
}

}  // namespace struprune

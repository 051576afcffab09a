#include "solver/auxiliary.h"

#include <algorithm>
#include <vector>

#include "core/row_chunks.h"
#include "ops/gemm.h"
#include "solver/auxiliary_minimisers.h"
#include "tiles/strips.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;

// Share of the mean diagonal that is added everywhere, so that dead inputs can be factored.
constexpr double kFloor = 1e-6;
// What p differing from the activation at hand costs, × mean diag(DᵀD).
constexpr double kAlpha = 1;
// What z differing from the pre-activations costs, × mean square of slopes.
constexpr double kBeta = 1;

void Factor(size_t n, double* a, size_t stride) {
  if (Cholesky(n, a, stride)) return;
  throw Error("ERR_NUMERIC", "a matrix of the FFN's auxiliary variables could not be factored",
              "choose --ffn-solver output, or calibrate on more tokens");
}

// (DDᵀ + kAlpha mean diag(DᵀD) I)⁻¹ [outputs, outputs]: p = h + (Y − Ŷ) times this times D.
Buffer<float> TargetInverse(Context& context, const FfnMap& map) {
  const size_t n = map.outputs;
  Buffer<double> down = context.Allocate<double>(map.down.size());
  std::copy_n(map.down.data(), map.down.size(), down.data());
  Buffer<double> square = context.Allocate<double>(n * n);
  ParallelGemm(context, Trans::kNo, Trans::kYes, n, n, map.width, 1, down.data(), map.width,
               down.data(), map.width, 0, square.data(), n);
  double trace = 0;
  for (size_t i = 0; i < n; ++i) trace += square[i * n + i];
  const double ridge = trace > 0 ? kAlpha * trace / static_cast<double>(map.width) : 1.0;
  for (size_t i = 0; i < n; ++i) square[i * n + i] += ridge;
  Factor(n, square.data(), n);
  context.CheckAbort();
  CholeskyInverse(n, square.data(), n);
  Buffer<float> inverse = context.Allocate<float>(n * n);
  std::copy_n(square.data(), n * n, inverse.data());
  return inverse;
}

// kBeta × the mean square of each part's slopes over the first rows of a page.
std::vector<float> Penalties(Context& context, const FfnMap& map, const FfnTokens& tokens,
                             const FfnPage& page) {
  const size_t rows = std::min(page.rows, kChunk), stride = rows * map.width;
  const PagedMatrix::View x(*tokens.inputs, page.row, rows, Access::kRead);
  Buffer<float> slopes = context.Allocate<float>(map.parts * stride);
  Buffer<float> hidden = context.Allocate<float>(stride);
  PreActivations(map, map.in.data(), rows, x.data(), slopes.data(), stride);
  HiddenAndSlopes(map, rows, slopes.data(), stride, hidden.data());
  std::vector<float> penalties;
  for (size_t part = 0; part < map.parts; ++part) {
    double sum = 0;
    for (size_t i = 0; i < stride; ++i) {
      const double slope = slopes[part * stride + i];
      sum += slope * slope;
    }
    const double mean = sum / static_cast<double>(stride);
    penalties.push_back(static_cast<float>(mean > 0 ? kBeta * mean : 1.0));
  }
  return penalties;
}

// Adds X to `sums`, with as residual what the auxiliary variables want of the pre-activations.
void AddWishes(Context& context, const FfnMap& map, const FfnTokens& tokens,
               const std::vector<FfnPage>& pages, const Buffer<float>& inverse,
               const std::vector<float>& penalties, Statistics& sums) {
  const size_t out = map.outputs, workers = context.pool.size(), part = kChunk * map.width;
  const auto buffer = [&](size_t count) { return context.Allocate<float>(workers * count); };
  Buffer<float> before = buffer(map.parts * part), after = buffer(map.parts * part);
  Buffer<float> hidden = buffer(part);
  Buffer<float> missed = buffer(kChunk * out), weighted = buffer(kChunk * out);
  Buffer<float> wishes = context.Allocate<float>(kFfnPage * map.rows());
  for (const auto& [row, rows] : pages) {
    const PagedMatrix::View x(*tokens.inputs, row, rows, Access::kRead);
    const PagedMatrix::View y(*tokens.targets, row, rows, Access::kRead);
    ForChunks(context, rows, [&](size_t first, size_t count, size_t worker) {
      float* z0 = before.data() + worker * map.parts * part;
      float* z = after.data() + worker * map.parts * part;
      float* p = hidden.data() + worker * part;
      float* miss = missed.data() + worker * kChunk * out;
      float* wanted = weighted.data() + worker * kChunk * out;
      PreActivations(map, map.in.data(), count, x.data() + first * map.inputs, z0, part);
      std::copy_n(z0, map.parts * part, z);
      const bool gated = map.parts == 2;
      Activate(map.activation, count * map.width, gated ? z0 : nullptr, gated ? z0 + part : z0, p);
      context.CheckAbort();
      std::copy_n(y.data() + first * out, count * out, miss);
      SubtractOutput(map, count, p, miss);
      Gemm(Trans::kNo, Trans::kNo, count, out, out, 1.0f, miss, out, inverse.data(), out, 0.0f,
           wanted, out);
      context.CheckAbort();
      Gemm(Trans::kNo, Trans::kNo, count, map.width, out, 1.0f, wanted, out, map.down.data(),
           map.width, 1.0f, p, map.width);
      if (gated) {
        MinimiseGated(map.activation, count * map.width, penalties[0], penalties[1], p, z,
                      z + part);
      } else {
        MinimisePlain(map.activation, count * map.width, penalties[0], p, z);
      }
      for (size_t q = 0; q < map.parts; ++q) {
        for (size_t i = 0; i < count; ++i) {
          float* to = wishes.data() + (first + i) * map.rows() + q * map.width;
          const size_t at = q * part + i * map.width;
          for (size_t j = 0; j < map.width; ++j) to[j] = z[at + j] - z0[at + j];
        }
      }
    });
    sums.Add(rows, x.data(), wishes.data());
  }
}

}  // namespace

void Auxiliary::Iterate(FfnMap map, size_t count, size_t offset) {
  Begin(std::move(map));
  const std::vector<FfnPage> pages = ChoosePages(tokens_, count, offset);
  Statistics sums(InMemory(context_), map_.inputs, true, map_.rows());
  {
    const Buffer<float> inverse = TargetInverse(*context_, map_);
    const auto penalties = Penalties(*context_, map_, tokens_, pages.front());
    AddWishes(*context_, map_, tokens_, pages, inverse, penalties, sums);
  }
  Fit(sums);
}

// δ (H + Λ) = (z − z₀)ᵀX − (θ − θ₀) Λ with Λ = λ diag(H), over the columns that may change.
void Auxiliary::Fit(const Statistics& sums) {
  const size_t in = map_.inputs, n = options_.freeze_last ? in - 1 : in;
  double mean = 0;
  for (size_t i = 0; i < n; ++i) mean += sums.squares()[i] / static_cast<double>(n);
  Buffer<double> gram = context_->Allocate<double>(in * in);
  ReadRows(*sums.gram(), 0, in, gram.data());
  for (size_t i = 0; i < n; ++i) {
    gram[i * in + i] += options_.lambda * sums.squares()[i] + (mean > 0 ? kFloor * mean : 1.0);
  }
  Factor(n, gram.data(), in);
  delta_ = context_->Allocate<double>(map_.in.size());
  ReadRows(*sums.cross(), 0, map_.rows(), delta_.data());
  for (size_t row = 0; row < map_.rows(); ++row) {
    for (size_t i = 0; i < in; ++i) {
      const size_t at = row * in + i;
      const double pull = options_.lambda * sums.squares()[i] * MovedFromOrigin(at);
      delta_[at] = i < n ? delta_[at] - pull : 0.0;
    }
  }
  ParallelCholeskySolveRows(*context_, n, gram.data(), in, map_.rows(), delta_.data(), in);
}

}  // namespace struprune

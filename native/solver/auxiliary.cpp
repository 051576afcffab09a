#include "solver/auxiliary.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/row_chunks.h"
#include "ops/strip_product.h"
#include "solver/auxiliary_minimisers.h"
#include "team/join.h"
#include "tiles/cholesky.h"
#include "tiles/doubles_on_device.h"
#include "tiles/elementwise.h"
#include "tiles/gather.h"
#include "tiles/multiply.h"
#include "tiles/reduce.h"
#include "tiles/strips.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;

// Share of the mean diagonal that is added everywhere, so that dead inputs can be factored.
constexpr double kPullFloor = 1e-6;
// What p differing from the activation at hand costs, × mean diag(DᵀD).
constexpr double kAlpha = 1;
// What z differing from the pre-activations costs, × mean square of slopes.
constexpr double kBeta = 1;

void FactorOrThrow(TileMatrix<double>& a) {
  if (FactorCholesky(a)) return;
  throw Error("ERR_NUMERIC", "a matrix of the FFN's auxiliary variables could not be factored",
              "choose --ffn-solver output, or calibrate on more tokens");
}

// (DDᵀ + kAlpha mean diag(DᵀD) I)⁻¹ [outputs, outputs]: p = h + (Y − Ŷ) times this times D.
std::shared_ptr<PagedMatrix> TargetInverse(const TileSpace& space, const FfnMap& map) {
  const size_t n = map.outputs;
  TileMatrix<double> square(space, n, n, Shape::kSymmetric);
  {
    const auto down = FromStrips<double>(space, *map.down);
    Multiply(1, {down}, {down, Trans::kYes}, 0, square);
  }
  double trace = 0;
  for (const double value : Diagonal(square)) trace += value;
  const double ridge = trace > 0 ? kAlpha * trace / static_cast<double>(map.width) : 1.0;
  AddDiagonal(std::vector<double>(n, ridge), square);
  FactorOrThrow(square);
  const TileMatrix<double> inverse = InvertFactored(square);
  auto strips = std::make_shared<PagedMatrix>(space.store, n, n, inverse.rows().side());
  ToStrips(inverse, *strips);
  return strips;
}

constexpr size_t kSlopeRows = 384;

// A number a part.
struct PartValues {
  void operator+=(const PartValues& other) {
    for (size_t part = 0; part < 2; ++part) of[part] += other.of[part];
  }
  double of[2] = {0, 0};
};

// Σ of the squares of each part's slopes over rows of a page.
PartValues SlopeSquares(Context& context, const FfnMap& map, const FfnTokens& tokens, size_t row,
                        size_t rows) {
  const size_t stride = rows * map.width;
  const PagedMatrix::View x(*tokens.inputs, row, rows, Access::kRead);
  Buffer<float> slopes = context.Allocate<float>(map.parts() * stride);
  Buffer<float> hidden = context.Allocate<float>(stride);
  PreActivations(context, map.in, rows, x.data(), slopes.data(), stride);
  HiddenAndSlopes(map, rows, slopes.data(), stride, hidden.data());
  PartValues squares;
  for (size_t part = 0; part < map.parts(); ++part) {
    for (size_t i = 0; i < stride; ++i) {
      const double slope = slopes[part * stride + i];
      squares.of[part] += slope * slope;
    }
  }
  return squares;
}

// kBeta × the mean square of each part's slopes over the first rows of a page, which one rank has.
std::vector<float> Penalties(Context& context, const FfnMap& map, const FfnTokens& tokens,
                             const FfnPage& page) {
  const size_t rows = std::min(page.rows, kSlopeRows);
  SegmentSums<PartValues> sums;
  if (tokens.inputs->held().Has(page.row)) {
    sums.At(0) = SlopeSquares(context, map, tokens, page.row, rows);
  }
  const PartValues squares = JoinedTotal(context, tokens.inputs->share(), sums);
  std::vector<float> penalties;
  for (size_t part = 0; part < map.parts(); ++part) {
    const double mean = squares.of[part] / static_cast<double>(rows * map.width);
    penalties.push_back(static_cast<float>(mean > 0 ? kBeta * mean : 1.0));
  }
  return penalties;
}

// Numbers of the buffers of AddWishes.
struct WishCounts {
  WishCounts(const Context& context, const FfnShape& shape)
      : parts(shape.parts()),
        hidden(context.pool.size() * FfnChunk(context) * shape.width),
        outputs(context.pool.size() * FfnChunk(context) * shape.outputs),
        wishes(parts * kFfnPage * shape.width) {}
  size_t Total() const { return 2 * parts * hidden + hidden + 2 * outputs + wishes; }
  size_t parts, hidden, outputs, wishes;
};

// Adds X to the sums, with as residual what the auxiliary variables want of the pre-activations.
void AddWishes(Context& context, const FfnMap& map, const FfnTokens& tokens,
               const std::vector<FfnPage>& pages, PagedMatrix& inverse,
               const std::vector<float>& penalties, const PartSums& sums) {
  const size_t out = map.outputs, chunk = FfnChunk(context), part = chunk * map.width;
  const size_t stride = kFfnPage * map.width;
  const WishCounts n(context, ShapeOf(map));
  const auto buffer = [&](size_t count) { return context.Allocate<float>(count); };
  Buffer<float> before = buffer(n.parts * n.hidden), after = buffer(n.parts * n.hidden);
  Buffer<float> hidden = buffer(n.hidden);
  Buffer<float> missed = buffer(n.outputs), weighted = buffer(n.outputs);
  Buffer<float> wishes = buffer(n.wishes);
  PagedMatrix* const down = map.down.get();
  const Segments segments = SegmentsOf(tokens);
  for (const FfnPage& page : pages) {
    AnnouncePage(context, page, {tokens.inputs.get(), tokens.targets.get()}, {&map.in},
                 {down, &inverse, down});
    const auto [row, rows] = page;
    const PagedMatrix::View x(*tokens.inputs, row, rows, Access::kRead);
    const PagedMatrix::View y(*tokens.targets, row, rows, Access::kRead);
    ForChunks(context, rows, [&](size_t first, size_t count, size_t worker) {
      float* z0 = before.data() + worker * map.parts() * part;
      float* z = after.data() + worker * map.parts() * part;
      float* p = hidden.data() + worker * part;
      float* miss = missed.data() + worker * chunk * out;
      float* wanted = weighted.data() + worker * chunk * out;
      PreActivations(context, map.in, count, x.data() + first * map.inputs, z0, part);
      std::copy_n(z0, map.parts() * part, z);
      const bool gated = map.parts() == 2;
      Activate(map.activation, count * map.width, gated ? z0 : nullptr, gated ? z0 + part : z0, p);
      std::copy_n(y.data() + first * out, count * out, miss);
      SubtractOutput(context, map, count, p, miss);
      StripProduct(context, inverse, count, 1, miss, 0, wanted);  // it is symmetric
      StripProductBack(context, *down, count, wanted, 1, p);
      if (gated) {
        MinimiseGated(map.activation, count * map.width, penalties[0], penalties[1], p, z,
                      z + part);
      } else {
        MinimisePlain(map.activation, count * map.width, penalties[0], p, z);
      }
      for (size_t q = 0; q < map.parts(); ++q) {
        float* to = wishes.data() + q * stride + first * map.width;
        for (size_t i = 0; i < count * map.width; ++i) to[i] = z[q * part + i] - z0[q * part + i];
      }
    });
    for (size_t q = 0; q < map.parts(); ++q) {
      sums[q]->Add(segments.At(row), rows, x.data(), wishes.data() + q * stride);
    }
  }
  for (const auto& part : sums) part->Join();
}

Needs IterateNeeds(const Context& context, const FfnDemand& demand) {
  const FfnShape& shape = demand.shape;
  const size_t parts = shape.parts(), out = shape.outputs;
  const size_t change = TileBytes(shape.width, shape.inputs), fit = FitTiles(shape);
  const size_t sums = HalfBytes(shape.inputs) + IterateTiles(shape);
  const size_t inverse =
      fit + HalfBytes(out) + std::max(TileBytes(out, shape.width), 2 * HalfBytes(out));  // of DDᵀ
  const size_t fitted = fit + sums + HalfBytes(shape.inputs) + (parts + 3) * change;
  // The inverse in strips, and the pass that uses it.
  Needs pass = Pages(out * out * sizeof(float), 0, demand.paged) +
               HeldFloats(WishCounts(context, shape).Total()) +
               TileNeeds(context, fit + sums, demand.paged) + demand.tokens.View(shape.inputs) +
               demand.tokens.View(out) +
               Statistics::WaitingNeeds(context, SizesOf(shape, true), demand.tokens);
  const double in = 2.0 * static_cast<double>(shape.width * shape.inputs * parts);
  const double down = 2.0 * static_cast<double>(shape.width * out);
  pass.float_flops = static_cast<double>(demand.tokens.held()) *
                     (2 * in + 2 * down + 2.0 * static_cast<double>(out * out));
  const Needs algebra = TileNeeds(context, std::max(inverse, fitted), demand.paged) +
                        DoublesNeedsOnDevice(context, shape.width, shape.inputs);
  const Needs moved = TileNeeds(context, fitted, demand.paged) + MovedNeeds(shape);
  return CopiesNeeds(demand, 2, 1) + SumsNeeds(context, shape, true) +
         OverTaken(pass, demand).Then(algebra).Then(moved);
}

}  // namespace

Needs AuxiliaryNeeds(const Context& context, const FfnDemand& demand) {
  const size_t held = FitTiles(demand.shape) + IterateTiles(demand.shape);
  return HeldFloats(demand.shape.outputs) + IterateNeeds(context, demand)
                                                .Then(BetweenNeeds(context, demand, held))
                                                .Times(demand.rounds);
}

void Auxiliary::Iterate(FfnMap map, size_t count, size_t offset) {
  Begin(std::move(map));
  const std::vector<FfnPage> chosen = ChoosePages(tokens_, count, offset);
  const PartSums sums = MakeSums(true);
  {
    const auto inverse = TargetInverse(space_, map_);
    const auto penalties = Penalties(context(), map_, tokens_, chosen.front());
    AddWishes(context(), map_, tokens_, HeldPages(tokens_, chosen), *inverse, penalties, sums);
  }
  Fit(sums);
}

// δ (H + Λ) = (z − z₀)ᵀX − (θ − θ₀) Λ with Λ = λ diag(H), over the columns that may change.
void Auxiliary::Fit(const PartSums& sums) {
  const size_t in = map_.inputs, n = options_.freeze_last ? in - 1 : in;
  const std::span<const double> squares(sums[0]->squares(), n);
  const double mean = std::accumulate(squares.begin(), squares.end(), 0.0) / static_cast<double>(n);
  std::vector<double> pull, ridge;
  for (const double square : squares) {
    pull.push_back(options_.lambda * square);
    ridge.push_back(pull.back() + (mean > 0 ? kPullFloor * mean : 1.0));
  }
  std::vector<int32_t> free = AllOf(sums[0]->gram()->cols());
  free.resize(n);
  TileMatrix<double> factor(space_, n, n, Shape::kSymmetric);
  Gather(*sums[0]->gram(), free, free, factor);
  AddDiagonal(ridge, factor);
  FactorOrThrow(factor);

  delta_ = Zeros();
  const std::vector<int32_t> places = PlacesOf(free, in);
  for (size_t part = 0; part < map_.parts(); ++part) {
    const std::vector<int32_t> rows = AllOf(delta_[part].rows());
    const TileMatrix<double> moved = MovedFromOrigin(part);
    TileMatrix<double> change(space_, map_.width, n), pulled(space_, map_.width, n);
    Gather(*sums[part]->cross(), rows, free, change);
    Gather(moved, rows, free, pulled, [&](const Tile<double>& tile, size_t, size_t j) {
      const double* own = pull.data() + pulled.cols().begin(j);
      for (size_t r = 0; r < tile.rows; ++r) {
        for (size_t c = 0; c < tile.cols; ++c) tile.row(r)[c] *= own[c];
      }
    });
    Add(-1, pulled, change);
    SolveForward(factor, change);
    SolveBackward(factor, change);
    Overlay(change, rows, places, delta_[part]);
  }
}

}  // namespace struprune

#include "solver/ffn_solver.h"

#include "ops/strip_product.h"
#include "solver/refit.h"
#include "tiles/strips.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;

// Rows of a weight that are in memory as doubles at a time.
constexpr size_t kWeightRows = 64;

// visit(row, count) over the rows of a weight, a few of one strip at a time.
template <typename Visit>
void EachRows(Context& context, const PagedMatrix& weight, Visit visit) {
  for (size_t row = 0, count = 0; row < weight.rows(); row += count) {
    context.CheckAbort();
    count = weight.Run(row, kWeightRows);
    visit(row, count);
  }
}

size_t MovedDoubles(size_t inputs) { return kWeightRows * inputs; }

// The refit of the output map on all tokens.
Needs OutputRefitNeeds(const Context& context, const FfnDemand& demand) {
  const FfnShape& shape = demand.shape;
  const ProblemShape problem{
      .in = shape.width, .out = shape.outputs, .cross = true, .paged = demand.paged};
  const Needs collect = CopiesNeeds(demand, 1, 1) + HeldFloats(shape.outputs) +
                        HiddenNeeds(context, shape, demand.tokens);
  return Statistics::NeedsOf(context, {shape.width, true, shape.outputs}, demand.paged) +
         collect.Then(MakeProblemNeeds(context, problem))
             .Then(RefitNeeds(context, problem, shape.width, demand.stored));
}

}  // namespace

size_t IterateTiles(const FfnShape& shape) {
  return shape.parts() * TileBytes(shape.width, shape.inputs);
}

size_t FitTiles(const FfnShape& shape) { return TileBytes<float>(shape.outputs, shape.width); }

Needs CopiesNeeds(const FfnDemand& demand, size_t inputs, size_t outputs) {
  const FfnShape& shape = demand.shape;
  const size_t all =
      shape.width * (inputs * shape.parts() * shape.inputs + outputs * shape.outputs);
  const size_t ones = shape.inputs - shape.outputs;
  const size_t column = LargestStrip(shape.width, shape.inputs) / shape.inputs;
  const size_t at_hand = ones * kStripsAtHand * column;
  return Pages(all * sizeof(float), at_hand * sizeof(float), demand.paged);
}

Needs SumsNeeds(const Context& context, const FfnShape& shape, bool gram) {
  Needs needs;
  for (const auto& sizes : SizesOf(shape, gram)) needs += Statistics::Buffers(context, sizes);
  return needs;
}

Needs MovedNeeds(const FfnShape& shape) { return HeldDoubles(MovedDoubles(shape.inputs)); }

Needs OverTaken(Needs pass, const FfnDemand& demand) {
  pass.float_flops *= static_cast<double>(std::min(demand.taken, demand.tokens.rows)) /
                      static_cast<double>(std::max<size_t>(demand.tokens.rows, 1));
  return pass;
}

Needs BetweenNeeds(const Context& context, const FfnDemand& demand, size_t tiles) {
  const Needs move = CopiesNeeds(demand, 3, 1) + MovedNeeds(demand.shape);
  const Needs refit = CopiesNeeds(demand, 2, 1) + OutputRefitNeeds(context, demand);
  return TileNeeds(context, tiles, demand.paged) + move.Then(refit);
}

FfnSolver::FfnSolver(TileSpace space, InputWeights origin, FfnTokens tokens,
                     FfnSolverOptions options)
    : space_(std::move(space)),
      origin_(std::move(origin)),
      tokens_(std::move(tokens)),
      options_(options) {}

void FfnSolver::Begin(FfnMap map) {
  CheckShapes(map, tokens_);
  if (map.parts() != origin_.size() || map.width != origin_[0]->rows() ||
      map.inputs != origin_[0]->cols()) {
    throw Error("ERR_ARGUMENT", "the FFN has another width");
  }
  delta_.clear();
  map_ = std::move(map);
}

PartTiles FfnSolver::Zeros() const {
  PartTiles zeros;
  for (size_t part = 0; part < map_.parts(); ++part) {
    zeros.emplace_back(space_, map_.width, map_.inputs);
  }
  return zeros;
}

TileMatrix<double> FfnSolver::MovedFromOrigin(size_t part) const {
  TileMatrix<double> moved(space_, map_.width, map_.inputs);
  Buffer<double> values = context().Allocate<double>(MovedDoubles(map_.inputs));
  EachRows(context(), *map_.in[part], [&](size_t row, size_t count) {
    {
      const PagedMatrix::View to(*map_.in[part], row, count, Access::kRead);
      const PagedMatrix::View from(*origin_[part], row, count, Access::kRead);
      for (size_t c = 0; c < count * map_.inputs; ++c) {
        values[c] = static_cast<double>(to.data()[c]) - from.data()[c];
      }
    }
    WriteRows(moved, row, count, values.data());
  });
  return moved;
}

PartSums FfnSolver::MakeSums(bool with_gram) const {
  PartSums sums;
  for (size_t part = 0; part < map_.parts(); ++part) {
    sums.push_back(std::make_unique<Statistics>(space_, map_.inputs, with_gram && part == 0,
                                                map_.width, tokens_.inputs->share()));
  }
  return sums;
}

InputWeights FfnSolver::Moved() const {
  if (delta_.empty()) throw Error("ERR_ARGUMENT", "there is no change of the weights yet");
  InputWeights moved;
  Buffer<double> values = context().Allocate<double>(MovedDoubles(map_.inputs));
  for (size_t part = 0; part < map_.parts(); ++part) {
    PagedMatrix& from = *map_.in[part];
    moved.push_back(
        std::make_shared<PagedMatrix>(space_.store, map_.width, map_.inputs, from.page_rows()));
    EachRows(context(), from, [&](size_t row, size_t count) {
      ReadRows(delta_[part], row, count, values.data());
      const PagedMatrix::View old(from, row, count, Access::kRead);
      const PagedMatrix::View to(*moved.back(), row, count, Access::kWrite);
      for (size_t c = 0; c < count * map_.inputs; ++c) {
        to.data()[c] = static_cast<float>(old.data()[c] + values[c]);
      }
    });
  }
  return moved;
}

}  // namespace struprune

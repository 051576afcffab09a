#include "solver/gauss_newton.h"

#include <algorithm>

#include "tiles/doubles_on_device.h"
#include "tiles/elementwise.h"
#include "tiles/multiply.h"
#include "tiles/reduce.h"
#include "tiles/strips.h"

namespace struprune {
namespace {

// DᵀD [width, width] of the output map.
TileMatrix<double> SquareOf(const TileSpace& space, const FfnMap& map) {
  const auto down = FromStrips<double>(space, *map.down);
  TileMatrix<double> square(space, map.width, map.width, Shape::kSymmetric);
  Multiply(1, {down, Trans::kYes}, {down}, 0, square);
  return square;
}

// to ← to ∘ from.
void MultiplyBy(const TileMatrix<double>& from, TileMatrix<double>& to) {
  EachTile(
      [&](size_t i, size_t j) {
        const auto factor = from.Read(i, j);
        const auto target = to.Update(i, j);
        for (size_t r = 0; r < target.rows; ++r) {
          for (size_t c = 0; c < target.cols; ++c) target.row(r)[c] *= factor.row(r)[c];
        }
      },
      to, from);
}

void ClearLastColumn(TileMatrix<double>& matrix) {
  const size_t last = matrix.cols().tiles() - 1;
  for (size_t i = 0; i < matrix.rows().tiles(); ++i) {
    const auto tile = matrix.Update(i, last);
    for (size_t r = 0; r < tile.rows; ++r) tile.row(r)[tile.cols - 1] = 0;
  }
}

double PartsDot(const PartTiles& a, const PartTiles& b) {
  double sum = 0;
  for (size_t part = 0; part < a.size(); ++part) sum += Dot(a[part], b[part]);
  return sum;
}

void Add(double scale, const PartTiles& from, PartTiles& to) {
  for (size_t part = 0; part < to.size(); ++part) struprune::Add(scale, from[part], to[part]);
}

PartTiles CrossOf(const PartSums& sums) {
  PartTiles cross;
  for (const auto& part : sums) cross.push_back(Copy(*part->cross()));
  return cross;
}

// `fixed`: bytes of tiles that last, and are made here but for the refit's weight.
Needs LineariseNeeds(const Context& context, const FfnDemand& demand, size_t fixed) {
  const FfnShape& shape = demand.shape;
  const size_t parts = shape.parts(), curvature = HalfBytes(shape.width);
  const size_t iterate = IterateTiles(shape), sums = HalfBytes(shape.inputs) + iterate;
  const size_t moments = FitTiles(shape) + sums + parts * curvature;
  Needs pass = Searching(OverTaken(GradientNeeds(context, shape, demand.tokens), demand)) +
               TileNeeds(context, moments, demand.paged);
  const size_t algebra = std::max({
      moments + curvature + TileBytes(shape.outputs, shape.width),  // DᵀD
      moments + 2 * curvature,                                      // A
      fixed + sums,                                                 // the factors
  });
  Needs made = TileNeeds(context, algebra, demand.paged) +
               DoublesNeedsOnDevice(context, shape.width, shape.inputs);
  for (size_t i = 0; i < parts; ++i) {
    const Needs buffers = Statistics::Buffers(context, {shape.width, true});
    pass += buffers, made += buffers;
  }
  // The residual, and what a part of θ has moved from the origin.
  const size_t pulled = fixed + sums + iterate + TileBytes(shape.width, shape.inputs);
  return CopiesNeeds(demand, 2, 1) + SumsNeeds(context, shape, true) +
         pass.Then(made).Then(TileNeeds(context, pulled, demand.paged) + MovedNeeds(shape));
}

// The last direction of a round has no sums; nor has a first one δ, the direction before and its
// image.
Needs DirectionNeeds(const Context& context, const FfnDemand& demand, size_t fixed, bool first,
                     bool last) {
  const FfnShape& shape = demand.shape;
  const size_t iterate = IterateTiles(shape), part = TileBytes(shape.width, shape.inputs);
  const auto tiles = [&](size_t iterates, size_t more) {
    return TileNeeds(context, fixed + iterates * iterate + more, demand.paged);
  };
  // The next direction; a part of it is transposed on its way.
  const Needs precondition = CopiesNeeds(demand, 2, 1) +
                             tiles(first ? 2 : 5, TileBytes(shape.inputs, shape.width)) +
                             DoublesNeedsOnDevice(context, shape.width, shape.inputs);
  const size_t held = first ? 2 : 3, image = last ? 0 : 1;
  Needs pass = CopiesNeeds(demand, 3, 1) + tiles(held + image, 0) +
               Searching(OverTaken(ProductNeeds(context, shape, demand.tokens, !last), demand));
  Needs penalty = CopiesNeeds(demand, 2, 1) + tiles(held + 2 * image, part);
  if (!last) {
    const Needs buffers = SumsNeeds(context, shape, false);
    pass += buffers, penalty += buffers;
  }
  return precondition.Then(pass).Then(penalty);
}

}  // namespace

Needs GaussNewtonNeeds(const Context& context, const FfnDemand& demand, size_t steps) {
  const FfnShape& shape = demand.shape;
  const size_t factors = shape.parts() * HalfBytes(shape.width) + HalfBytes(shape.inputs);
  const size_t fixed = factors + FitTiles(shape);
  Needs round = LineariseNeeds(context, demand, fixed)
                    .Then(DirectionNeeds(context, demand, fixed, true, steps == 1));
  if (steps > 1) round = round.Then(DirectionNeeds(context, demand, fixed, false, true));
  if (steps > 2) {
    round = round.Then(DirectionNeeds(context, demand, fixed, false, false).Times(steps - 2));
  }
  // δ, the residual and a direction, where another one was to follow with its image.
  const size_t left = fixed + (steps > 2 ? 4 : 3) * IterateTiles(shape);
  return HeldFloats(shape.outputs) +
         round.Then(BetweenNeeds(context, demand, left)).Times(demand.rounds);
}

void GaussNewton::AddPenalty(double scale, size_t part, const TileMatrix<double>& from,
                             TileMatrix<double>& to) const {
  const double unit = scale * options_.lambda / taken_;
  EachTile(
      [&](size_t i, size_t j) {
        const auto source = from.Read(i, j);
        const auto target = to.Update(i, j);
        const double* rows = curvatures_[part].data() + to.rows().begin(i);
        const double* columns = squares_.data() + to.cols().begin(j);
        for (size_t r = 0; r < target.rows; ++r) {
          for (size_t c = 0; c < target.cols; ++c) {
            target.row(r)[c] += unit * rows[r] * columns[c] * source.row(r)[c];
          }
        }
      },
      to, from);
}

double GaussNewton::Linearise(FfnMap map, size_t tokens, size_t offset) {
  preconditioner_.reset();
  for (auto* parts : {&residual_, &direction_, &image_}) parts->clear();
  Begin(std::move(map));
  pages_ = HeldPages(tokens_, ChoosePages(tokens_, tokens, offset));

  const PartSums sums = MakeSums(true);
  PartSums moments;
  for (size_t part = 0; part < map_.parts(); ++part) {
    moments.push_back(
        std::make_unique<Statistics>(space_, map_.width, true, 0, tokens_.inputs->share()));
  }
  const FfnError error = AddGradient(context(), map_, tokens_, pages_, sums, moments);
  taken_ = static_cast<double>(sums[0]->tokens());
  MakePreconditioner(*sums[0], moments);

  delta_ = Zeros();
  residual_ = CrossOf(sums);
  for (size_t part = 0; part < map_.parts(); ++part) {
    AddPenalty(-1, part, MovedFromOrigin(part), residual_[part]);
  }
  return error.target > 0 ? error.error / error.target : 0;
}

// A = (DᵀD) ∘ the moments of the slopes; the moments are freed.
void GaussNewton::MakePreconditioner(Statistics& sums, PartSums& moments) {
  squares_.assign(sums.squares(), sums.squares() + map_.inputs);
  curvatures_.clear();
  std::vector<TileMatrix<double>> curvatures;
  {
    const TileMatrix<double> square = SquareOf(space_, map_);
    for (auto& moment : moments) {
      TileMatrix<double> curvature = Copy(*moment->gram());
      moment.reset();
      MultiplyBy(square, curvature);
      curvatures_.push_back(Diagonal(curvature));
      curvatures.push_back(std::move(curvature));
    }
  }
  preconditioner_.emplace(taken_, Copy(*sums.gram()), std::move(curvatures));
}

PartTiles GaussNewton::Preconditioned() const {
  PartTiles z;
  for (size_t part = 0; part < map_.parts(); ++part) {
    z.push_back(preconditioner_->Apply(part, residual_[part]));
    if (options_.freeze_last) ClearLastColumn(z.back());
  }
  return z;
}

InputWeights GaussNewton::InStrips(const PartTiles& parts) const {
  InputWeights weights;
  for (size_t part = 0; part < map_.parts(); ++part) {
    auto to = std::make_shared<PagedMatrix>(space_.store, map_.width, map_.inputs,
                                            map_.in[part]->page_rows());
    ToStrips(parts[part], *to);
    weights.push_back(std::move(to));
  }
  return weights;
}

Direction GaussNewton::NextDirection(bool last) {
  if (!preconditioner_) throw Error("ERR_ARGUMENT", "there is no linearisation yet");
  PartTiles next = Preconditioned();
  const double norm = PartsDot(residual_, next);
  if (!direction_.empty()) Add(norm_ > 0 ? norm / norm_ : 0, direction_, next);
  direction_ = std::move(next);
  image_.clear();
  norm_ = norm;

  const PartSums sums = last ? PartSums{} : MakeSums(false);
  Direction line;
  line.slope = PartsDot(residual_, direction_);
  line.curvature = AddProduct(context(), map_, tokens_, pages_, InStrips(direction_), sums);
  image_ = CrossOf(sums);
  for (size_t part = 0; part < map_.parts(); ++part) {
    TileMatrix<double> pull(space_, map_.width, map_.inputs);
    AddPenalty(1, part, direction_[part], pull);
    line.curvature += Dot(pull, direction_[part]);
    if (!last) struprune::Add(1, pull, image_[part]);
  }
  return line;
}

void GaussNewton::Advance(double step) {
  if (direction_.empty()) throw Error("ERR_ARGUMENT", "there is no direction yet");
  Add(step, direction_, delta_);
  if (!image_.empty()) Add(-step, image_, residual_);
}

}  // namespace struprune

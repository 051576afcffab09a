#include "solver/gauss_newton.h"

#include <algorithm>

#include "ops/gemm.h"
#include "ops/rows.h"
#include "tiles/strips.h"

namespace struprune {
namespace {

// DᵀD [width, width] of the output map.
Buffer<double> SquareOf(Context& context, const FfnMap& map) {
  Buffer<double> down = context.Allocate<double>(map.down.size());
  std::copy_n(map.down.data(), map.down.size(), down.data());
  Buffer<double> square = context.Allocate<double>(map.width * map.width);
  ParallelGemm(context, Trans::kYes, Trans::kNo, map.width, map.width, map.outputs, 1, down.data(),
               map.width, down.data(), map.width, 0, square.data(), map.width);
  return square;
}

}  // namespace

double GaussNewton::PenaltyOf(size_t row, size_t column) const {
  return options_.lambda / taken_ * curvatures_[row] * squares_[column];
}

double GaussNewton::Linearise(FfnMap map, size_t tokens, size_t offset) {
  preconditioner_.reset();
  for (auto* buffer : {&residual_, &direction_, &image_}) *buffer = {};
  Begin(std::move(map));
  pages_ = ChoosePages(tokens_, tokens, offset);

  Statistics sums(InMemory(context_), map_.inputs, true, map_.rows());
  std::vector<std::unique_ptr<Statistics>> moments;
  for (size_t part = 0; part < map_.parts; ++part) {
    moments.push_back(std::make_unique<Statistics>(InMemory(context_), map_.width, true, 0));
  }
  const FfnError error = AddGradient(*context_, map_, tokens_, pages_, sums, moments);
  taken_ = static_cast<double>(sums.tokens());
  MakePreconditioner(sums, moments);

  delta_ = Zeros();
  residual_ = Zeros();
  ReadRows(*sums.cross(), 0, map_.rows(), residual_.data());
  for (size_t row = 0, c = 0; row < map_.rows(); ++row) {
    for (size_t column = 0; column < map_.inputs; ++column, ++c) {
      residual_[c] -= PenaltyOf(row, column) * MovedFromOrigin(c);
    }
  }
  return error.target > 0 ? error.error / error.target : 0;
}

// A = (DᵀD) ∘ the moments of the slopes; the moments are freed.
void GaussNewton::MakePreconditioner(const Statistics& sums,
                                     std::vector<std::unique_ptr<Statistics>>& moments) {
  const size_t in = map_.inputs, width = map_.width;
  squares_.assign(sums.squares(), sums.squares() + in);
  curvatures_.clear();
  const Buffer<double> square = SquareOf(*context_, map_);
  std::vector<Buffer<double>> curvatures;
  for (auto& moment : moments) {
    Buffer<double> curvature = context_->Allocate<double>(width * width);
    ReadRows(*moment->gram(), 0, width, curvature.data());
    for (size_t c = 0; c < width * width; ++c) curvature[c] *= square[c];
    moment.reset();
    for (size_t j = 0; j < width; ++j) curvatures_.push_back(curvature[j * width + j]);
    curvatures.push_back(std::move(curvature));
  }
  Buffer<double> inputs = context_->Allocate<double>(in * in);
  ReadRows(*sums.gram(), 0, in, inputs.data());
  preconditioner_.emplace(*context_, taken_, in, std::move(inputs), width, std::move(curvatures));
}

void GaussNewton::Precondition(double* z) const {
  preconditioner_->Apply(residual_.data(), z);
  if (!options_.freeze_last) return;
  for (size_t row = 0; row < map_.rows(); ++row) z[(row + 1) * map_.inputs - 1] = 0;
}

Direction GaussNewton::NextDirection(bool last) {
  if (!preconditioner_) throw Error("ERR_ARGUMENT", "there is no linearisation yet");
  const size_t cells = map_.in.size();
  Buffer<double> next = Zeros();
  Precondition(next.data());
  const double norm = Dot(cells, residual_.data(), next.data());
  if (!direction_.empty()) {
    const double share = norm_ > 0 ? norm / norm_ : 0;
    for (size_t c = 0; c < cells; ++c) next[c] += share * direction_[c];
  }
  direction_ = std::move(next);
  image_ = {};
  norm_ = norm;

  Buffer<float> v = context_->Allocate<float>(cells);
  std::copy_n(direction_.data(), cells, v.data());
  std::optional<Statistics> sums;
  if (!last) sums.emplace(InMemory(context_), map_.inputs, false, map_.rows());
  Direction line;
  line.slope = Dot(cells, residual_.data(), direction_.data());
  line.curvature = AddProduct(*context_, map_, tokens_, pages_, v.data(), sums ? &*sums : nullptr);
  if (sums) {
    image_ = context_->Allocate<double>(cells);
    ReadRows(*sums->cross(), 0, map_.rows(), image_.data());
  }
  for (size_t row = 0, c = 0; row < map_.rows(); ++row) {
    for (size_t column = 0; column < map_.inputs; ++column, ++c) {
      const double pull = PenaltyOf(row, column) * direction_[c];
      line.curvature += pull * direction_[c];
      if (sums) image_[c] += pull;
    }
  }
  return line;
}

void GaussNewton::Advance(double step) {
  if (direction_.empty()) throw Error("ERR_ARGUMENT", "there is no direction yet");
  for (size_t c = 0; c < delta_.size(); ++c) delta_[c] += step * direction_[c];
  for (size_t c = 0; c < image_.size(); ++c) residual_[c] -= step * image_[c];
}

}  // namespace struprune

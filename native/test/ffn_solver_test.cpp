#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "float_tensors.h"
#include "solver/auxiliary.h"
#include "solver/gauss_newton.h"
#include "tile_support.h"

namespace struprune {
namespace {

using test::MakeSpace;
using test::RandomFloats;

constexpr size_t kTokens = 48, kInputs = 5, kWidth = 7, kOutputs = 6, kCells = kWidth * kInputs;
constexpr double kLambda = 0.05;

using Values = std::vector<float>;
using Doubles = std::vector<double>;

// An FFN, what it reads and what it should give. The last input is one, so that its weights are
// biases.
struct Ffn {
  Activation activation;
  size_t parts;
  Values x = RandomFloats(kTokens * kInputs, 1), y = RandomFloats(kTokens * kOutputs, 2);
  Values theta, origin;  // [parts * width, inputs]
  Values down = RandomFloats(kOutputs * kWidth, 5), bias = RandomFloats(kOutputs, 6);

  Ffn(Activation kind, size_t weights) : activation(kind), parts(weights) {
    theta = RandomFloats(parts * kCells, 3);
    origin = RandomFloats(parts * kCells, 4);
    for (size_t t = 0; t < kTokens; ++t) x[(t + 1) * kInputs - 1] = 1;
  }
};

std::shared_ptr<PagedMatrix> Stored(const TileSpace& space, size_t rows, size_t cols,
                                    size_t page_rows, const float* values) {
  auto matrix = std::make_shared<PagedMatrix>(space.store, rows, cols, page_rows);
  matrix->Write(0, rows, values);
  return matrix;
}

InputWeights StoredParts(const TileSpace& space, const Values& weights) {
  InputWeights parts;
  for (size_t at = 0; at < weights.size(); at += kCells) {
    parts.push_back(Stored(space, kWidth, kInputs, 3, weights.data() + at));
  }
  return parts;
}

FfnMap MapOf(const TileSpace& space, const Ffn& ffn) {
  FfnMap map;
  map.activation = ffn.activation;
  map.inputs = kInputs;
  map.width = kWidth;
  map.outputs = kOutputs;
  map.in = StoredParts(space, ffn.theta);
  map.down = Stored(space, kOutputs, kWidth, 4, ffn.down.data());
  map.bias = space.context->Allocate<float>(kOutputs);
  std::ranges::copy(ffn.bias, map.bias.data());
  return map;
}

FfnTokens TokensOf(const TileSpace& space, const Ffn& ffn) {
  return {Stored(space, kTokens, kInputs, 16, ffn.x.data()),
          Stored(space, kTokens, kOutputs, 16, ffn.y.data())};
}

GaussNewton MakeNewton(const TileSpace& space, const Ffn& ffn, double lambda, bool freeze = false) {
  return {space, StoredParts(space, ffn.origin), TokensOf(space, ffn), {lambda, freeze}};
}

Values Flat(const InputWeights& parts) {
  Values values(parts.size() * kCells);
  for (size_t part = 0; part < parts.size(); ++part) {
    parts[part]->Read(0, kWidth, values.data() + part * kCells);
  }
  return values;
}

double Sigmoid(double z) { return 1 / (1 + std::exp(-z)); }
double Silu(double z) { return z * Sigmoid(z); }
double SiluSlope(double z) { return Sigmoid(z) * (1 + z * (1 - Sigmoid(z))); }

double PreActivation(const Ffn& ffn, const Doubles& theta, size_t token, size_t row) {
  double sum = 0;
  for (size_t i = 0; i < kInputs; ++i) sum += ffn.x[token * kInputs + i] * theta[row * kInputs + i];
  return sum;
}

// Ŷ [tokens, outputs] of SiLU, written down from its formula.
Doubles Outputs(const Ffn& ffn, const Doubles& theta) {
  Doubles out;
  for (size_t t = 0; t < kTokens; ++t) {
    Doubles hidden;
    for (size_t j = 0; j < kWidth; ++j) {
      const double first = PreActivation(ffn, theta, t, j);
      hidden.push_back(ffn.parts == 2 ? Silu(first) * PreActivation(ffn, theta, t, kWidth + j)
                                      : Silu(first));
    }
    for (size_t o = 0; o < kOutputs; ++o) {
      double sum = ffn.bias[o];
      for (size_t j = 0; j < kWidth; ++j) sum += hidden[j] * ffn.down[o * kWidth + j];
      out.push_back(sum);
    }
  }
  return out;
}

// The derivative of the outputs by every weight, by central differences in double precision.
std::vector<Doubles> Jacobian(const Ffn& ffn) {
  constexpr double kStep = 1e-5;
  std::vector<Doubles> columns;
  Doubles theta(ffn.theta.begin(), ffn.theta.end());
  for (double& cell : theta) {
    const double old = cell;
    cell = old + kStep;
    Doubles column = Outputs(ffn, theta);
    cell = old - kStep;
    const Doubles below = Outputs(ffn, theta);
    cell = old;
    for (size_t k = 0; k < column.size(); ++k) column[k] = (column[k] - below[k]) / (2 * kStep);
    columns.push_back(std::move(column));
  }
  return columns;
}

// K of docs/method.md, section 7: λ ÷ n times the diagonals of DᵀD, of sᵀs and of XᵀX.
Doubles Penalty(const Ffn& ffn) {
  const Doubles theta(ffn.theta.begin(), ffn.theta.end());
  Doubles penalty;
  for (size_t row = 0; row < ffn.parts * kWidth; ++row) {
    const size_t j = row % kWidth;
    double down = 0, slopes = 0;
    for (size_t o = 0; o < kOutputs; ++o)
      down += ffn.down[o * kWidth + j] * ffn.down[o * kWidth + j];
    for (size_t t = 0; t < kTokens; ++t) {
      const double first = PreActivation(ffn, theta, t, j);
      double slope = SiluSlope(first);
      if (ffn.parts == 2) {
        slope = row < kWidth ? slope * PreActivation(ffn, theta, t, kWidth + j) : Silu(first);
      }
      slopes += slope * slope;
    }
    for (size_t i = 0; i < kInputs; ++i) {
      double square = 0;
      for (size_t t = 0; t < kTokens; ++t)
        square += ffn.x[t * kInputs + i] * ffn.x[t * kInputs + i];
      penalty.push_back(kLambda / kTokens * down * slopes * square);
    }
  }
  return penalty;
}

double Dot(const Doubles& a, const Doubles& b) {
  double sum = 0;
  for (size_t k = 0; k < a.size(); ++k) sum += a[k] * b[k];
  return sum;
}

// Jᵀ(Y − Ŷ − Jδ) − K (θ + δ − θ₀): zero where δ solves the linearised problem.
Doubles NormalResidual(const Ffn& ffn, const Doubles& delta) {
  const std::vector<Doubles> jacobian = Jacobian(ffn);
  const Doubles penalty = Penalty(ffn);
  Doubles missed = Outputs(ffn, Doubles(ffn.theta.begin(), ffn.theta.end()));
  for (size_t k = 0; k < missed.size(); ++k) {
    missed[k] = ffn.y[k] - missed[k];
    for (size_t c = 0; c < delta.size(); ++c) missed[k] -= jacobian[c][k] * delta[c];
  }
  Doubles residual;
  for (size_t c = 0; c < delta.size(); ++c) {
    const double moved = static_cast<double>(ffn.theta[c]) + delta[c] - ffn.origin[c];
    residual.push_back(Dot(jacobian[c], missed) - penalty[c] * moved);
  }
  return residual;
}

class FfnSolverOf : public testing::TestWithParam<size_t> {
 protected:
  Ffn ffn() const { return {Activation::kSilu, GetParam()}; }
};

TEST_P(FfnSolverOf, StepsSolveTheNormalEquations) {
  const Ffn ffn = this->ffn();
  GaussNewton solver = MakeNewton(MakeSpace(4, 0), ffn, kLambda);
  solver.Linearise(MapOf(MakeSpace(4, 0), ffn), kTokens, 0);
  const size_t cells = ffn.parts * kCells;
  for (size_t step = 0; step < cells; ++step) {
    const Direction line = solver.NextDirection(false);
    if (!(line.slope > 0 && line.curvature > 0)) break;
    solver.Advance(line.slope / line.curvature);
  }
  const Values moved = Flat(solver.Moved());
  Doubles delta(cells);
  for (size_t c = 0; c < cells; ++c) delta[c] = static_cast<double>(moved[c]) - ffn.theta[c];
  const Doubles before = NormalResidual(ffn, Doubles(cells, 0.0));
  const Doubles after = NormalResidual(ffn, delta);
  EXPECT_GT(std::sqrt(Dot(before, before)), 1);
  EXPECT_LT(std::sqrt(Dot(after, after) / Dot(before, before)), 1e-4);
}

TEST_P(FfnSolverOf, RefusesWhatDoesNotFit) {
  const Ffn ffn = this->ffn();
  const TileSpace space = MakeSpace(4, 0);
  GaussNewton solver = MakeNewton(space, ffn, kLambda);
  EXPECT_THROW(solver.NextDirection(true), Error);
  FfnMap map = MapOf(space, ffn);
  map.in = StoredParts(space, RandomFloats((3 - ffn.parts) * kCells, 7));
  EXPECT_THROW(solver.Linearise(std::move(map), kTokens, 0), Error);
}

INSTANTIATE_TEST_SUITE_P(Parts, FfnSolverOf, testing::Values(1, 2));

// Weights after two rounds of a solver, in a store with room for so many tiles.
using Rounds = std::function<Values(const TileSpace&, const Ffn&)>;

Values NewtonRounds(const TileSpace& space, const Ffn& ffn) {
  GaussNewton solver = MakeNewton(space, ffn, kLambda, true);
  FfnMap map = MapOf(space, ffn);
  for (size_t round = 0; round < 2; ++round) {
    solver.Linearise(std::move(map), kTokens, round);
    for (const bool last : {false, true}) {
      const Direction line = solver.NextDirection(last);
      solver.Advance(line.slope / line.curvature);
    }
    map = MapOf(space, ffn);
    map.in = solver.Moved();
  }
  return Flat(map.in);
}

Values AuxiliaryRounds(const TileSpace& space, const Ffn& ffn) {
  Auxiliary solver(space, StoredParts(space, ffn.origin), TokensOf(space, ffn), {kLambda, true});
  FfnMap map = MapOf(space, ffn);
  for (size_t round = 0; round < 2; ++round) {
    solver.Iterate(std::move(map), kTokens, round);
    map = MapOf(space, ffn);
    map.in = solver.Moved();
  }
  return Flat(map.in);
}

struct PagedCase {
  const char* name;
  Activation activation;
  size_t parts;
  Rounds rounds;
};
class PagedFfnSolver : public testing::TestWithParam<PagedCase> {};

TEST_P(PagedFfnSolver, HasTheBitsOfOneInMemory) {
  const PagedCase& c = GetParam();
  const Ffn ffn(c.activation, c.parts);
  const Values expected = c.rounds(MakeSpace(4, 0), ffn);
  const TileSpace tight = MakeSpace(4, 12);
  EXPECT_EQ(c.rounds(tight, ffn), expected);
  EXPECT_EQ(c.rounds(MakeSpace(4, 0, 1), ffn), expected);
  EXPECT_GT(tight.store->traffic().evictions, 100u);
  for (size_t row = 0; row < c.parts * kWidth; ++row) {
    const size_t last = (row + 1) * kInputs - 1;
    EXPECT_EQ(expected[last], ffn.theta[last]) << "a bias moved";
    EXPECT_NE(expected[last - 1], ffn.theta[last - 1]);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Solvers, PagedFfnSolver,
    testing::Values(PagedCase{"NewtonGated", Activation::kSilu, 2, NewtonRounds},
                    PagedCase{"NewtonPlain", Activation::kRelu, 1, NewtonRounds},
                    PagedCase{"AuxiliaryGated", Activation::kSilu, 2, AuxiliaryRounds},
                    PagedCase{"AuxiliaryPlain", Activation::kRelu, 1, AuxiliaryRounds}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace struprune

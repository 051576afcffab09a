// Experts against plain loops in double: a token passes those that it is routed to, and no other.
#include "model/experts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "expect_error.h"
#include "float_tensors.h"
#include "memory_matrix.h"
#include "model/backward.h"
#include "model/expert_sums.h"
#include "model/expert_turn.h"
#include "ops/gemm.h"
#include "tile_support.h"

namespace struprune {
namespace {

using test::ExpectError;
using test::FloatTensor;
using test::MemoryMatrix;
using test::RandomFloats;

constexpr size_t kWindow = 8, kTokens = 24, kHidden = 12, kWidth = 10, kShared = 6, kCount = 5;
constexpr StripSize kStrip{64, 3};

// Cuts some gates and linear parts of those at hand.
constexpr ClampedGate kClamp{1.5f, 1.7f};

// `clamped`: as gpt-oss has them; its weights have biases. `sigmoid`: as LFM2 has them, a shared
// one without a gate.
BlockSpec Spec(bool renormalised, bool shared, bool clamped = false, bool sigmoid = false,
               size_t top_k = 2) {
  FeedForwardSpec expert{kWidth, Activation::kSilu, true};
  if (clamped) expert.clamp = kClamp;
  ExpertsSpec experts{kCount, top_k, renormalised, expert};
  if (shared) experts.shared = expert, experts.shared->width = kShared;
  experts.sigmoid = sigmoid, experts.shared_gated = !sigmoid;
  BlockSpec spec{kHidden, {{.name = "experts", .mixer = experts, .norm = NormSpec{}}}};
  std::ranges::move(InsideOf(spec.sublayers[0]), std::back_inserter(spec.sublayers));
  return spec;
}

using Weights = std::vector<std::array<std::vector<float>, kParts>>;

Weights RandomWeights(const BlockSpec& spec) {
  const bool biased = spec.sublayers[0].experts()->expert.clamp.has_value();
  Weights weights(spec.sublayers.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    for (size_t p = 0; p < kParts; ++p) {
      const auto part = static_cast<Part>(p);
      const auto shape = ShapeOf(spec.sublayers[i], kHidden, part);
      if (!shape || (IsBias(part) && part != Part::kChoiceBias && !biased)) continue;
      weights[i][p] = RandomFloats(shape->rows * shape->cols, static_cast<unsigned>(40 * i + p));
    }
  }
  return weights;
}

const std::vector<float>& At(const Weights& weights, size_t sublayer, Part part) {
  return weights[sublayer][static_cast<size_t>(part)];
}
std::vector<float>& At(Weights& weights, size_t sublayer, Part part) {
  return weights[sublayer][static_cast<size_t>(part)];
}

Block MakeBlock(const std::shared_ptr<Context>& context, const BlockSpec& spec,
                const Weights& weights, std::shared_ptr<PageStore> store = nullptr) {
  BlockSources sources(spec.sublayers.size());
  for (size_t i = 0; i < sources.size(); ++i) {
    for (size_t p = 0; p < kParts; ++p) {
      if (weights[i][p].empty()) continue;
      const TensorId id{i, static_cast<Part>(p)};
      const auto [rows, cols] = ShapeOf(spec, id);
      sources[i][p] = FloatTensor(NameOf(spec, id), rows, cols, weights[i][p]);
    }
  }
  if (!store) store = std::make_shared<PageStore>(context, 0, "");
  return Block(context, store, spec, sources, Stored{}, kStrip);
}

std::vector<double> Times(const std::vector<float>& weight, const std::vector<double>& x) {
  std::vector<double> y(weight.size() / x.size());
  for (size_t i = 0; i < y.size(); ++i) {
    for (size_t j = 0; j < x.size(); ++j) y[i] += weight[i * x.size() + j] * x[j];
  }
  return y;
}

// With the part's bias, where there is one.
std::vector<double> Affine(const Weights& weights, size_t sublayer, Part part, Part bias,
                           const std::vector<double>& x) {
  auto y = Times(At(weights, sublayer, part), x);
  const auto& added = At(weights, sublayer, bias);
  for (size_t i = 0; i < added.size(); ++i) y[i] += added[i];
  return y;
}

using Gone = std::vector<uint8_t>;

// What an FFN's output map reads.
std::vector<double> FfnInput(const Weights& weights, size_t sublayer,
                             const std::vector<double>& x) {
  const auto gate = Affine(weights, sublayer, Part::kGate, Part::kGateBias, x);
  auto up = Affine(weights, sublayer, Part::kUp, Part::kUpBias, x);
  const bool clamped = !At(weights, sublayer, Part::kUpBias).empty();
  const auto [limit, alpha] = kClamp;
  for (size_t i = 0; i < up.size(); ++i) {
    if (clamped) {
      const double g = std::min<double>(gate[i], limit);
      up[i] = (std::clamp<double>(up[i], -limit, limit) + 1) * g / (1 + std::exp(-alpha * g));
    } else {
      up[i] *= gate[i] / (1 + std::exp(-gate[i]));
    }
  }
  return up;
}

std::vector<double> Ffn(const Weights& weights, size_t sublayer, const std::vector<double>& x) {
  return Affine(weights, sublayer, Part::kOut, Part::kOutBias, FfnInput(weights, sublayer, x));
}

struct Reference {
  std::vector<double> states;
  // Of each expert [tokens, width]: what its output map reads, times its weight; 0 where it does
  // not run.
  std::vector<std::vector<double>> inputs =
      std::vector(kCount, std::vector<double>(kTokens* kWidth));
  std::vector<double> norms = std::vector<double>(kCount), tokens = std::vector<double>(kCount);
};

Reference ByLoops(const BlockSpec& spec, const Weights& weights, const std::vector<float>& states,
                  const Gone& gone = Gone(kCount)) {
  const ExpertsSpec& experts = *spec.sublayers[0].experts();
  Reference result;
  for (size_t t = 0; t < kTokens; ++t) {
    std::vector<double> h(states.begin() + t * kHidden, states.begin() + (t + 1) * kHidden);
    const double square = std::inner_product(h.begin(), h.end(), h.begin(), 0.0) / kHidden;
    std::vector<double> x(kHidden);
    for (size_t i = 0; i < kHidden; ++i) {
      x[i] = h[i] / std::sqrt(square + 1e-5) * At(weights, 0, Part::kNorm)[i];
    }
    auto odds = Affine(weights, 0, Part::kRouter, Part::kRouterBias, x);
    for (double& at : odds) at = experts.sigmoid ? 1 / (1 + std::exp(-at)) : std::exp(at);
    std::vector<double> scores = odds;
    for (size_t j = 0; j < kCount; ++j) {
      if (experts.sigmoid) scores[j] += At(weights, 0, Part::kChoiceBias)[j];
      if (gone[j]) odds[j] = 0, scores[j] = -1e300;
    }
    std::vector<size_t> order(kCount);
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::stable_sort(order, [&](size_t a, size_t b) { return scores[a] > scores[b]; });
    order.resize(experts.top_k);
    double sum = 0;
    for (size_t j = 0; j < kCount; ++j) {
      const bool chosen = std::ranges::find(order, j) != order.end();
      if (chosen || !experts.renormalised) sum += odds[j];
    }
    if (experts.sigmoid) sum = experts.renormalised ? sum + 1e-6 : 1;
    for (const size_t j : order) {
      const auto input = FfnInput(weights, 1 + j, x);
      const auto y = Affine(weights, 1 + j, Part::kOut, Part::kOutBias, input);
      for (size_t i = 0; i < kHidden; ++i) h[i] += odds[j] / sum * y[i];
      for (size_t i = 0; i < kWidth; ++i) {
        result.inputs[j][t * kWidth + i] = odds[j] / sum * input[i];
      }
      result.norms[j] +=
          odds[j] / sum * std::sqrt(std::inner_product(y.begin(), y.end(), y.begin(), 0.0));
      result.tokens[j] += 1;
    }
    if (experts.shared) {
      const auto& map = At(weights, 0, Part::kSharedGate);
      const double gate = map.empty() ? 1 : 1 / (1 + std::exp(-Times(map, x)[0]));
      const auto y = Ffn(weights, 1 + kCount, x);
      for (size_t i = 0; i < kHidden; ++i) h[i] += gate * y[i];
    }
    result.states.insert(result.states.end(), h.begin(), h.end());
  }
  return result;
}

std::vector<float> RunBlock(const Block& block, const std::vector<float>& states) {
  const auto context = block.shared_context();
  PagedMatrix hidden = MemoryMatrix(context, kTokens, kHidden);
  hidden.Write(0, kTokens, states.data());
  RunExperts(block.sublayer(0), {.window = kWindow, .hidden = &hidden});
  std::vector<float> got(states.size());
  hidden.Read(0, kTokens, got.data());
  return got;
}

std::vector<double> Sums(const Block& block, const std::vector<float>& states,
                         const Gone& gone = Gone(kCount)) {
  const auto context = block.shared_context();
  PagedMatrix hidden = MemoryMatrix(context, kTokens, kHidden);
  hidden.Write(0, kTokens, states.data());
  Statistics sums(InMemory(context), 3 * kCount + 2, false, 0);
  SumExperts(block.sublayer(0), kWindow, hidden, gone, sums);
  std::vector<float> after(states.size());
  hidden.Read(0, kTokens, after.data());
  EXPECT_EQ(after, states);
  return {sums.sums(), sums.sums() + sums.dim()};
}

void ExpectStates(const std::vector<double>& wanted, const std::vector<float>& got) {
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], wanted[i], 2e-5 * (1 + std::abs(wanted[i]))) << i;
  }
}

double Distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

// Norms, tokens and errors of models without those, and without one more.
void ExpectSums(const BlockSpec& spec, const Weights& weights, const std::vector<float>& states,
                const Gone& gone, const std::vector<double>& got) {
  const auto dense = ByLoops(spec, weights, states).states;
  const Reference wanted = ByLoops(spec, weights, states, gone);
  const double error = Distance(dense, wanted.states), scale = 1 + got[3 * kCount + 1];
  const auto left = static_cast<size_t>(std::ranges::count(gone, 0));
  for (size_t j = 0; j < kCount; ++j) {
    EXPECT_NEAR(got[j], wanted.norms[j], 1e-5 * (1 + wanted.norms[j])) << j;
    EXPECT_EQ(got[kCount + j], wanted.tokens[j]) << j;
    Gone more = gone;
    more[j] = 1;
    const bool grows = !gone[j] && left > spec.sublayers[0].experts()->top_k;
    const double growth =
        grows ? Distance(dense, ByLoops(spec, weights, states, more).states) - error : 0;
    EXPECT_NEAR(got[2 * kCount + j], growth, 1e-6 * scale) << j;
  }
  EXPECT_NEAR(got[3 * kCount], error, 1e-6 * scale);
}

class Experts : public testing::TestWithParam<std::tuple<bool, bool, bool, bool>> {};

TEST_P(Experts, EqualPlainLoops) {
  InitialiseBlas();
  const auto [renormalised, shared, clamped, sigmoid] = GetParam();
  const BlockSpec spec = Spec(renormalised, shared, clamped, sigmoid);
  const Weights weights = RandomWeights(spec);
  const auto states = RandomFloats(kTokens * kHidden, 1);
  const Block block = MakeBlock(std::make_shared<Context>(2, 0), spec, weights);
  ExpectStates(ByLoops(spec, weights, states).states, RunBlock(block, states));
}

TEST_P(Experts, SumsAreOfModelsWithoutThem) {
  InitialiseBlas();
  const auto [renormalised, shared, clamped, sigmoid] = GetParam();
  const BlockSpec spec = Spec(renormalised, shared, clamped, sigmoid);
  const Weights weights = RandomWeights(spec);
  const auto states = RandomFloats(kTokens * kHidden, 1);
  const Block block = MakeBlock(std::make_shared<Context>(2, 0), spec, weights);
  for (const Gone& gone : {Gone{0, 0, 0, 0, 0}, Gone{0, 1, 0, 0, 0}, Gone{1, 0, 0, 1, 1}}) {
    const auto sums = Sums(block, states, gone);
    ExpectSums(spec, weights, states, gone, sums);
    EXPECT_EQ(std::accumulate(&sums[kCount], &sums[2 * kCount], 0.0), 2 * kTokens);
  }
  // The energy is of the routed experts alone: less a shared one and the stream.
  Weights alone = weights;
  for (const Part part : {Part::kOut, Part::kOutBias}) {
    if (shared) std::ranges::fill(At(alone, 1 + kCount, part), 0.0f);
  }
  const std::vector<double> before(states.begin(), states.end());
  const double energy = Distance(ByLoops(spec, alone, states).states, before);
  EXPECT_NEAR(Sums(block, states)[3 * kCount + 1], energy, 1e-5 * energy);
}

TEST_P(Experts, ThoseThatAreKeptAreTheModelWithoutTheOthers) {
  InitialiseBlas();
  const auto [renormalised, shared, clamped, sigmoid] = GetParam();
  const BlockSpec spec = Spec(renormalised, shared, clamped, sigmoid);
  const Weights weights = RandomWeights(spec);
  const auto states = RandomFloats(kTokens * kHidden, 1);
  Block block = MakeBlock(std::make_shared<Context>(2, 0), spec, weights);
  const std::vector<int32_t> kept = {0, 2, 4};
  block.KeepExperts(0, kept);
  ExpectStates(ByLoops(spec, weights, states, {0, 1, 0, 1, 0}).states, RunBlock(block, states));
  EXPECT_EQ(block.sublayers(), 1 + kept.size() + (shared ? 1 : 0));
  EXPECT_EQ(NameOf(block.spec(), {3, Part::kUp}), "experts.2.up");
  const auto refuse = [&](std::vector<int32_t> wrong) {
    EXPECT_THROW(block.KeepExperts(0, wrong), Error);
  };
  refuse({0}), refuse({1, 0}), refuse({1, 1}), refuse({1, 3});
}

std::vector<float> ReadAll(const PagedMatrix& matrix) {
  std::vector<float> values(matrix.rows() * matrix.cols());
  matrix.Read(0, matrix.rows(), values.data());
  return values;
}

// [a's columns, b's columns] of sums over tokens.
std::vector<double> Products(const std::vector<double>& a, const std::vector<double>& b) {
  const size_t rows = a.size() / kTokens, cols = b.size() / kTokens;
  std::vector<double> sums(rows * cols);
  for (size_t t = 0; t < kTokens; ++t) {
    for (size_t i = 0; i < rows; ++i) {
      for (size_t j = 0; j < cols; ++j) sums[i * cols + j] += a[t * rows + i] * b[t * cols + j];
    }
  }
  return sums;
}

void ExpectTile(const std::vector<double>& wanted, const TileMatrix<double>& got) {
  const std::vector<double> values = test::ToDense(got).values;
  double largest = 0;
  for (const double value : wanted) largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_NEAR(values[i], wanted[i], 2e-6 * largest) << i;
  }
}

TEST_P(Experts, TurnsSumWhatAnExpertReadsAndWhatIsMissing) {
  InitialiseBlas();
  const auto [renormalised, shared, clamped, sigmoid] = GetParam();
  const BlockSpec spec = Spec(renormalised, shared, clamped, sigmoid);
  const Weights weights = RandomWeights(spec);
  const auto states = RandomFloats(kTokens * kHidden, 1);
  const auto context = std::make_shared<Context>(2, 0);
  Block block = MakeBlock(context, spec, weights);
  // Pages of two windows: more than one page, and none that all tokens share.
  PagedMatrix hidden = MemoryMatrix(context, kTokens, kHidden, 2 * kWindow),
              residual = MemoryMatrix(context, kTokens, kHidden, 2 * kWindow);
  hidden.Write(0, kTokens, states.data());
  const Gone gone = {0, 1, 0, 1, 0};
  Statistics sums(InMemory(context), 3 * kCount + 2, false, 0);
  SumExperts(block.sublayer(0), kWindow, hidden, gone, sums, &residual);
  const auto dense = ByLoops(spec, weights, states).states;
  const Reference left = ByLoops(spec, weights, states, gone);
  std::vector<double> missing(dense.size());
  for (size_t i = 0; i < missing.size(); ++i) missing[i] = dense[i] - left.states[i];
  ExpectStates(missing, ReadAll(residual));

  const std::vector<int32_t> kept = {0, 2, 4};
  block.KeepExperts(0, kept);
  const auto turn = [&](std::optional<size_t> back, std::optional<size_t> out, Statistics* to) {
    TurnExpert(block.sublayer(0), {kWindow, &hidden, &residual, back, out, to});
  };
  std::optional<size_t> back;
  for (size_t place = 0; place < kept.size(); ++place) {
    const auto& inputs = left.inputs[static_cast<size_t>(kept[place])];
    Statistics statistics(InMemory(context), kWidth, true, kHidden);
    turn(back, place, &statistics);
    EXPECT_EQ(statistics.tokens(), left.tokens[static_cast<size_t>(kept[place])]);
    ExpectTile(Products(inputs, inputs), *statistics.gram());
    ExpectTile(Products(missing, inputs), *statistics.cross());
    // Without it more is missing.
    std::vector<double> without = missing;
    for (size_t t = 0; t < kTokens; ++t) {
      const std::vector<double> input(inputs.begin() + t * kWidth,
                                      inputs.begin() + (t + 1) * kWidth);
      const auto y = Times(At(weights, 1 + static_cast<size_t>(kept[place]), Part::kOut), input);
      for (size_t i = 0; i < kHidden; ++i) without[t * kHidden + i] += y[i];
    }
    ExpectStates(without, ReadAll(residual));
    back = place;
  }
  turn(back, std::nullopt, nullptr);
  ExpectStates(missing, ReadAll(residual));
  EXPECT_EQ(ReadAll(hidden), states);
  const auto refuse = [&](std::optional<size_t> out, Statistics* to) {
    EXPECT_THROW(turn(std::nullopt, out, to), Error);
  };
  Statistics other(InMemory(context), kWidth + 1, true, kHidden);
  refuse(0, &other), refuse(0, nullptr), refuse(3, nullptr), refuse(std::nullopt, &sums);
}

// Channels of an expert that stay.
const std::vector<int32_t> kStay = {0, 1, 3, 4, 6, 9};

// Cuts one, as a refit's map might.
void Cut(Block& block, Weights& weights, size_t expert) {
  const size_t sublayer = 1 + expert;
  for (const Part part : {Part::kGate, Part::kGateBias, Part::kUp, Part::kUpBias}) {
    block.Slice({sublayer, part}, 0, kStay);
  }
  block.Slice({sublayer, Part::kOut}, 1, kStay);
  block.Resize(sublayer, kStay.size());
  std::vector<float>& out = At(weights, sublayer, Part::kOut);
  for (size_t i = 0; i < kHidden; ++i) {
    for (size_t c = 0; c < kWidth; ++c) {
      if (std::ranges::find(kStay, static_cast<int32_t>(c)) == kStay.end()) out[i * kWidth + c] = 0;
    }
  }
}

TEST_P(Experts, TurnsSumOneAfterTheOtherWhileTheyAreCut) {
  InitialiseBlas();
  const auto [renormalised, shared, clamped, sigmoid] = GetParam();
  const BlockSpec spec = Spec(renormalised, shared, clamped, sigmoid);
  Weights weights = RandomWeights(spec);
  const auto states = RandomFloats(kTokens * kHidden, 1);
  const auto context = std::make_shared<Context>(2, 0);
  Block block = MakeBlock(context, spec, weights);
  PagedMatrix hidden = MemoryMatrix(context, kTokens, kHidden, 2 * kWindow);
  hidden.Write(0, kTokens, states.data());
  const Reference dense = ByLoops(spec, weights, states);
  for (size_t j = 0; j < kCount; ++j) {
    // With a Gram matrix, or with moments alone; nothing is kept of what is missing.
    const bool gram = j % 2 == 0;
    Statistics statistics(InMemory(context), kWidth, gram, 0);
    const auto turn = [&](Statistics& to) {
      TurnExpert(block.sublayer(0), {kWindow, &hidden, nullptr, std::nullopt, j, &to});
    };
    turn(statistics);
    EXPECT_EQ(statistics.tokens(), dense.tokens[j]);
    const std::vector<double> wanted = Products(dense.inputs[j], dense.inputs[j]);
    if (gram) ExpectTile(wanted, *statistics.gram());
    for (size_t c = 0; c < kWidth && !gram; ++c) {
      const double square = wanted[c * (kWidth + 1)];
      EXPECT_NEAR(statistics.squares()[c], square, 1e-5 * square);
    }
    Cut(block, weights, j);
    // It has fewer channels now; and nothing knows what is missing.
    Statistics wide(InMemory(context), kWidth, gram, 0);
    Statistics crosses(InMemory(context), kStay.size(), gram, kHidden);
    for (Statistics* const wrong : {&wide, &crosses}) {
      EXPECT_THROW(turn(*wrong), Error);
    }
  }
  EXPECT_EQ(ReadAll(hidden), states);
  block.Resize(0, kStay.size());
  ExpectStates(ByLoops(spec, weights, states).states, RunBlock(block, states));
}

INSTANTIATE_TEST_SUITE_P(Kinds, Experts,
                         testing::Combine(testing::Bool(), testing::Bool(), testing::Bool(),
                                          testing::Bool()));

TEST(ExpertsAlone, AnErrorIsExactWhereAnotherExpertHasNearlyAllOfTheWeight) {
  InitialiseBlas();
  for (const bool renormalised : {false, true}) {
    const BlockSpec spec = Spec(renormalised, false);
    Weights weights = RandomWeights(spec);
    for (float& value : At(weights, 0, Part::kRouter)) value *= 12;
    const auto states = RandomFloats(kTokens * kHidden, 1);
    const Block block = MakeBlock(std::make_shared<Context>(1, 0), spec, weights);
    const Gone none(kCount);
    ExpectSums(spec, weights, states, none, Sums(block, states));
  }
}

TEST(ExpertsAlone, ThoseThatNoTokenIsRoutedToDoNotRun) {
  InitialiseBlas();
  const BlockSpec spec = Spec(true, false);
  Weights weights = RandomWeights(spec);
  // All are as likely: the first two, and the third would follow.
  std::ranges::fill(At(weights, 0, Part::kRouter), 0.0f);
  const auto states = RandomFloats(kTokens * kHidden, 1);
  const auto wanted = ByLoops(spec, weights, states).states;
  for (size_t j = 3; j < kCount; ++j) std::ranges::fill(At(weights, 1 + j, Part::kUp), 3e38f);
  const Block block = MakeBlock(std::make_shared<Context>(1, 0), spec, weights);
  ExpectStates(wanted, RunBlock(block, states));
  const auto sums = Sums(block, states);
  for (size_t j = 0; j < kCount; ++j) EXPECT_EQ(sums[kCount + j], j < 2 ? kTokens : 0);
  EXPECT_TRUE(std::isfinite(sums[3 * kCount]));
}

TEST(ExpertsAlone, OfPagedWeightsGiveTheSameBits) {
  InitialiseBlas();
  const BlockSpec spec = Spec(false, true);
  const Weights weights = RandomWeights(spec);
  const auto states = RandomFloats(kTokens * kHidden, 1);
  const auto run = [&](size_t limit, uint64_t& read) {
    const auto context = std::make_shared<Context>(1, 0);
    const auto store = std::make_shared<PageStore>(context, limit, testing::TempDir());
    const Block block = MakeBlock(context, spec, weights, store);
    const auto got = std::pair(RunBlock(block, states), Sums(block, states));
    read = store->traffic().read_bytes;
    return got;
  };
  uint64_t all = 0, few = 0;
  const auto whole = run(0, all), paged = run(2 * 64 * sizeof(float), few);
  EXPECT_EQ(whole, paged);
  EXPECT_EQ(all, 0);
  EXPECT_GT(few, 0);
}

TEST(ExpertsAlone, FlopsAreOfThoseThatATokenPasses) {
  const double of_expert = 2.0 * 3 * kHidden * kWidth, of_shared = 2.0 * 3 * kHidden * kShared;
  for (const size_t top_k : {1, 2, 5}) {
    const double router = 2.0 * kHidden * kCount, gate = 2.0 * kHidden;
    EXPECT_EQ(BlockFlops(Spec(true, false, false, false, top_k), 7, kWindow),
              7 * (router + top_k * of_expert));
    EXPECT_EQ(BlockFlops(Spec(true, true, false, false, top_k), 7, kWindow),
              7 * (router + gate + top_k * of_expert + of_shared));
    EXPECT_EQ(BlockFlops(Spec(true, true, false, true, top_k), 7, kWindow),
              7 * (router + top_k * of_expert + of_shared));
  }
}

TEST(ExpertsAlone, RefuseOtherSinksAndGradients) {
  const BlockSpec spec = Spec(true, false);
  const auto context = std::make_shared<Context>(1, 0);
  const Block block = MakeBlock(context, spec, RandomWeights(spec));
  PagedMatrix hidden = MemoryMatrix(context, kTokens, kHidden),
              gradient = MemoryMatrix(context, kTokens, kHidden),
              keep = MemoryMatrix(context, kTokens, kWidth);
  const SiteRun keeping{.window = kWindow, .hidden = &hidden, .keep = &keep};
  EXPECT_THROW(RunExperts(block.sublayer(0), keeping), Error);
  Statistics sums(InMemory(context), 3 * kCount + 2, false, 0);
  const SiteRun summing{.window = kWindow, .hidden = &hidden, .statistics = &sums};
  EXPECT_THROW(RunExperts(block.sublayer(0), summing), Error);
  const Gone all_but_one = {1, 1, 0, 1, 1};
  EXPECT_THROW(SumExperts(block.sublayer(0), kWindow, hidden, all_but_one, sums), Error);
  ExpectError([&] { BackwardBlock(block, {kWindow, &hidden, &gradient, {}}); }, "ERR_UNSUPPORTED",
              "do not go through experts");
}

}  // namespace
}  // namespace struprune

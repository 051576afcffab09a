// A gated delta rule and gated attention against plain loops in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "expect_error.h"
#include "memory_matrix.h"
#include "model/backward.h"
#include "model/forward.h"
#include "one_sublayer.h"
#include "ops/gemm.h"
#include "reference_block.h"

namespace struprune {
namespace {

using test::At;
using test::Doubles;
using test::MakeOneSublayer;
using test::MemoryMatrix;
using test::PartWeights;
using test::RandomFloats;
using test::RandomParts;

constexpr size_t kWindow = 8, kTokens = 24, kHidden = 12, kPage = 2 * kWindow;
constexpr StripSize kStrip{64, 3};
// Two value heads a key head; heads of values are wider than those of keys.
constexpr DeltaSpec kRule{2, 4, 3, 5, 4, 1e-4f};

BlockSpec Spec(bool tiled = false) {
  DeltaSpec rule = kRule;
  rule.tiled = tiled;
  return {kHidden, {{.name = "delta", .mixer = rule, .norm = NormSpec{}}}};
}

Doubles Times(const std::vector<float>& weight, const Doubles& x) {
  Doubles y(weight.size() / x.size());
  for (size_t i = 0; i < y.size(); ++i) {
    for (size_t j = 0; j < x.size(); ++j) y[i] += weight[i * x.size() + j] * x[j];
  }
  return y;
}

double RootMean(const double* x, size_t count, double eps) {
  double square = 0;
  for (size_t i = 0; i < count; ++i) square += x[i] * x[i] / static_cast<double>(count);
  return std::sqrt(square + eps);
}

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// x[from, from + count) as a vector of length 1.
Doubles UnitOf(const Doubles& x, size_t from, size_t count) {
  Doubles unit(x.begin() + static_cast<std::ptrdiff_t>(from),
               x.begin() + static_cast<std::ptrdiff_t>(from + count));
  double square = 0;
  for (const double value : unit) square += value * value;
  for (double& value : unit) value /= std::sqrt(square + 1e-6);
  return unit;
}

struct Token {
  Doubles mixed, gate, beta, alpha;
};

// What the output map reads, by the definition of the rule: S_t = a_t S_{t-1} (1 - b k k') + b v
// k', o = S q with S [value_dim, key_dim].
std::vector<Doubles> Reference(const PartWeights& w, const std::vector<float>& states, bool tiled) {
  const auto [key_heads, value_heads, kd, vd, kernel, eps, neighbours] = kRule;
  std::vector<Token> raw;
  for (size_t t = 0; t < kTokens; ++t) {
    Doubles in(states.begin() + static_cast<std::ptrdiff_t>(t * kHidden),
               states.begin() + static_cast<std::ptrdiff_t>((t + 1) * kHidden));
    const double root = RootMean(in.data(), kHidden, 1e-5);
    for (size_t c = 0; c < kHidden; ++c) in[c] *= At(w, Part::kNorm)[c] / root;
    Doubles mixed;
    for (const Part part : {Part::kQ, Part::kK, Part::kV}) {
      std::ranges::copy(Times(At(w, part), in), std::back_inserter(mixed));
    }
    raw.push_back({mixed, Times(At(w, Part::kOutGate), in), Times(At(w, Part::kBeta), in),
                   Times(At(w, Part::kAlpha), in)});
  }
  std::vector<Doubles> out(kTokens, Doubles(kRule.width()));
  for (size_t h = 0; h < value_heads; ++h) {
    std::vector<Doubles> state;
    for (size_t t = 0; t < kTokens; ++t) {
      if (t % kWindow == 0) state.assign(vd, Doubles(kd));
      Doubles mixed(kRule.mixed());
      for (size_t c = 0; c < mixed.size(); ++c) {
        for (size_t back = 0; back < kernel && back <= t % kWindow; ++back) {
          mixed[c] += At(w, Part::kKernel)[c * kernel + kernel - 1 - back] * raw[t - back].mixed[c];
        }
        mixed[c] *= Sigmoid(mixed[c]);
      }
      const size_t keys = key_heads * kd;
      const size_t key_head = tiled ? h % key_heads : h * key_heads / value_heads;
      const Doubles q = UnitOf(mixed, key_head * kd, kd),
                    k = UnitOf(mixed, keys + key_head * kd, kd);
      const double step = std::log1p(std::exp(raw[t].alpha[h] + At(w, Part::kStep)[h]));
      const double kept = std::exp(-std::exp(At(w, Part::kDecay)[h]) * step);
      const double beta = Sigmoid(raw[t].beta[h]);
      Doubles o(vd);
      for (size_t j = 0; j < vd; ++j) {
        double along = 0;
        for (size_t i = 0; i < kd; ++i) along += kept * state[j][i] * k[i];
        const double value = mixed[2 * keys + h * vd + j];
        for (size_t i = 0; i < kd; ++i) {
          state[j][i] = kept * state[j][i] + beta * (value - along) * k[i];
          o[j] += state[j][i] * q[i] / std::sqrt(static_cast<double>(kd));
        }
      }
      const double root = RootMean(o.data(), vd, eps);
      for (size_t j = 0; j < vd; ++j) {
        const double gate = raw[t].gate[h * vd + j];
        out[t][h * vd + j] = o[j] / root * At(w, Part::kGain)[j] * gate * Sigmoid(gate);
      }
    }
  }
  return out;
}

void ExpectRows(const PagedMatrix& found, const std::vector<Doubles>& expected) {
  std::vector<float> values(found.rows() * found.cols());
  found.Read(0, found.rows(), values.data());
  for (size_t t = 0; t < expected.size(); ++t) {
    for (size_t c = 0; c < expected[t].size(); ++c) {
      const double due = expected[t][c];
      EXPECT_NEAR(values[t * found.cols() + c], due, 2e-5 * (1 + std::abs(due)))
          << "token " << t << ", column " << c;
    }
  }
}

class DeltaOrderTest : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(, DeltaOrderTest, testing::Bool());

TEST_P(DeltaOrderTest, ComputesWhatPlainLoopsDo) {
  InitialiseBlas();
  const auto states = RandomFloats(kTokens * kHidden, 99);
  const BlockSpec spec = Spec(GetParam());
  const PartWeights weights = RandomParts(spec, false, 2);
  const std::vector<Doubles> inside = Reference(weights, states, GetParam());
  std::vector<Doubles> after;
  for (size_t t = 0; t < kTokens; ++t) {
    after.push_back(Times(At(weights, Part::kOut), inside[t]));
    for (size_t c = 0; c < kHidden; ++c) after[t][c] += states[t * kHidden + c];
  }
  for (const size_t limit : {size_t{0}, size_t{1024}}) {
    for (const size_t threads : {1, 3}) {
      const auto context = std::make_shared<Context>(threads, 0);
      const Block block = MakeOneSublayer(context, spec, weights, limit);
      PagedMatrix hidden = MemoryMatrix(context, kTokens, kHidden, kPage),
                  kept = MemoryMatrix(context, kTokens, kRule.width(), kPage);
      hidden.Write(0, kTokens, states.data());
      RunSite(block.sublayer(0),
              {.window = kWindow, .hidden = &hidden, .advance = false, .keep = &kept});
      ExpectRows(kept, inside);
      RunSite(block.sublayer(0), {.window = kWindow, .hidden = &hidden});
      ExpectRows(hidden, after);
    }
  }
}

void ExpectNeeds(const Block& block, size_t hidden_size, double tight) {
  Context& context = block.context();
  PagedMatrix hidden = MemoryMatrix(block.shared_context(), kTokens, hidden_size, kPage);
  const auto states = RandomFloats(kTokens * hidden_size, 99);
  hidden.Write(0, kTokens, states.data());
  const size_t before = context.budget->used();
  const SiteRun run{.window = kWindow, .hidden = &hidden};
  RunSite(block.sublayer(0), run);
  const TokenPages tokens{.rows = kTokens, .page_rows = kPage};
  const Needs needs =
      RunSiteNeeds(context, block.spec().sublayers[0], hidden_size, DemandOf(run), tokens);
  const size_t used = context.budget->peak() - before;
  EXPECT_LE(used, needs.memory);
  EXPECT_GE(static_cast<double>(used), tight * static_cast<double>(needs.memory));
}

test::DecoderSpec Gated() {
  test::DecoderSpec spec;
  spec.hidden = 16, spec.head_dim = 4, spec.heads = 4, spec.kv_heads = 2, spec.ffn = 22;
  spec.rope = RopeSpec{.dims = 2};
  spec.qk_norm = true;
  spec.gated_heads = true;
  return spec;
}

TEST(DeltaRuleTest, BuffersAreWhatItSaysThatItNeeds) {
  InitialiseBlas();
  for (const size_t threads : {1, 3}) {
    const auto context = std::make_shared<Context>(threads, 0);
    ExpectNeeds(MakeOneSublayer(context, Spec(), RandomParts(Spec(), false, 2), 0), kHidden, 0.9);
    const auto other = std::make_shared<Context>(threads, 0);
    const auto weights = test::RandomWeights(Gated(), {}, 3);
    ExpectNeeds(test::MakeBlock(other, Gated(), weights), 16, 0.8);
  }
}

TEST(DeltaRuleTest, CountsItsWork) {
  // Queries, keys and values are 32 columns, values and gates 20, rates 4 each.
  const double maps = kHidden * (32.0 + 20 + 20 + 4 + 4);
  EXPECT_EQ(BlockFlops(Spec(), 10, kWindow), 10 * 2 * (maps + 32 * 4 + 3 * 20 * 3));
}

TEST(GatedAttentionTest, IsThatOfTheTextbook) {
  InitialiseBlas();
  const test::DecoderSpec spec = Gated();
  for (const bool biased : {false, true}) {
    const auto weights = test::RandomWeights(spec, {.qkv = biased, .o = biased}, 3);
    const auto states = RandomFloats(kTokens * spec.hidden, 5);
    const Doubles start(states.begin(), states.end()), none(start.size());
    const Doubles expected = test::ReferenceForward(spec, weights, kWindow, start, none, none);
    for (const size_t threads : {1, 3}) {
      const auto context = std::make_shared<Context>(threads, 0);
      const Block block = test::MakeBlock(context, spec, weights, nullptr, kStrip);
      PagedMatrix hidden = MemoryMatrix(context, kTokens, spec.hidden, kPage);
      hidden.Write(0, kTokens, states.data());
      RunSite(block.sublayer(test::kAttention), {.window = kWindow, .hidden = &hidden});
      RunSite(block.sublayer(test::kFfn), {.window = kWindow, .hidden = &hidden});
      std::vector<float> found(states.size());
      hidden.Read(0, kTokens, found.data());
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_NEAR(found[i], expected[i], 2e-5 * (1 + std::abs(expected[i]))) << i;
      }
    }
  }
}

TEST(DeltaRuleTest, GradientsGoThroughNeither) {
  InitialiseBlas();
  const auto refuse = [](const Block& block, size_t hidden) {
    PagedMatrix inputs = MemoryMatrix(block.shared_context(), kTokens, hidden),
                gradient = MemoryMatrix(block.shared_context(), kTokens, hidden);
    BackwardRun run{kWindow, &inputs, &gradient, {}};
    run.sums.resize(block.sublayers());
    test::ExpectError([&] { BackwardBlock(block, run); }, "ERR_UNSUPPORTED",
                      "gradients do not go through gated delta rules and gated attention");
  };
  const auto context = std::make_shared<Context>(1, 0);
  refuse(MakeOneSublayer(context, Spec(), RandomParts(Spec(), false, 2), 0), kHidden);
  refuse(test::MakeBlock(context, Gated(), test::RandomWeights(Gated(), {}, 3)), 16);
}

}  // namespace
}  // namespace struprune

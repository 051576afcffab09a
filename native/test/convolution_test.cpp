// A short convolution against plain loops in double, whose windows see nothing of one another.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "expect_error.h"
#include "memory_matrix.h"
#include "model/backward.h"
#include "model/forward.h"
#include "one_sublayer.h"
#include "ops/gemm.h"

namespace struprune {
namespace {

using test::At;
using test::MakeOneSublayer;
using test::MemoryMatrix;
using test::PartWeights;
using test::RandomFloats;
using test::RandomParts;

constexpr size_t kWindow = 8, kTokens = 24, kHidden = 12;

BlockSpec Spec(size_t kernel) {
  return {kHidden,
          {{.name = "convolution", .mixer = ConvolutionSpec{kHidden, kernel}, .norm = NormSpec{}}}};
}

using Row = std::vector<double>;

Row Affine(const std::vector<float>& weight, const std::vector<float>& bias, const Row& x) {
  Row y(weight.size() / x.size());
  for (size_t i = 0; i < y.size(); ++i) {
    if (!bias.empty()) y[i] = bias[i];
    for (size_t j = 0; j < x.size(); ++j) y[i] += weight[i * x.size() + j] * x[j];
  }
  return y;
}

Row Normed(const std::vector<float>& weight, const float* x) {
  double square = 0;
  for (size_t i = 0; i < kHidden; ++i) square += double{x[i]} * x[i] / kHidden;
  Row y(kHidden);
  for (size_t i = 0; i < kHidden; ++i) y[i] = x[i] / std::sqrt(square + 1e-5) * weight[i];
  return y;
}

struct Expected {
  std::vector<Row> activations, states;
};

Expected Reference(const PartWeights& weights, size_t kernel, const std::vector<float>& states) {
  std::vector<Row> maps;
  for (size_t t = 0; t < kTokens; ++t) {
    const Row in = Normed(At(weights, Part::kNorm), states.data() + t * kHidden);
    maps.push_back(Affine(At(weights, Part::kIn), At(weights, Part::kInBias), in));
  }
  Expected expected;
  const auto& bias = At(weights, Part::kKernelBias);
  for (size_t t = 0; t < kTokens; ++t) {
    Row out(kHidden);
    for (size_t c = 0; c < kHidden; ++c) {
      double sum = bias.empty() ? 0 : bias[c];
      // Weight j is that of the token kernel - 1 - j before this one.
      for (size_t j = 0; j < kernel; ++j) {
        const size_t back = kernel - 1 - j;
        if (back > t % kWindow) continue;
        const Row& then = maps[t - back];
        sum += At(weights, Part::kKernel)[c * kernel + j] * then[c] * then[2 * kHidden + c];
      }
      out[c] = maps[t][kHidden + c] * sum;
    }
    Row state = Affine(At(weights, Part::kOut), At(weights, Part::kOutBias), out);
    for (size_t c = 0; c < kHidden; ++c) state[c] += states[t * kHidden + c];
    expected.activations.push_back(out);
    expected.states.push_back(state);
  }
  return expected;
}

void ExpectRows(const PagedMatrix& found, const std::vector<Row>& expected, const char* what) {
  std::vector<float> values(found.rows() * found.cols());
  found.Read(0, found.rows(), values.data());
  for (size_t t = 0; t < expected.size(); ++t) {
    for (size_t c = 0; c < kHidden; ++c) {
      const double due = expected[t][c];
      EXPECT_NEAR(values[t * kHidden + c], due, 1e-5 * (1 + std::abs(due)))
          << what << ", token " << t << ", channel " << c;
    }
  }
}

TEST(ConvolutionTest, ComputesWhatPlainLoopsDo) {
  InitialiseBlas();
  const auto states = RandomFloats(kTokens * kHidden, 99);
  for (const size_t kernel : {1, 3, 4, 11}) {
    for (const bool biased : {false, true}) {
      SCOPED_TRACE("kernel " + std::to_string(kernel) + (biased ? ", biases" : ""));
      const BlockSpec spec = Spec(kernel);
      const PartWeights weights = RandomParts(spec, biased, 1);
      const Expected expected = Reference(weights, kernel, states);
      // Pages of two windows, so that a flight ends before the last one; weights in scratch too.
      for (const size_t limit : {size_t{0}, size_t{1024}}) {
        for (const size_t threads : {1, 3}) {
          const auto context = std::make_shared<Context>(threads, 0);
          const Block block = MakeOneSublayer(context, spec, weights, limit);
          PagedMatrix hidden = MemoryMatrix(context, kTokens, kHidden, 2 * kWindow),
                      kept = MemoryMatrix(context, kTokens, kHidden, 2 * kWindow);
          hidden.Write(0, kTokens, states.data());
          RunSite(block.sublayer(0),
                  {.window = kWindow, .hidden = &hidden, .advance = false, .keep = &kept});
          ExpectRows(kept, expected.activations, "activations");
          RunSite(block.sublayer(0), {.window = kWindow, .hidden = &hidden});
          ExpectRows(hidden, expected.states, "states");
        }
      }
    }
  }
}

TEST(ConvolutionTest, CountsItsWork) {
  const BlockSpec spec = Spec(3);
  // Maps to b, c and x, and the output map; three taps a channel.
  EXPECT_EQ(BlockFlops(spec, 10, kWindow), 10 * 2 * (4.0 * kHidden * kHidden + 3 * kHidden));
}

TEST(ConvolutionTest, ItsBuffersAreWhatItSaysThatItNeeds) {
  InitialiseBlas();
  const BlockSpec spec = Spec(3);
  const PartWeights weights = RandomParts(spec, true, 1);
  const auto states = RandomFloats(kTokens * kHidden, 99);
  for (const size_t threads : {1, 3}) {
    const auto context = std::make_shared<Context>(threads, 0);
    const Block block = MakeOneSublayer(context, spec, weights, 0);
    PagedMatrix hidden = MemoryMatrix(context, kTokens, kHidden, 2 * kWindow);
    hidden.Write(0, kTokens, states.data());
    const size_t before = context->budget->used();
    const SiteRun run{.window = kWindow, .hidden = &hidden};
    RunSite(block.sublayer(0), run);
    const TokenPages tokens{.rows = kTokens, .page_rows = 2 * kWindow};
    const Needs needs = RunSiteNeeds(*context, spec.sublayers[0], kHidden, DemandOf(run), tokens);
    const size_t used = context->budget->peak() - before;
    EXPECT_LE(used, needs.memory);
    // b, c and x of a page, and what the output map reads.
    EXPECT_GE(needs.memory, 2 * kWindow * 4 * kHidden * sizeof(float));
    EXPECT_GE(static_cast<double>(used), 0.9 * static_cast<double>(needs.memory));
  }
}

TEST(ConvolutionTest, GradientsDoNotGoThrough) {
  const auto context = std::make_shared<Context>(1, 0);
  const BlockSpec spec = Spec(3);
  const Block block = MakeOneSublayer(context, spec, RandomParts(spec, false, 1), 0);
  PagedMatrix inputs = MemoryMatrix(context, kTokens, kHidden),
              gradient = MemoryMatrix(context, kTokens, kHidden);
  const BackwardRun run{kWindow, &inputs, &gradient, {{}}};
  test::ExpectError([&] { BackwardBlock(block, run); }, "ERR_UNSUPPORTED",
                    "gradients do not go through short convolutions");
}

}  // namespace
}  // namespace struprune

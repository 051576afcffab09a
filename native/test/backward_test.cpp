#include "model/backward.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "expect_error.h"
#include "memory_matrix.h"
#include "model/forward.h"
#include "reference_block.h"
#include "tiles/strips.h"

namespace struprune {
namespace {

using test::BiasSet;
using test::BlockWeights;
using test::Doubles;

struct Variation {
  std::string name;
  test::DecoderSpec spec;
  BiasSet biases;
};

test::DecoderSpec Base() {
  test::DecoderSpec spec;
  spec.hidden = 12;
  spec.head_dim = 4;
  spec.heads = 4;
  spec.kv_heads = 2;
  spec.ffn = 10;
  spec.rope = RopeSpec{};
  return spec;
}

test::DecoderSpec Opt(bool post_norm) {
  test::DecoderSpec spec = Base();
  spec.kv_heads = spec.heads;
  spec.norm = NormKind::kLayer;
  spec.post_norm = post_norm;
  spec.rope.reset();
  spec.activation = Activation::kRelu;
  spec.gated = false;
  return spec;
}

template <typename Fn>
test::DecoderSpec With(test::DecoderSpec spec, Fn&& change) {
  change(spec);
  return spec;
}

constexpr BiasSet kAll{true, true, true, true, true};

std::vector<Variation> Variations() {
  return {
      {"Llama", Base(), {}},
      {"LlamaBiasesLinearRope",
       With(Base(), [](auto& s) { s.rope->linear_factor = 2; }),
       {true, true, true, true, false}},
      {"Llama3Rope",
       With(Base(), [](auto& s) { s.rope->llama3 = Llama3Stretch{8, 1, 4, 16}; }),
       {}},
      {"PartialRope", With(Base(), [](auto& s) { s.rope->dims = 2; }), {}},
      {"LongRope",
       With(Base(), [](auto& s) { s.rope->longrope = LongRope{{1, 1}, {1.5, 4}, 4, 1.2}; }),
       {}},
      {"OneKvHead", With(Base(), [](auto& s) { s.kv_heads = 1; }), {}},
      {"SlidingWindow", With(Base(), [](auto& s) { s.sliding = 3; }), {}},
      {"QkvBias", Base(), {true, false, false, false, false}},
      {"QkNorm",
       With(Base(),
            [](auto& s) {
              s.qk_norm = true;
              s.head_dim = 6;
            }),
       {}},
      {"GeluGated", With(Base(), [](auto& s) { s.activation = Activation::kGelu; }), {}},
      {"GeluPlain",
       With(Base(),
            [](auto& s) {
              s.activation = Activation::kGelu;
              s.gated = false;
            }),
       {}},
      {"ReluGated", With(Base(), [](auto& s) { s.activation = Activation::kRelu; }), {}},
      {"GeluTanh", With(Base(), [](auto& s) { s.activation = Activation::kGeluTanh; }), {}},
      {"Gemma",
       With(Base(),
            [](auto& s) {
              s.out_norm = s.qk_norm = true;
              s.head_dim = 6;
              s.scale = 0.3f;
              s.activation = Activation::kGeluTanh;
            }),
       {}},
      {"Gemma2",
       With(Base(),
            [](auto& s) {
              s.out_norm = true;
              s.cap = 0.8f;
              s.sliding = 3;
            }),
       {}},
      {"GptOss",
       With(Base(),
            [](auto& s) {
              s.sinks = true;
              s.sliding = 3;
            }),
       {true, true, false, false, false}},
      {"Olmo2",
       With(Base(),
            [](auto& s) {
              s.in_norm = false;
              s.out_norm = s.qk_norm = s.norm_joins_heads = true;
            }),
       {}},
      {"OutNormsWithBiases", With(Opt(false), [](auto& s) { s.out_norm = true; }), kAll},
      {"NormsBehindOutputAndAddition", With(Opt(true), [](auto& s) { s.out_norm = true; }), kAll},
      {"OptPre", Opt(false), kAll},
      {"OptPost", Opt(true), kAll},
      {"GptNeoX",
       With(Opt(false),
            [](auto& s) {
              s.parallel = true;
              s.rope = RopeSpec{.dims = 2};
              s.activation = Activation::kGelu;
            }),
       kAll},
      {"ParallelWithoutNorms",
       With(Base(),
            [](auto& s) {
              s.parallel = true;
              s.in_norm = false;
            }),
       {}},
      {"ParallelWithOutNorms", With(Base(), [](auto& s) { s.parallel = s.out_norm = true; }), {}},
      {"PostNormGatedQkNorm",
       With(Base(),
            [](auto& s) {
              s.post_norm = s.qk_norm = true;
              s.sliding = 4;
            }),
       {}},
  };
}

Doubles RandomDoubles(size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  Doubles values(count);
  for (double& value : values)
    value = normal(generator);  // a float's value: both sides read the same
  return values;
}

void Fill(PagedMatrix& matrix, const Doubles& values) {
  const std::vector<float> floats(values.begin(), values.end());
  matrix.Write(0, matrix.rows(), floats.data());
}

std::vector<float> Contents(const PagedMatrix& matrix) {
  std::vector<float> values(matrix.rows() * matrix.cols());
  matrix.Read(0, matrix.rows(), values.data());
  return values;
}

// d(Σ weights · f(x))/dx by central differences.
template <typename Fn>
Doubles Differences(Fn&& f, const Doubles& weights, Doubles x) {
  constexpr double kStep = 1e-5;
  const auto loss = [&] {
    const Doubles y = f(x);
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += weights[i] * y[i];
    return sum;
  };
  Doubles gradient(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double at = x[i];
    x[i] = at + kStep;
    const double up = loss();
    x[i] = at - kStep;
    gradient[i] = (up - loss()) / (2 * kStep);
    x[i] = at;
  }
  return gradient;
}

template <typename Values>
void ExpectNear(const Values& got, const Doubles& wanted, double tolerance,
                const std::string& what) {
  double largest = 0;
  for (const double value : wanted) largest = std::max(largest, std::abs(value));
  ASSERT_GT(largest, 0) << what;
  for (size_t i = 0; i < wanted.size(); ++i) {
    ASSERT_NEAR(got[i], wanted[i], tolerance * largest) << what << " [" << i << "]";
  }
}

Doubles GramOf(Statistics& statistics) {
  Doubles gram(statistics.dim() * statistics.dim());
  ReadRows(*statistics.gram(), 0, statistics.dim(), gram.data());
  return gram;
}

Doubles Gram(const Doubles& rows, size_t width) {
  Doubles gram(width * width);
  for (size_t t = 0; t < rows.size(); t += width) {
    for (size_t i = 0; i < width; ++i) {
      for (size_t j = 0; j < width; ++j) gram[i * width + j] += rows[t + i] * rows[t + j];
    }
  }
  return gram;
}

class BackwardBlockTest : public testing::TestWithParam<Variation> {};

TEST_P(BackwardBlockTest, EqualsCentralDifferencesOfADoubleForward) {
  const auto& [name, spec, biases] = GetParam();
  constexpr size_t kWindow = 6, kTokens = 2 * kWindow;
  const size_t values = kTokens * spec.hidden;
  const BlockWeights weights = test::RandomWeights(spec, biases, 7);
  const Doubles h = RandomDoubles(values, 1), outer = RandomDoubles(values, 2), zero(values);

  const auto context = std::make_shared<Context>(2, 0);
  const Block block = test::MakeBlock(context, spec, weights);
  auto inputs = test::MemoryMatrix(context, kTokens, spec.hidden),
       gradient = test::MemoryMatrix(context, kTokens, spec.hidden);
  Fill(inputs, h);
  Fill(gradient, outer);
  Statistics ffn(InMemory(context), spec.hidden, true, 0),
      attention(InMemory(context), spec.hidden, true, 0);
  BackwardBlock(block, {kWindow, &inputs, &gradient, {{.output = &attention}, {.output = &ffn}}});

  const auto forward = [&, spec = spec](const Doubles& x, const Doubles& at_attention,
                                        const Doubles& at_ffn) {
    return test::ReferenceForward(spec, weights, kWindow, x, at_attention, at_ffn);
  };
  const Doubles delta_ffn =
      Differences([&](const Doubles& y) { return forward(h, zero, y); }, outer, zero);
  const Doubles delta_attention =
      Differences([&](const Doubles& y) { return forward(h, y, zero); }, outer, zero);
  const Doubles at_input =
      Differences([&](const Doubles& x) { return forward(x, zero, zero); }, outer, h);

  constexpr double kTolerance = 1e-5;
  ExpectNear(Contents(gradient), at_input, kTolerance, "gradient");
  EXPECT_EQ(ffn.tokens(), kTokens);
  EXPECT_EQ(attention.tokens(), kTokens);
  ExpectNear(GramOf(ffn), Gram(delta_ffn, spec.hidden), kTolerance, "ffn");
  ExpectNear(GramOf(attention), Gram(delta_attention, spec.hidden), kTolerance, "attention");
}

// Of every tensor of the block that has factors.
struct FactorSums {
  FactorSums(const std::shared_ptr<Context>& context, const Block& block) {
    for (size_t i = 0; i < block.sublayers(); ++i) {
      for (const Part part : {Part::kNorm, Part::kStreamNorm, Part::kOutNorm, Part::kQNorm,
                              Part::kKNorm, Part::kOut, Part::kOutBias}) {
        const TensorId id{i, part};
        if (!block.has(id)) continue;
        ids.push_back(id);
        sums.push_back(std::make_unique<Statistics>(InMemory(context), block.shape(id).cols, false,
                                                    size_t{0}));
      }
    }
  }
  BackwardRun For(BackwardRun run) const {
    run.sums.resize(2);
    for (size_t i = 0; i < ids.size(); ++i) {
      run.sums[ids[i].sublayer].factors[static_cast<size_t>(ids[i].part)] = sums[i].get();
    }
    return run;
  }
  Doubles Of(size_t i) const { return {sums[i]->sums(), sums[i]->sums() + sums[i]->dim()}; }

  std::vector<TensorId> ids;
  std::vector<std::unique_ptr<Statistics>> sums;
};

TEST_P(BackwardBlockTest, FactorsEqualCentralDifferencesOfADoubleForward) {
  const auto& [name, spec, biases] = GetParam();
  constexpr size_t kWindow = 6, kTokens = 2 * kWindow;
  BlockWeights weights = test::RandomWeights(spec, biases, 7);
  // Of so few bits that a weight times 1 + kStep is a float.
  constexpr float kStep = 0x1p-15f;
  for (auto& sublayer : weights.values) {
    for (auto& values : sublayer) RoundTo(Dtype::BF16, 1, values.size(), values.data());
  }
  const Doubles h = RandomDoubles(kTokens * spec.hidden, 1), outer = RandomDoubles(h.size(), 2),
                zero(h.size());
  const auto context = std::make_shared<Context>(2, 0);
  const Block block = test::MakeBlock(context, spec, weights);
  auto inputs = test::MemoryMatrix(context, kTokens, spec.hidden),
       gradient = test::MemoryMatrix(context, kTokens, spec.hidden);
  Fill(inputs, h);
  Fill(gradient, outer);
  const FactorSums factors(context, block);
  BackwardBlock(block, factors.For({kWindow, &inputs, &gradient}));

  const auto loss = [&, spec = spec](TensorId id, size_t column, float factor) {
    BlockWeights scaled = weights;
    auto& values = scaled[id];
    for (size_t i = column; i < values.size(); i += block.shape(id).cols) values[i] *= factor;
    const Doubles out = test::ReferenceForward(spec, scaled, kWindow, h, zero, zero);
    double sum = 0;
    for (size_t i = 0; i < out.size(); ++i) sum += outer[i] * out[i];
    return sum;
  };
  for (size_t i = 0; i < factors.ids.size(); ++i) {
    const TensorId id = factors.ids[i];
    Doubles wanted;
    for (size_t j = 0; j < block.shape(id).cols; ++j) {
      const double change = loss(id, j, 1 + kStep) - loss(id, j, 1 - kStep);
      wanted.push_back(change / (2 * kStep));
    }
    ExpectNear(factors.Of(i), wanted, 1e-5, name + ", " + NameOf(block.spec(), id));
  }
  // The gradient goes back as it does without these sums.
  auto alone = test::MemoryMatrix(context, kTokens, spec.hidden);
  Fill(alone, outer);
  BackwardBlock(block, {kWindow, &inputs, &alone});
  EXPECT_EQ(Contents(gradient), Contents(alone));
}

// The reference is the model that RunSite computes, or the test above would prove nothing about it.
TEST_P(BackwardBlockTest, TheReferenceEqualsTheForwardPass) {
  const auto& [name, spec, biases] = GetParam();
  constexpr size_t kWindow = 6, kTokens = 2 * kWindow;
  const BlockWeights weights = test::RandomWeights(spec, biases, 7);
  const Doubles h = RandomDoubles(kTokens * spec.hidden, 1), zero(h.size());
  const auto context = std::make_shared<Context>(2, 0);
  const Block block = test::MakeBlock(context, spec, weights);
  auto hidden = test::MemoryMatrix(context, kTokens, spec.hidden);
  Fill(hidden, h);
  for (const size_t site : {test::kAttention, test::kFfn}) {
    SiteRun run;
    run.window = kWindow;
    run.hidden = &hidden;
    RunSite(block.sublayer(site), run);
  }
  ExpectNear(Contents(hidden), test::ReferenceForward(spec, weights, kWindow, h, zero, zero), 1e-5,
             "hidden");
}

// More rows than the buffers of two workers hold, in windows that no chunk ends with.
TEST_P(BackwardBlockTest, SumsWhatTheForwardPassSums) {
  const auto& [name, spec, biases] = GetParam();
  constexpr size_t kWindow = 300, kTokens = 6 * kWindow;
  const BlockWeights weights = test::RandomWeights(spec, biases, 7);
  const Doubles h = RandomDoubles(kTokens * spec.hidden, 1);
  const auto context = std::make_shared<Context>(2, 0);
  const Block block = test::MakeBlock(context, spec, weights);
  auto inputs = test::MemoryMatrix(context, kTokens, spec.hidden),
       gradient = test::MemoryMatrix(context, kTokens, spec.hidden);
  Fill(inputs, h);
  Fill(gradient, RandomDoubles(h.size(), 2));
  Statistics ffn(InMemory(context), spec.width(test::kFfn), true, 0),
      attention(InMemory(context), spec.width(test::kAttention), true, 0);
  BackwardBlock(block, {kWindow, &inputs, &gradient, {{.input = &attention}, {.input = &ffn}}});
  for (const auto& [site, sums] :
       {std::pair{test::kAttention, &attention}, std::pair{test::kFfn, &ffn}}) {
    Statistics wanted(InMemory(context), spec.width(site), true, 0);
    SiteRun run;
    run.window = kWindow;
    run.hidden = &inputs;
    run.statistics = &wanted;
    RunSite(block.sublayer(site), run);
    EXPECT_EQ(sums->tokens(), kTokens);
    ExpectNear(GramOf(*sums), GramOf(wanted), 1e-6, name);
    const auto columns = [&](const double* values) {
      return Doubles(values, values + wanted.dim());
    };
    ExpectNear(columns(sums->sums()), columns(wanted.sums()), 1e-6, name + ", sums");
  }
}

INSTANTIATE_TEST_SUITE_P(Families, BackwardBlockTest, testing::ValuesIn(Variations()),
                         [](const auto& info) { return info.param.name; });

// More tokens than one flight holds, windows longer than one tile of queries and of keys, chunks
// that cross windows: every window must come out as it does alone, whatever the threads and the
// scratch.
TEST(BackwardBlock, WindowsDoNotDependOnEachOther) {
  constexpr size_t kWindow = 300, kWindows = 8, kTokens = kWindow * kWindows;
  for (const bool post_norm : {false, true}) {
    test::DecoderSpec spec = post_norm ? Opt(true) : Base();
    spec.sliding = post_norm ? 0 : 270;
    spec.qk_norm = !post_norm;
    const BlockWeights weights = test::RandomWeights(spec, post_norm ? kAll : BiasSet{}, 3);
    const Doubles h = RandomDoubles(kTokens * spec.hidden, 4), g = RandomDoubles(h.size(), 5);
    const auto run = [&](size_t threads, const std::string& scratch, const Doubles& from,
                         const Doubles& outer, double& trace) {
      const auto context = std::make_shared<Context>(threads, 0);
      const Block block = test::MakeBlock(context, spec, weights);
      const size_t rows = from.size() / spec.hidden;
      // Room for one page more than are in use at a time.
      constexpr size_t kPageRows = 2 * kWindow;
      const size_t limit = scratch.empty() ? 0 : 3 * kPageRows * spec.hidden * sizeof(float);
      const auto store = std::make_shared<PageStore>(context, limit, scratch);
      PagedMatrix inputs(store, rows, spec.hidden, kPageRows),
          gradient(store, rows, spec.hidden, kPageRows);
      Fill(inputs, from);
      Fill(gradient, outer);
      Statistics ffn(InMemory(context), spec.hidden, true, 0),
          attention(InMemory(context), spec.hidden, true, 0);
      BackwardBlock(block,
                    {kWindow, &inputs, &gradient, {{.output = &attention}, {.output = &ffn}}});
      for (size_t i = 0; i < spec.hidden; ++i) {
        trace += ffn.squares()[i] + attention.squares()[i];
      }
      return Contents(gradient);
    };
    double together = 0, in_memory = 0, single = 0, apart = 0;
    const std::vector<float> all = run(3, testing::TempDir(), h, g, together);
    EXPECT_EQ(all, run(3, "", h, g, in_memory));
    EXPECT_EQ(together, in_memory);
    // Other threads share the rows out in other ways, and a BLAS may round products of other shapes
    // differently.
    const std::vector<float> one = run(1, "", h, g, single);
    ExpectNear(all.data(), Doubles(one.begin(), one.end()), 1e-5, "one thread");
    EXPECT_NEAR(together, single, 1e-6 * together);
    const size_t window_values = kWindow * spec.hidden;
    for (size_t w = 0; w < kWindows; ++w) {
      const auto part = [&](const Doubles& x) {
        return Doubles(x.begin() + static_cast<ptrdiff_t>(w * window_values),
                       x.begin() + static_cast<ptrdiff_t>((w + 1) * window_values));
      };
      const Doubles alone = [&] {
        const auto floats = run(1, "", part(h), part(g), apart);
        return Doubles(floats.begin(), floats.end());
      }();
      ExpectNear(all.data() + w * window_values, alone, 1e-5, "window " + std::to_string(w));
    }
    EXPECT_NEAR(together, apart, 1e-6 * together);
  }
}

// More tokens than a flight and than a group of rows: the sums are those of the windows one by one,
// and have the same bits wherever the pages lie.
TEST(BackwardBlock, FactorsAddUpOverWindows) {
  constexpr size_t kWindow = 300, kWindows = 8;
  for (const bool post_norm : {false, true}) {
    test::DecoderSpec spec = post_norm ? Opt(true) : Base();
    spec.qk_norm = !post_norm;
    const BlockWeights weights = test::RandomWeights(spec, post_norm ? kAll : BiasSet{}, 3);
    const Doubles h = RandomDoubles(kWindows * kWindow * spec.hidden, 4),
                  g = RandomDoubles(h.size(), 5);
    const auto run = [&](const std::string& scratch, size_t first, size_t windows) {
      const auto context = std::make_shared<Context>(3, 0);
      const Block block = test::MakeBlock(context, spec, weights);
      constexpr size_t kPageRows = 2 * kWindow;
      const size_t limit = scratch.empty() ? 0 : 3 * kPageRows * spec.hidden * sizeof(float);
      const auto store = std::make_shared<PageStore>(context, limit, scratch);
      const size_t rows = windows * kWindow, begin = first * kWindow * spec.hidden;
      PagedMatrix inputs(store, rows, spec.hidden, kPageRows),
          gradient(store, rows, spec.hidden, kPageRows);
      const auto part = [&](const Doubles& x) {
        const auto from = x.begin() + static_cast<ptrdiff_t>(begin);
        return Doubles(from, from + static_cast<ptrdiff_t>(rows * spec.hidden));
      };
      Fill(inputs, part(h));
      Fill(gradient, part(g));
      const FactorSums factors(context, block);
      BackwardBlock(block, factors.For({kWindow, &inputs, &gradient}));
      std::vector<Doubles> sums;
      for (size_t i = 0; i < factors.ids.size(); ++i) sums.push_back(factors.Of(i));
      return sums;
    };
    const auto together = run(testing::TempDir(), 0, kWindows);
    EXPECT_EQ(together, run("", 0, kWindows));
    std::vector<Doubles> added = run("", 0, 1);
    for (size_t w = 1; w < kWindows; ++w) {
      const auto one = run("", w, 1);
      for (size_t i = 0; i < one.size(); ++i) {
        for (size_t j = 0; j < one[i].size(); ++j) added[i][j] += one[i][j];
      }
    }
    for (size_t i = 0; i < added.size(); ++i) {
      ExpectNear(together[i], added[i], 1e-5, "factors " + std::to_string(i));
    }
  }
}

TEST(BackwardBlock, RefusesShapesThatDisagreeAndNamesWhatIsNotFinite) {
  const test::DecoderSpec spec = Base();
  const auto context = std::make_shared<Context>(1, 0);
  const Block block = test::MakeBlock(context, spec, test::RandomWeights(spec, {}, 1));
  auto inputs = test::MemoryMatrix(context, 12, spec.hidden),
       gradient = test::MemoryMatrix(context, 12, spec.hidden),
       narrow = test::MemoryMatrix(context, 12, spec.hidden - 1),
       few = test::MemoryMatrix(context, 6, spec.hidden);
  Statistics wide(InMemory(context), spec.hidden + 1, true, 0);
  const Doubles h = RandomDoubles(12 * spec.hidden, 1);
  Fill(inputs, h);
  Fill(gradient, h);
  const auto code = [&](const BackwardRun& run) {
    try {
      BackwardBlock(block, run);
    } catch (const Error& error) {
      return error.code();
    }
    return std::string();
  };
  EXPECT_EQ(code({5, &inputs, &gradient}), "ERR_ARGUMENT");
  EXPECT_EQ(code({0, &inputs, &gradient}), "ERR_ARGUMENT");
  EXPECT_EQ(code({6, &inputs, &narrow}), "ERR_ARGUMENT");
  EXPECT_EQ(code({6, &few, &gradient}), "ERR_ARGUMENT");
  EXPECT_EQ(code({6, &inputs, &gradient, {{}, {.output = &wide}}}), "ERR_ARGUMENT");
  for (const TensorId id : {test::kDown, spec.Norm(test::kAttention), test::kQNorm, test::kUp}) {
    BackwardRun factors{6, &inputs, &gradient, {{}, {}}};
    factors.sums[id.sublayer].factors[static_cast<size_t>(id.part)] = &wide;
    EXPECT_EQ(code(factors), "ERR_ARGUMENT") << NameOf(block.spec(), id);
  }
  LowRank empty;
  for (const TensorId id : {test::kDown, test::kQNorm}) {
    BackwardRun changes{6, &inputs, &gradient, {{}, {}}};
    changes.sums[id.sublayer].changes[static_cast<size_t>(id.part)] = &empty;
    EXPECT_EQ(code(changes), "ERR_ARGUMENT") << NameOf(block.spec(), id);
  }
  EXPECT_EQ(code({6, &inputs, &gradient}), "");
  context->abort = true;
  EXPECT_EQ(code({6, &inputs, &gradient}), "ERR_ABORTED");
  context->abort = false;
  Doubles bad = h;
  bad[17] = std::numeric_limits<double>::infinity();
  Fill(gradient, bad);
  test::ExpectError([&] { BackwardBlock(block, {6, &inputs, &gradient}); }, "ERR_NAN",
                    "no longer finite");
}

}  // namespace
}  // namespace struprune

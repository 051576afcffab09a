// What packs operands for many products must give the bits that products without it give.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "memory_matrix.h"
#include "model/attend_windows.h"
#include "model/forward_steps.h"
#include "ops/gemm_path.h"
#include "ops/packed_weights.h"
#include "ops/strip_product.h"
#include "reference_block.h"
#include "tiles/statistics.h"

namespace struprune {
namespace {

using Floats = std::vector<float>;

Floats Random(size_t count, uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  Floats values(count);
  for (float& value : values) value = normal(engine);
  return values;
}

// By the tiles of each precision, or vectors, on two threads.
class Packed : public testing::TestWithParam<GemmPath> {
 protected:
  void SetUp() override {
    InitialiseBlas();
    if (!std::ranges::count(AvailableGemmPaths(), GetParam())) GTEST_SKIP() << "not here";
    SetGemmPath(GetParam());
  }
  void TearDown() override { SetGemmPath(BestGemmPath(false)); }

  // spare: with memory for all that is only faster to have, or with none.
  std::shared_ptr<Context> MakeContext(bool spare) const {
    auto context =
        std::make_shared<Context>(2, 0, [path = GetParam()](Purpose) { SetGemmPath(path); });
    if (spare) context->budget->Expect(size_t{1} << 30);
    return context;
  }
};

INSTANTIATE_TEST_SUITE_P(Parts, Packed,
                         testing::Values(GemmPath::kAmxF32, GemmPath::kAmxBf16x3,
                                         GemmPath::kAmxBf16, GemmPath::kAvx512Bf16),
                         [](const auto& info) {
                           std::string name(NameOf(info.param));
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST_P(Packed, OperandsOfEveryLayout) {
  const auto context = MakeContext(true);
  for (const auto& [m, n, k] : {std::array<size_t, 3>{1, 1, 1}, {300, 70, 850}, {33, 100, 40}}) {
    for (const Trans ta : {Trans::kNo, Trans::kYes}) {
      for (const Trans tb : {Trans::kNo, Trans::kYes}) {
        const size_t lda = (ta == Trans::kYes ? m : k) + 3, ldb = (tb == Trans::kYes ? k : n) + 5;
        const auto a = Random((ta == Trans::kYes ? k : m) * lda, 1),
                   b = Random((tb == Trans::kYes ? n : k) * ldb, 2), before = Random(m * n, 3);
        PackedOperand left(*context, OperandSide::kA, m, k), right(*context, OperandSide::kB, n, k);
        ASSERT_FALSE(left.empty() || right.empty());
        left.Fill(ta, a.data(), lda);
        right.Fill(*context, tb, b.data(), ldb);
        Floats wanted = before, one = before, both = before;
        Gemm(ta, tb, m, n, k, 0.5f, a.data(), lda, b.data(), ldb, -2, wanted.data(), n);
        Gemm(ta, m, n, k, 0.5f, a.data(), lda, {right}, -2, one.data(), n);
        Gemm(m, n, k, 0.5f, {left}, {right}, -2, both.data(), n);
        EXPECT_EQ(one, wanted) << m << " " << n << " " << k;
        EXPECT_EQ(both, wanted) << m << " " << n << " " << k;
      }
    }
  }
}

TEST_P(Packed, PartsOfAnOperand) {
  const auto context = MakeContext(true);
  constexpr size_t m = 200, n = 150, k = 900, line = 64, first = 512;
  const auto a = Random(m * k, 1), b = Random(n * k, 2);
  PackedOperand left(*context, OperandSide::kA, m, k), right(*context, OperandSide::kB, n, k);
  left.Fill(*context, Trans::kNo, a.data(), k);
  right.Fill(Trans::kYes, b.data(), k);
  constexpr size_t rows = m - line, cols = n - line, depth = k - first;
  Floats wanted(rows * cols), given(rows * cols);
  Gemm(Trans::kNo, Trans::kYes, rows, cols, depth, 1, a.data() + line * k + first, k,
       b.data() + line * k + first, k, 0, wanted.data(), cols);
  Gemm(rows, cols, depth, 1, {left, line, first}, {right, line, first}, 0, given.data(), cols);
  EXPECT_EQ(given, wanted);
}

TEST_P(Packed, LowerHalf) {
  const auto context = MakeContext(true);
  constexpr size_t k = 900;
  for (const size_t n : {1, 32, 150, 700}) {
    const auto a = Random(n * k, 1), b = Random(n * k, 2);
    PackedOperand left(*context, OperandSide::kA, n, k), right(*context, OperandSide::kB, n, k);
    left.Fill(*context, Trans::kNo, a.data(), k);
    right.Fill(*context, Trans::kYes, b.data(), k);
    Floats wanted(n * n), given(n * n), plain(n * n);
    Gemm(n, n, k, 1, {left}, {right}, 0, wanted.data(), n);
    GemmLower(n, k, {left}, {right}, given.data(), n);
    GemmLower(Trans::kNo, Trans::kYes, n, k, a.data(), k, b.data(), k, plain.data(), n);
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j <= i; ++j) {
        ASSERT_EQ(given[i * n + j], wanted[i * n + j]) << i << " " << j;
        ASSERT_EQ(plain[i * n + j], wanted[i * n + j]) << i << " " << j;
      }
    }
  }
}

// Of one panel of k and of several, by strips that end within a block.
TEST_P(Packed, JoinedProducts) {
  constexpr size_t rows = 1100, n = 300, strip = 72;
  const auto join = [](const void* factor, size_t column, size_t count, float* first, float* second,
                       float* out) {
    for (size_t c = 0; c < count; ++c) {
      out[c] = (first[c] - second[c]) * static_cast<float>(column + c) *
               *static_cast<const float*>(factor);
    }
  };
  const float factor = 3;
  for (const size_t k : {70, 1600}) {
    const auto x = Random(rows * k, 1), weight = Random(n * k, 2), other = Random(n * k, 3);
    Floats first(rows * n), second(rows * n), wanted(rows * n);
    Gemm(Trans::kNo, Trans::kYes, rows, n, k, 1, x.data(), k, weight.data(), k, 0, first.data(), n);
    Gemm(Trans::kNo, Trans::kYes, rows, n, k, 1, x.data(), k, other.data(), k, 0, second.data(), n);
    for (size_t i = 0; i < rows; ++i) {
      join(&factor, 0, n, first.data() + i * n, second.data() + i * n, wanted.data() + i * n);
    }
    const auto context = MakeContext(true);
    const auto store = std::make_shared<PageStore>(context, 0, "");
    PagedMatrix w(store, n, k, strip), v(store, n, k, strip);
    w.Write(0, n, weight.data());
    v.Write(0, n, other.data());
    // `out` may be what sums of a deep k are kept in.
    Floats given(rows * n, 1), scratch(rows * n, 1);
    const WeightTerm terms[] = {{&w, given.data()}, {&v, scratch.data()}};
    const AmxJoin to{.apply = join, .state = &factor, .out = given.data(), .ld = n};
    EXPECT_FALSE(JoinedStripProducts(*context, terms[0], terms[1], rows, x.data(), to));
    EXPECT_EQ(given, Floats(rows * n, 1)) << "nothing is to be done without packing";
    const PackedWeights packed(*context, rows, {&w, &v});
    ASSERT_TRUE(JoinedStripProducts(*context, terms[0], terms[1], rows, x.data(), to));
    EXPECT_EQ(given, wanted) << k;
  }
}

// With biases, by every activation, of one panel of k and of several, by strips that end within a
// block.
TEST_P(Packed, HiddenOfAnFfn) {
  constexpr size_t rows = 1100;
  for (const Activation activation :
       {Activation::kSilu, Activation::kRelu, Activation::kGelu, Activation::kGeluTanh}) {
    for (const size_t hidden : {40, 1600}) {
      test::DecoderSpec spec;
      spec.hidden = hidden;
      spec.head_dim = 8;
      spec.heads = spec.kv_heads = 1;
      spec.ffn = 203;
      spec.activation = activation;
      const auto weights = test::RandomWeights(spec, {.ffn_in = true}, 1);
      const auto x = Random(rows * hidden, 2);
      const auto run = [&](bool spare) {
        const auto context = MakeContext(spare);
        const Block block =
            test::MakeBlock(context, spec, weights, nullptr, {.floats = 1, .rows = 72});
        const PackedWeights packed(*context, rows,
                                   {block.matrix(test::kUp), block.matrix(test::kGate)});
        EXPECT_EQ(context->packed != nullptr, spare);
        Floats gate(rows * spec.ffn), out(rows * spec.ffn);
        FfnHidden(block.sublayer(test::kFfn), rows, x.data(), gate.data(), out.data());
        return out;
      };
      EXPECT_EQ(run(true), run(false)) << hidden;
    }
  }
}

TEST_P(Packed, WeightsOfManyStrips) {
  constexpr size_t rows = 1500, k = 70, n = 300, narrow = 40, strip = 64;
  const auto x = Random(rows * k, 1), y = Random(rows * n, 2), weight = Random(n * k, 3),
             other = Random(narrow * k, 4);
  struct Results {
    Floats one, wide, small, back;
    bool operator==(const Results&) const = default;
  };
  const auto run = [&](bool spare) {
    const auto context = MakeContext(spare);
    const auto store = std::make_shared<PageStore>(context, 0, "");
    PagedMatrix w(store, n, k, strip), v(store, narrow, k, strip);
    w.Write(0, n, weight.data());
    v.Write(0, narrow, other.data());
    Results results{Floats(rows * n, 1), Floats(rows * n), Floats(rows * narrow),
                    Floats(rows * k, 1)};
    {
      const PackedWeights packed(*context, rows, {&w, nullptr, &v}, {&w});
      EXPECT_EQ(packed.Find(w, Trans::kYes) != nullptr, spare);
      EXPECT_EQ(packed.Find(v, Trans::kYes) != nullptr, spare);
      EXPECT_EQ(packed.Find(w, Trans::kNo) != nullptr, spare);
      EXPECT_EQ(packed.Find(v, Trans::kNo), nullptr);
      EXPECT_EQ(context->packed, spare ? &packed : nullptr);
      StripProduct(*context, w, rows, -1, x.data(), 1, results.one.data());
      const WeightTerm terms[] = {{&w, results.wide.data()}, {&v, results.small.data()}};
      StripProducts(*context, terms, rows, 1, x.data(), 0);
      StripProductBack(*context, w, rows, y.data(), 1, results.back.data());
    }
    EXPECT_EQ(context->packed, nullptr);
    const PackedWeights few(*context, 100, {&w});
    EXPECT_EQ(few.Find(w, Trans::kYes), nullptr) << "not worth it";
    return results;
  };
  const Results wanted = run(false);
  EXPECT_EQ(run(true), wanted);
  // In the order of the strips: what the sums should be, from one product.
  Floats whole(rows * n);
  Gemm(Trans::kNo, Trans::kYes, rows, n, k, 1, x.data(), k, weight.data(), k, 0, whole.data(), n);
  EXPECT_EQ(wanted.wide, whole);
}

TEST_P(Packed, KeysAndValues) {
  for (const auto& [window, sliding] : {std::pair<size_t, size_t>{320, 0}, {96, 40}, {50, 0}}) {
    const AttentionShape shape{.window = window,
                               .heads = 4,
                               .kv_heads = 2,
                               .head_dim = 24,
                               .sliding = sliding,
                               .scale = 0.3f};
    const size_t rows = 3 * window, wide = 4 * 24, narrow = 2 * 24;
    const auto q = Random(rows * wide, 1), k = Random(rows * narrow, 2),
               v = Random(rows * narrow, 3);
    const auto run = [&](bool spare) {
      const auto context = MakeContext(spare);
      Floats out(rows * wide), sums(rows * 4);
      std::vector<AttentionScratch> scratch(2);
      AttendWindows(*context, shape, rows, q.data(), k.data(), v.data(), out.data(), sums.data(),
                    scratch);
      EXPECT_EQ(context->budget->peak() > 0, spare && window % 32 == 0);
      EXPECT_EQ(context->budget->used(), 0u);
      return std::pair(out, sums);
    };
    EXPECT_EQ(run(true), run(false)) << window;
  }
}

TEST_P(Packed, ColumnsOfStatistics) {
  constexpr size_t rows = 1200, dim = 70, residual = 33, side = 32;
  const auto x = Random(rows * dim, 1), r = Random(rows * residual, 2);
  const auto run = [&](bool spare, bool with_gram, size_t residual_dim) {
    TileSpace space = InMemory(MakeContext(spare));
    space.side = side;
    Statistics sums(space, dim, with_gram, residual_dim);
    const size_t before = space.context->budget->peak();
    sums.Add(0, 1024, x.data(), r.data());
    sums.Add(0, rows - 1024, x.data() + 1024 * dim, r.data() + 1024 * residual);
    const size_t pages = space.context->budget->used() - before;
    EXPECT_EQ(space.context->budget->peak() > before + pages, spare);
    std::vector<double> values;
    for (const auto& matrix : {sums.gram(), sums.cross()}) {
      if (!matrix) continue;
      for (size_t i = 0; i < matrix->rows().tiles(); ++i) {
        for (size_t j = 0; j < matrix->cols().tiles() && matrix->Has(i, j); ++j) {
          const auto tile = matrix->Read(i, j);
          values.insert(values.end(), tile.data, tile.data + tile.rows * tile.stride);
        }
      }
    }
    values.insert(values.end(), sums.squares(), sums.squares() + dim);
    return values;
  };
  EXPECT_EQ(run(true, true, residual), run(false, true, residual));
  EXPECT_EQ(run(true, true, 0), run(false, true, 0));
  EXPECT_EQ(run(true, false, residual), run(false, false, residual));
}

// A path that reads operands as they are.
TEST(PackedOperands, AreEmptyWithoutTiles) {
  InitialiseBlas();
  const ScopedGemmPath path(GemmPath::kCblasF32);
  Context context(1, 0);
  context.budget->Expect(1 << 30);
  EXPECT_TRUE(PackedOperand(context, OperandSide::kA, 64, 64).empty());
  auto matrix = test::MemoryMatrix(std::make_shared<Context>(1, 0), 64, 64);
  const PackedWeights weights(context, 5000, {&matrix});
  EXPECT_EQ(weights.Find(matrix, Trans::kYes), nullptr);
}

}  // namespace
}  // namespace struprune

// What passes on a GPU say that they need, of the host's memory and of its own, is what they take.
#include "float_tensors.h"
#include "gpu_support.h"
#include "ops/gemm.h"
#include "passes/divergence.h"
#include "passes/ffn_on_device.h"
#include "passes/ffn_pass.h"
#include "passes/head_on_device.h"
#include "passes/score.h"
#include "passes/site_on_device.h"
#include "reference_block.h"

namespace struprune::test {
namespace {

constexpr size_t kWindow = 40;

class GpuNeeds : public GpuTest {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    if (!gpu_) return;
    InitialiseBlas();
    device_ = Open(TestedGpu().budget);
    // With a limit nothing pinned waits for the next run.
    context_ = std::make_shared<Context>(2, size_t{1} << 30);
    context_->gpu = device_;
    store_ = std::make_shared<PageStore>(context_, 0, "");
  }
  // All in memory, so that nothing of their pages counts.
  static TokenPages Tokens() { return {.rows = 6 * kWindow, .page_rows = 4 * kWindow}; }
  std::shared_ptr<PagedMatrix> Filled(size_t cols, unsigned seed) const {
    auto matrix = std::make_shared<PagedMatrix>(store_, Tokens().rows, cols, Tokens().page_rows);
    const auto values = RandomFloats(Tokens().rows * cols, seed);
    matrix->Write(0, Tokens().rows, values.data());
    return matrix;
  }
  // Beside what is there already.
  template <typename Work>
  void ExpectPeak(const Needs& needs, Work work) const {
    const size_t before = context_->budget->used();
    work();
    EXPECT_EQ(context_->budget->peak(), before + needs.memory);
    EXPECT_LE(device_->memory().peak, needs.device);
    EXPECT_GE(device_->memory().peak, needs.device * 9 / 10);
  }

  std::shared_ptr<CudaDevice> device_;
  std::shared_ptr<Context> context_;
  std::shared_ptr<PageStore> store_;
};

class GpuSiteNeeds : public GpuNeeds {
 protected:
  // Of both sites, with sums, which are there already.
  void ExpectSite(size_t site) const {
    DecoderSpec spec;
    spec.hidden = 24, spec.head_dim = 8, spec.heads = 4, spec.kv_heads = 2, spec.ffn = 56;
    spec.rope = RopeSpec{};
    const Block block = MakeBlock(context_, spec, RandomWeights(spec, {}, 3), store_);
    const auto hidden = Filled(spec.hidden, 1);
    Statistics statistics({context_, store_}, spec.width(site), true, 0);
    const std::vector<double> zeros(spec.width(site), 0.0);
    statistics.AddGramRows(0, 1, zeros.data());
    const SiteRun run{.window = kWindow, .hidden = hidden.get(), .statistics = &statistics};
    ExpectPeak(RunSiteNeedsOnDevice(*device_, block.sublayer(site).spec(), spec.hidden,
                                    DemandOf(run), Tokens()),
               [&] { RunSiteOnDevice(*device_, block.sublayer(site), run); });
  }
};

TEST_P(GpuSiteNeeds, OfAttention) { ExpectSite(kAttention); }
TEST_P(GpuSiteNeeds, OfAnFfn) { ExpectSite(kFfn); }

TEST_P(GpuNeeds, OfAHead) {
  EndsSpec spec;
  spec.hidden = spec.embedding_width = 32;
  spec.vocab = 300;
  const auto table = RandomFloats(spec.vocab * spec.hidden, 1);
  spec.embedding = FloatTensor("embedding", spec.vocab, spec.hidden, table);
  const auto hidden = Filled(spec.hidden, 2);
  ExpectPeak(ScoreNeeds(*context_, ShapeOf(spec), Tokens()),
             [&] { ScoreTokens(*context_, spec, *hidden, {}); });
}

TEST_P(GpuNeeds, OfPassesOverAnFfn) {
  const FfnShape shape{Activation::kSilu, true, 24, 40, 24, 0};
  FfnMap map;
  map.activation = shape.activation;
  map.inputs = shape.inputs, map.width = shape.width, map.outputs = shape.outputs;
  const auto stored = [&](size_t rows, size_t cols, unsigned seed) {
    auto matrix = std::make_shared<PagedMatrix>(store_, rows, cols);
    const auto values = RandomFloats(rows * cols, seed);
    matrix->Write(0, rows, values.data());
    return matrix;
  };
  for (unsigned part = 0; part < shape.parts(); ++part) {
    map.in.push_back(stored(shape.width, shape.inputs, part));
  }
  map.down = stored(shape.outputs, shape.width, 9);
  const FfnTokens tokens{Filled(shape.inputs, 1), Filled(shape.outputs, 2)};
  ExpectPeak(ProductNeeds(*context_, shape, Tokens(), false),
             [&] { AddProduct(*context_, map, tokens, AllPages(tokens), map.in, {}); });
}

// Where weights are held in bf16: as floats they take twice as much.
using GpuNeedsOfHalves = GpuNeeds;
std::vector<GpuKind> KindsOfHalves() {
  return {{true, cuda::Precision::kBf16x3}, {true, cuda::Precision::kBf16}};
}

// Passes over the tokens of an FFN of OPT-6.7B and of Llama 7B. Sums take twice their own room
// where there are several pages.
TEST_P(GpuNeedsOfHalves, OfLargeFfns) {
  if (TestedGpu().large) GTEST_SKIP() << "sizes alone, which the emulation is enough for";
  const auto expect = [&](size_t mebibytes, size_t rows, size_t product) {
    context_->gpu.reset();  // two budgets are more than the device has
    setenv("STRUPRUNE_EMULATED_MEMORY", "4294967296", 1);
    context_->gpu = Open(uint64_t{mebibytes} << 20);
    unsetenv("STRUPRUNE_EMULATED_MEMORY");
    const TokenPages tokens{.rows = rows, .page_rows = 4096};
    for (const FfnShape& shape : {FfnShape{Activation::kRelu, false, 4097, 16'384, 4096, 0},
                                  FfnShape{Activation::kSilu, true, 4096, 11'008, 4096, 0}}) {
      EXPECT_EQ(ProductNeeds(*context_, shape, tokens, true).passes, product) << mebibytes;
      EXPECT_GT(GradientNeeds(*context_, shape, tokens).passes, 1u) << mebibytes;
    }
  };
  expect(1536, 4096, 1);
  expect(1536, 65'536, 2);
  expect(2560, 65'536, 1);
}

INSTANTIATE_TEST_SUITE_P(Gpu, GpuNeeds, testing::ValuesIn(AllKinds()),
                         [](const auto& info) { return NameOf(info.param); });
INSTANTIATE_TEST_SUITE_P(Gpu, GpuNeedsOfHalves, testing::ValuesIn(KindsOfHalves()),
                         [](const auto& info) { return NameOf(info.param); });
INSTANTIATE_TEST_SUITE_P(Gpu, GpuSiteNeeds, testing::ValuesIn(AllKinds()),
                         [](const auto& info) { return NameOf(info.param); });

}  // namespace
}  // namespace struprune::test

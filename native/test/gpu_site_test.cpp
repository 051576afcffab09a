// Whole sites streamed through the GPU against RunSite on the CPU: other code, the same contract.
#include <functional>
#include <map>
#include <numeric>
#include <optional>

#include "expect_error.h"
#include "gpu_support.h"
#include "ops/gemm.h"
#include "passes/site_body.h"
#include "passes/site_on_device.h"
#include "reference_block.h"

namespace struprune::test {
namespace {

constexpr size_t kWindow = 40;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Several pages: of FlightTokens, and of what little memory the emulation gets, which is slow.
size_t Tokens() { return kWindow * (TestedGpu().large ? 310 : 24); }
size_t PageRows() { return TestedGpu().large ? PagedMatrix::PageRows(kWindow) : 10 * kWindow; }
uint64_t PagingBudget() { return TestedGpu().large ? TestedGpu().budget : uint64_t{360} << 10; }

struct Family {
  std::string name;
  std::function<void(DecoderSpec&, BiasSet&)> change;
};

std::vector<Family> Families() {
  return {
      {"Llama", [](DecoderSpec&, BiasSet&) {}},
      {"Qwen3",
       [](DecoderSpec& s, BiasSet& b) {
         s.qk_norm = true;
         b.qkv = true;
       }},
      {"Mistral",
       [](DecoderSpec& s, BiasSet&) {
         s.sliding = 9;
         s.kv_heads = 1;
       }},
      {"Phi3",
       [](DecoderSpec& s, BiasSet&) {
         s.rope->dims = 6;
         s.rope->longrope = LongRope{{1, 1, 1}, {1.5, 2, 8}, 4, 1.2};
       }},
      {"Opt",
       [](DecoderSpec& s, BiasSet& b) {
         s.norm = NormKind::kLayer, s.rope.reset(), s.gated = false;
         s.activation = Activation::kRelu;
         b = {true, true, true, true, true};
       }},
      {"Gemma3",
       [](DecoderSpec& s, BiasSet&) {
         s.qk_norm = s.out_norm = true;
         s.sliding = 9;
         s.scale = 0.3f;
         s.activation = Activation::kGeluTanh;
       }},
      {"Gemma2",
       [](DecoderSpec& s, BiasSet&) {
         s.out_norm = true;
         s.sliding = 9;
         s.cap = 0.8f;
       }},
      {"GptOss",
       [](DecoderSpec& s, BiasSet& b) {
         s.sinks = true;
         s.sliding = 9;
         b.qkv = b.o = true;
       }},
      {"Olmo2",
       [](DecoderSpec& s, BiasSet&) {
         s.in_norm = false;
         s.qk_norm = s.norm_joins_heads = s.out_norm = true;
       }},
      {"OptPostNorm",
       [](DecoderSpec& s, BiasSet& b) {
         s.norm = NormKind::kLayer, s.rope.reset(), s.gated = false, s.post_norm = true;
         s.activation = Activation::kGelu;
         b = {true, true, true, true, true};
       }},
  };
}

struct Model {
  DecoderSpec spec;
  std::shared_ptr<Context> context;
  std::optional<Block> block;

  explicit Model(const Family& family, size_t limit = 0)
      : context(std::make_shared<Context>(2, limit)) {
    InitialiseBlas();
    spec.hidden = 24, spec.head_dim = 8, spec.heads = 4, spec.kv_heads = 2, spec.ffn = 50;
    spec.rope = RopeSpec{};
    BiasSet biases;
    family.change(spec, biases);
    block.emplace(MakeBlock(context, spec, RandomWeights(spec, biases, 3)));
  }
  // In memory, or paged: with only two pages at a time there.
  std::unique_ptr<PagedMatrix> Matrix(size_t cols, bool paged = false) const {
    const size_t limit = paged ? 2 * PageRows() * cols * sizeof(float) : 0;
    auto store = std::make_shared<PageStore>(context, limit, testing::TempDir());
    return std::make_unique<PagedMatrix>(std::move(store), Tokens(), cols, PageRows());
  }
  std::unique_ptr<PagedMatrix> States(uint32_t seed, bool paged = false) const {
    auto matrix = Matrix(spec.hidden, paged);
    const auto values = RandomValues<float>(matrix->rows() * spec.hidden, seed);
    matrix->Write(0, matrix->rows(), values.data());
    return matrix;
  }
};

class GpuSite : public GpuTest {};

void CompareSite(const CudaDevice& device, const Model& model, size_t site, bool feedback,
                 double tolerance) {
  const size_t width = model.spec.width(site), hidden = model.spec.hidden;
  const size_t tokens = Tokens(), residual = feedback ? hidden : 0;
  const auto on_cpu = model.States(1), on_gpu = model.States(1, true), before = model.States(2),
             after = model.States(4);
  const auto kept_cpu = model.Matrix(width), kept_gpu = model.Matrix(width, true);
  // With a column of ones where there are biases.
  const size_t ones = model.block->has(kUpBias) ? 1 : 0;
  const auto inputs_cpu = model.Matrix(hidden + ones), targets_cpu = model.Matrix(hidden);
  const auto inputs_gpu = model.Matrix(hidden + ones, true),
             targets_gpu = model.Matrix(hidden, true);
  // Several tiles, whose sides divide neither the width nor the rows that come back at a time.
  TileSpace space = InMemory(model.context);
  space.side = 16;
  Statistics sums_cpu(space, width, true, residual), sums_gpu(space, width, true, residual);
  SiteRun run;
  run.window = kWindow;
  if (feedback) {
    run.dense_before = before.get(), run.dense_after = after.get();
    run.alpha = 0.7f, run.beta = 0.4f;
  }
  run.hidden = on_cpu.get(), run.statistics = &sums_cpu, run.keep = kept_cpu.get();
  const bool refits = site == kFfn;
  if (refits) run.inputs = inputs_cpu.get(), run.targets = targets_cpu.get();
  RunSite(model.block->sublayer(site), run);
  run.hidden = on_gpu.get(), run.statistics = &sums_gpu, run.keep = kept_gpu.get();
  if (refits) run.inputs = inputs_gpu.get(), run.targets = targets_gpu.get();
  RunSiteOnDevice(device, model.block->sublayer(site), run);
  if (refits) {
    ExpectClose(AllOf(*inputs_gpu), AllOf(*inputs_cpu), tolerance, "inputs");
    ExpectClose(AllOf(*targets_gpu), AllOf(*targets_cpu), tolerance, "targets");
  }
  ExpectClose(AllOf(*on_gpu), AllOf(*on_cpu), tolerance, "hidden");
  ExpectClose(AllOf(*kept_gpu), AllOf(*kept_cpu), tolerance, "kept");
  EXPECT_EQ(sums_gpu.tokens(), tokens);
  const auto compare = [&](const double* got, const double* wanted, size_t count,
                           const char* what) {
    ExpectClose(Copied(got, count), Copied(wanted, count), tolerance, what);
  };
  ExpectClose(AllOf(*sums_gpu.gram()), AllOf(*sums_cpu.gram()), tolerance, "gram");
  compare(sums_gpu.squares(), sums_cpu.squares(), width, "squares");
  // A sum of both signs: relative to the root of the sum of squares instead.
  for (size_t j = 0; j < width; ++j) {
    ASSERT_NEAR(sums_gpu.sums()[j], sums_cpu.sums()[j],
                tolerance * std::sqrt(sums_cpu.squares()[j] * static_cast<double>(tokens)));
  }
  if (feedback) {
    ExpectClose(AllOf(*sums_gpu.cross()), AllOf(*sums_cpu.cross()), tolerance, "cross");
  }
  compare(sums_gpu.residual_sums(), sums_cpu.residual_sums(), residual, "residual sums");
  EXPECT_NEAR(sums_gpu.residual_energy(), sums_cpu.residual_energy(),
              tolerance * sums_cpu.residual_energy());
}

TEST_P(GpuSite, EqualsTheCpu) {
  const auto device = Open(PagingBudget());
  for (const Family& family : Families()) {
    const Model model(family);
    for (const size_t site : {kAttention, kFfn}) {
      SCOPED_TRACE(family.name + (site == kFfn ? " ffn" : " attention"));
      CompareSite(*device, model, site, false, Tolerance(GetParam()));
      if (model.block->sublayer(kFfn).spec().adds_plainly()) {
        const SiteDemand demand{kWindow, PageRows(), Tokens(), true, true, true, true, true};
        ASSERT_LT(
            2 * PlanSite(*device, model.block->sublayer(site).spec(), model.spec.hidden, demand)
                    .flight,
            Tokens())
            << "a third page takes the first one's place";
        CompareSite(*device, model, site, true, Tolerance(GetParam()));
      }
    }
  }
  EXPECT_LE(device->memory().peak, device->memory().limit);
}

// One after the other over the same states: on the GPU the second reads what the first kept there.
TEST_P(GpuSite, SublayersBesideEachOtherReadTheBlocksInput) {
  const auto device = Open(PagingBudget());
  const Model model({"GptNeoX", [](DecoderSpec& s, BiasSet& b) {
                       s.norm = NormKind::kLayer, s.gated = false, s.parallel = true;
                       s.rope->dims = 4;
                       s.activation = Activation::kGelu;
                       b = {true, true, true, true, true};
                     }});
  const auto on_cpu = model.States(1), on_gpu = model.States(1, true);
  const auto inputs_cpu = model.Matrix(model.spec.hidden + 1),
             inputs_gpu = model.Matrix(model.spec.hidden + 1, true);
  for (const size_t site : {kAttention, kFfn}) {
    SiteRun run;
    run.window = kWindow;
    run.hidden = on_cpu.get(), run.inputs = site == kFfn ? inputs_cpu.get() : nullptr;
    RunSite(model.block->sublayer(site), run);
    run.hidden = on_gpu.get(), run.inputs = site == kFfn ? inputs_gpu.get() : nullptr;
    RunSiteOnDevice(*device, model.block->sublayer(site), run);
    ExpectClose(AllOf(*on_gpu), AllOf(*on_cpu), Tolerance(GetParam()), "hidden");
  }
  ExpectClose(AllOf(*inputs_gpu), AllOf(*inputs_cpu), Tolerance(GetParam()), "inputs");
  // The same FFN on the same states alone reads these.
  const auto alone = model.States(1);
  SiteRun run;
  run.window = kWindow, run.hidden = alone.get();
  RunSite(model.block->sublayer(kFfn), run);
  EXPECT_NE(AllOf(*alone), AllOf(*on_cpu));
}

TEST_P(GpuSite, OnlySegmentsOfSeveralAdditionsHaveSumsOfTheirOwn) {
  const Model model(Families()[0]);
  const size_t most =
      static_cast<size_t>(cuda::ProductRows(gpu().has_blas(), gpu().options().gram));
  const auto segments = [&](size_t pages, size_t page, size_t flight) {
    SiteDemand demand;
    demand.page = page, demand.tokens = pages * page;
    return SegmentsOf(gpu(), {model.block->sublayer(kFfn).spec(), 24, demand, false, flight})
        .count();
  };
  EXPECT_EQ(segments(16, most, most), 1u);
  EXPECT_EQ(segments(17, most, most), 16u) << "two pages in one of them";
  EXPECT_EQ(segments(16, most, most / 2), 16u) << "two flights";
  EXPECT_EQ(segments(16, 2 * most, 2 * most), 16u) << "two products";
}

TEST_P(GpuSite, NothingIsReadBeforeItIsWritten) {
  const auto device = OpenChecked(PagingBudget());
  const Model model(Families()[0]);
  for (const size_t site : {kAttention, kFfn}) {
    CompareSite(*device, model, site, true, Tolerance(GetParam()));
  }
  EXPECT_LE(device->memory().peak, device->memory().limit);
}

INSTANTIATE_TEST_SUITE_P(Gpu, GpuSite, testing::ValuesIn(AllKinds()),
                         [](const auto& info) { return NameOf(info.param); });

class GpuSiteLimits : public GpuSite {};

// Too little for pages of the usual length, then for all rows of the Gram matrix at once.
TEST_P(GpuSiteLimits, ASmallBudgetTakesSmallerPagesAndMorePasses) {
  const Model model(Families()[0]);
  for (const uint64_t budget : {400u << 10, 128u << 10}) {
    const auto device = Open(budget);
    const uint64_t used = device->memory().used;
    CompareSite(*device, model, kFfn, true, Tolerance(GetParam()));
    EXPECT_LE(device->memory().peak, budget);
    EXPECT_EQ(device->memory().used, used) << "everything was given back";
  }
}

// Where memory is tight a run without sums would have more tokens in flight, and other last bits.
TEST_P(GpuSiteLimits, ARunThatRepeatsAnotherHasItsFlight) {
  const Model model(Families()[0]);
  const size_t width = model.spec.ffn;
  const auto hidden = model.States(1), dense = model.States(2), kept = model.Matrix(width);
  Statistics sums(InMemory(model.context), width, true, model.spec.hidden);
  SiteRun solve;
  solve.window = kWindow;
  solve.hidden = hidden.get(), solve.keep = kept.get(), solve.statistics = &sums;
  solve.advance = false;
  SiteRun plain = solve;
  plain.statistics = nullptr;
  solve.dense_before = solve.dense_after = dense.get(), solve.alpha = solve.beta = 0.5f;
  SiteRun replay = plain;
  replay.repeats = {true, true, true};
  // Room for whole pages of the run without sums, and not beside them.
  const auto bytes = [&](const SiteRun& run) {
    return PlanRun(*gpu_, model.block->sublayer(kFfn).spec(), model.spec.hidden, run).device_bytes;
  };
  const auto device = OpenWithRoom((bytes(plain) + bytes(solve)) / 2);
  const auto plan = [&](const SiteRun& run) {
    return PlanRun(*device, model.block->sublayer(kFfn).spec(), model.spec.hidden, run);
  };
  EXPECT_EQ(plan(replay).flight, plan(solve).flight);
  EXPECT_LT(plan(solve).flight, plan(plain).flight) << "memory is not tight";
  EXPECT_LT(plan(replay).pinned_bytes, plan(solve).pinned_bytes) << "only what is taken";
  EXPECT_EQ(plan(replay).passes, 1u);
  // With the bits of the solve.
  RunSiteOnDevice(*device, model.block->sublayer(kFfn), solve);
  const auto wanted = AllOf(*kept);
  kept->Write(0, kept->rows(), std::vector<float>(wanted.size(), kNan).data());
  RunSiteOnDevice(*device, model.block->sublayer(kFfn), replay);
  EXPECT_EQ(AllOf(*kept), wanted);
}

TEST_P(GpuSiteLimits, NoBudgetAtAllIsRefusedBeforeWork) {
  const Model model(Families()[0]);
  const auto device = Open(32 << 10);
  const auto hidden = model.States(1);
  const auto before = AllOf(*hidden);
  SiteRun run;
  run.window = kWindow;
  run.hidden = hidden.get();
  ExpectError([&] { RunSiteOnDevice(*device, model.block->sublayer(kFfn), run); }, "ERR_BUDGET",
              "of the GPU's memory");
  EXPECT_EQ(AllOf(*hidden), before);
}

// It waits for the next run where there is no limit, and is freed where there is one.
TEST_P(GpuSiteLimits, PinnedPagesCountAsHostMemory) {
  for (const size_t limit : {size_t{0}, size_t{1} << 32}) {
    const Model model(Families()[0], limit);
    const auto device = Open(TestedGpu().budget);
    const auto hidden = model.States(1);
    // Two pages in and two out.
    const size_t pages =
        4 * std::min(hidden->rows(), hidden->page_rows()) * model.spec.hidden * sizeof(float);
    SiteRun run;
    run.window = kWindow;
    run.hidden = hidden.get();
    const MemoryBudget& budget = *model.context->budget;
    const size_t used = budget.used();
    std::map<size_t, size_t> kept;
    for (const size_t site : {kFfn, kFfn, kAttention}) {
      RunSiteOnDevice(*device, model.block->sublayer(site), run);
      EXPECT_GE(budget.peak() - used, pages);
      uint64_t waiting = 0;
      device->Call(&cuda::Api::pinned, false, &waiting);
      EXPECT_EQ(budget.used() - used, waiting);
      if (limit != 0) {
        EXPECT_EQ(waiting, 0u);
      } else {
        EXPECT_GE(waiting, pages);
        // Pieces of the weights have another size on the other site of so small a model.
        EXPECT_EQ(waiting, kept.try_emplace(site, waiting).first->second)
            << "a run of the same pages takes the same";
      }
    }
  }
}

TEST_P(GpuSiteLimits, NotFiniteIsSeenAndAnAbortStops) {
  const Model model(Families()[0]);
  const auto device = Open(TestedGpu().budget);
  const auto hidden = model.States(1);
  PagedMatrix::View(*hidden, hidden->rows() - 1, 1, PagedMatrix::Access::kUpdate).data()[3] = kNan;
  SiteRun run;
  run.window = kWindow;
  run.hidden = hidden.get();
  ExpectError([&] { RunSiteOnDevice(*device, model.block->sublayer(kFfn), run); }, "ERR_NAN",
              "no longer finite");
  model.context->abort = true;
  EXPECT_THROW(RunSiteOnDevice(*device, model.block->sublayer(kFfn), run), Error);
}

INSTANTIATE_TEST_SUITE_P(Gpu, GpuSiteLimits, testing::ValuesIn(ExactKinds()),
                         [](const auto& info) { return NameOf(info.param); });

}  // namespace
}  // namespace struprune::test

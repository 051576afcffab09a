// The passes of an FFN's least squares on the GPU against those on the CPU (passes/ffn_pass.cpp):
// other code, the same contract.
#include <functional>

#include "expect_error.h"
#include "gpu_support.h"
#include "ops/gemm.h"
#include "passes/ffn_on_device.h"
#include "solver/gauss_newton.h"

namespace struprune::test {
namespace {

// Pages are cut at those of the matrices too; the emulation is slow.
size_t PageRows() { return TestedGpu().large ? 3000 : 150; }
size_t Tokens() { return 4 * PageRows() - 7; }

struct FfnKind {
  std::string name;
  Activation activation;
  size_t parts, inputs, width, outputs;
  bool bias;
};

std::vector<FfnKind> Kinds() {
  return {{"Llama", Activation::kSilu, 2, 24, 50, 24, false},
          {"Opt", Activation::kRelu, 1, 25, 37, 24, true},
          {"Gelu", Activation::kGelu, 1, 17, 41, 9, true},
          {"GeluTanh", Activation::kGeluTanh, 2, 24, 50, 24, false}};
}

// Eighths: products and their sums are exact however operands are rounded, so that a ReLU's slope,
// which jumps at 0, is the same everywhere.
void RoundToEighths(std::vector<float>& values) {
  for (float& value : values) value = std::round(8 * value) / 8;
}

// An FFN and its tokens, in a context that has a GPU or none.
struct Problem {
  std::shared_ptr<Context> context = std::make_shared<Context>(2, 0);
  TileSpace space = InMemory(context);
  FfnMap map;
  FfnTokens tokens;
  InputWeights change;

  explicit Problem(const FfnKind& kind, std::shared_ptr<CudaDevice> gpu = nullptr) {
    InitialiseBlas();
    context->gpu = std::move(gpu);
    // Sides that divide neither a width nor a band.
    space.side = 16;
    map.activation = kind.activation;
    map.inputs = kind.inputs, map.width = kind.width, map.outputs = kind.outputs;
    for (uint32_t part = 0; part < kind.parts; ++part) {
      map.in.push_back(Random(kind.width, kind.inputs, 1 + part, 11));
      change.push_back(Random(kind.width, kind.inputs, 3 + part, 11));
    }
    map.down = Random(kind.outputs, kind.width, 5, 7);
    map.bias = context->Allocate<float>(kind.bias ? kind.outputs : 0);
    std::ranges::copy(RandomValues<float>(map.bias.size(), 6), map.bias.data());
    tokens.inputs = Random(Tokens(), kind.inputs, 7, PageRows());
    tokens.targets = Random(Tokens(), kind.outputs, 8, PageRows());
  }
  std::shared_ptr<PagedMatrix> Random(size_t rows, size_t cols, uint32_t seed, size_t page) const {
    auto matrix = std::make_shared<PagedMatrix>(space.store, rows, cols, page);
    auto values = RandomValues<float>(rows * cols, seed);
    RoundToEighths(values);
    matrix->Write(0, rows, values.data());
    return matrix;
  }
  // All that a pass makes, in an order of its own.
  std::vector<std::vector<double>> Gradient() const {
    PartSums sums, moments;
    for (size_t part = 0; part < map.parts(); ++part) {
      sums.push_back(std::make_unique<Statistics>(space, map.inputs, part == 0, map.width));
      moments.push_back(std::make_unique<Statistics>(space, map.width, true, 0));
    }
    const auto pages = ChoosePages(tokens, Tokens() * 2 / 3, 1);
    const FfnError error = AddGradient(*context, map, tokens, pages, sums, moments);
    std::vector<std::vector<double>> all = {{error.error}, {error.target}};
    all.push_back({static_cast<double>(sums[0]->tokens())});
    all.push_back(AllOf(*sums[0]->gram()));
    all.push_back(Copied(sums[0]->squares(), map.inputs));
    for (size_t part = 0; part < map.parts(); ++part) {
      all.push_back(AllOf(*sums[part]->cross()));
      all.push_back(AllOf(*moments[part]->gram()));
    }
    return all;
  }
  std::vector<std::vector<double>> Product(bool back) const {
    PartSums sums;
    for (size_t part = 0; back && part < map.parts(); ++part) {
      sums.push_back(std::make_unique<Statistics>(space, map.inputs, false, map.width));
    }
    std::vector<std::vector<double>> all = {
        {AddProduct(*context, map, tokens, AllPages(tokens), change, sums)}};
    for (const auto& part : sums) all.push_back(AllOf(*part->cross()));
    return all;
  }
  std::vector<std::vector<double>> Hidden() const {
    Statistics sums(space, map.width, true, map.outputs);
    AddHidden(*context, map, tokens, sums);
    return {AllOf(*sums.gram()),
            AllOf(*sums.cross()),
            Copied(sums.squares(), map.width),
            {sums.residual_energy()},
            {static_cast<double>(sums.tokens())}};
  }
};

void Compare(const FfnKind& kind, const std::shared_ptr<CudaDevice>& gpu, const GpuKind& how) {
  SCOPED_TRACE(kind.name);
  const Problem on_cpu(kind), on_gpu(kind, gpu);
  double tolerance = Tolerance({how.libraries, SearchPrecision(how.precision)});
  const auto compare = [&](const char* pass, const auto& got, const auto& wanted) {
    ASSERT_EQ(got.size(), wanted.size());
    for (size_t i = 0; i < got.size(); ++i) {
      ExpectClose(got[i], wanted[i], tolerance, std::string(pass) + " " + std::to_string(i));
    }
  };
  compare("gradient", on_gpu.Gradient(), on_cpu.Gradient());
  compare("product", on_gpu.Product(true), on_cpu.Product(true));
  compare("product without sums", on_gpu.Product(false), on_cpu.Product(false));
  tolerance = Tolerance(how);
  compare("hidden", on_gpu.Hidden(), on_cpu.Hidden());
}

class GpuFfn : public GpuTest {};

TEST_P(GpuFfn, EqualsTheCpu) {
  const auto device = Open(TestedGpu().budget);
  const uint64_t used = device->memory().used;
  for (const FfnKind& kind : Kinds()) Compare(kind, device, GetParam());
  EXPECT_EQ(device->memory().used, used) << "everything was given back";
}

TEST_P(GpuFfn, NothingIsReadBeforeItIsWritten) {
  const auto device = OpenChecked(TestedGpu().budget);
  Compare(Kinds()[0], device, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Gpu, GpuFfn, testing::ValuesIn(AllKinds()),
                         [](const auto& info) { return NameOf(info.param); });

class GpuFfnLimits : public GpuTest {
 protected:
  FfnPlan Plan(const FfnKind& kind, const CudaDevice& device, FfnPass pass,
               bool sums = true) const {
    const size_t page = std::min(PageRows(), kFfnPage);
    return PlanFfn(device,
                   {kind.activation, kind.parts == 2, kind.inputs, kind.width, kind.outputs, page,
                    Segments(Tokens(), PageRows())},
                   pass, sums);
  }
};

// Too little for pages of the usual length, then for all rows of the sums at once.
TEST_P(GpuFfnLimits, ASmallBudgetTakesSmallerPagesAndMoreWays) {
  const FfnKind kind = Kinds()[0];
  const auto pass = FfnPass::kGradient;
  const FfnPlan whole = Plan(kind, *gpu_, pass);
  EXPECT_EQ(whole.ways, 1u);
  EXPECT_EQ(whole.flight, std::min(PageRows(), kFfnPage));
  // Less and less room, until pages are halved or there are bands, and then until both are so.
  uint64_t room = whole.device_bytes;
  for (const bool both : {false, true}) {
    const auto reached = [&](const FfnPlan& plan) {
      const bool halved = plan.flight < whole.flight, banded = plan.ways > 1;
      return both ? halved && banded : halved || banded;
    };
    auto device = OpenWithRoom(room);
    while (!reached(Plan(kind, *device, pass))) {
      room = room * 19 / 20;
      device = OpenWithRoom(room);
    }
    const FfnPlan plan = Plan(kind, *device, pass);
    EXPECT_EQ(plan.ways > 1 && plan.flight < whole.flight, both);
    const uint64_t used = device->memory().used;
    Compare(kind, device, GetParam());
    EXPECT_LE(device->memory().peak, device->memory().limit);
    EXPECT_EQ(device->memory().used, used) << "everything was given back";
  }
}

// What is planned is what is taken: nothing more, or a budget that plan calls enough is not.
TEST_P(GpuFfnLimits, TakesWhatItPlans) {
  for (const FfnKind& kind : Kinds()) {
    for (const auto& [pass, sums] : {std::pair{FfnPass::kGradient, true},
                                     {FfnPass::kProduct, true},
                                     {FfnPass::kProduct, false},
                                     {FfnPass::kHidden, true}}) {
      SCOPED_TRACE(kind.name + " " + std::to_string(static_cast<int>(pass)));
      const auto device = Open(TestedGpu().budget);
      const uint64_t used = device->memory().used, peak = device->memory().peak;
      const FfnPlan plan = Plan(kind, *device, pass, sums);
      const Problem problem(kind, device);
      const size_t host = problem.context->budget->used();
      if (pass == FfnPass::kGradient) problem.Gradient();
      if (pass == FfnPass::kProduct) problem.Product(sums);
      if (pass == FfnPass::kHidden) problem.Hidden();
      // Opening it makes a product of each kind, which may have taken more.
      if (device->memory().peak > peak) {
        EXPECT_LE(device->memory().peak - used, plan.device_bytes);
        EXPECT_GE(static_cast<double>(device->memory().peak - used),
                  0.9 * static_cast<double>(plan.device_bytes));
      }
      EXPECT_GE(problem.context->budget->peak() - host, plan.pinned_bytes);
    }
  }
}

TEST_P(GpuFfnLimits, NoRoomIsRefusedAndAnAbortStops) {
  const FfnKind kind = Kinds()[0];
  const auto device = Open(32 << 10);
  const Problem small(kind, device);
  ExpectError([&] { small.Gradient(); }, "ERR_BUDGET", "of the GPU's memory");
  const Problem problem(kind, gpu_);
  problem.context->abort = true;
  EXPECT_THROW(problem.Hidden(), Error);
}

// A whole linearisation with two conjugate directions: the solver does not know where its passes
// run.
TEST_P(GpuFfnLimits, GaussNewtonEqualsTheCpus) {
  for (const FfnKind& kind : Kinds()) {
    SCOPED_TRACE(kind.name);
    const auto moved = [&](std::shared_ptr<CudaDevice> gpu) {
      Problem problem(kind, std::move(gpu));
      GaussNewton newton(problem.space, problem.change, problem.tokens, {0.05, kind.bias});
      newton.Linearise(std::move(problem.map), Tokens(), 0);
      for (const bool last : {false, true}) {
        const Direction line = newton.NextDirection(last);
        newton.Advance(line.slope / line.curvature);
      }
      std::vector<float> all;
      for (const auto& part : newton.Moved()) {
        const auto values = AllOf(*part);
        all.insert(all.end(), values.begin(), values.end());
      }
      return all;
    };
    ExpectClose(moved(gpu_), moved(nullptr), 1e-4, "weights");
  }
}

INSTANTIATE_TEST_SUITE_P(Gpu, GpuFfnLimits, testing::ValuesIn(ExactKinds()),
                         [](const auto& info) { return NameOf(info.param); });

}  // namespace
}  // namespace struprune::test

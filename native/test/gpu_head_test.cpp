// A model's head on the GPU against the CPU's (model/ends.cpp, model/expected_rows.cpp): other
// code, the same contract.
#include <limits>

#include "expect_error.h"
#include "gpu_support.h"
#include "head_model.h"
#include "ops/gemm.h"
#include "passes/divergence.h"
#include "passes/head_on_device.h"
#include "passes/score.h"

namespace struprune::test {
namespace {

constexpr size_t kWidth = 21, kPage = 70;

// Three pieces of the vocabulary, the last of them not whole; more tokens than the lanes of a warp.
size_t Vocabulary() { return 2 * kHeadPiece + 391; }
size_t Tokens() { return TestedGpu().large ? 3001 : 153; }

// With a norm, whose states the head does not read as they are; the last token is certain.
HeadModel Model(float cap = 0) {
  HeadModel model(kWidth, Vocabulary(), Tokens(), 1);
  model.spec.logit_cap = cap;
  for (size_t j = 0; j < kWidth; ++j) {
    float& weight = model.head[kHeadPiece * kWidth + j];
    model.states[(Tokens() - 1) * kWidth + j] = weight;
    weight *= 3;
  }
  model.spec.head = FloatTensor("head", model.vocab, kWidth, model.head);
  return model;
}

struct Scored {
  TokenScores scores;
  std::vector<double> entropy, divergence;
  std::vector<float> mean;
};

class GpuHead : public GpuTest {
 protected:
  // On the CPU where there is no device.
  Scored Run(std::shared_ptr<CudaDevice> device, const HeadModel& model) const {
    InitialiseBlas();
    auto context = std::make_shared<Context>(2, 0);
    context->gpu = std::move(device);
    auto store = std::make_shared<PageStore>(context, 3 * kPage * kWidth * sizeof(float),
                                             testing::TempDir());
    auto norm = RandomFloats(kWidth, 5);
    for (float& weight : norm) weight = std::fabs(weight);
    EndsSpec spec = model.spec;
    spec.final_norm = FloatTensor("norm", 1, kWidth, norm);
    PagedMatrix hidden(store, Tokens(), kWidth, kPage), mean(store, Tokens(), kWidth, kPage),
        other(store, Tokens(), kWidth, kPage);
    hidden.Write(0, Tokens(), model.states.data());
    auto states = model.states;
    const auto noise = RandomFloats(states.size(), 6);
    for (size_t i = 0; i < noise.size(); ++i) states[i] += 0.3f * noise[i];
    other.Write(0, Tokens(), states.data());
    std::vector<int32_t> targets(Tokens());
    for (size_t i = 0; i < Tokens(); ++i) {
      targets[i] = i % 5 == 3 ? -1 : static_cast<int32_t>(i * 37 % Vocabulary());
    }
    Scored found;
    found.scores = ScoreTokens(*context, spec, hidden, targets);
    found.entropy = ExpectHead(*context, spec, hidden, mean);
    found.mean = AllOf(mean);
    found.divergence = DivergenceFrom(*context, spec, mean, found.entropy, other);
    EXPECT_TRUE(std::isnan(ScoreTokens(*context, spec, hidden, {}).nll[0])) << "no target";
    return found;
  }

  void Compare(std::shared_ptr<CudaDevice> device, float cap = 0) const {
    const HeadModel model = Model(cap);
    const Scored cpu = Run(nullptr, model), gpu = Run(std::move(device), model);
    // Of a logit, in nats: the mean of |x||y| of normal numbers is 2 / pi, of few of them more.
    const double logit = BoundOf(GetParam(), kWidth) * kWidth * 4;
    for (size_t i = 0; i < Tokens(); ++i) {
      ASSERT_NEAR(gpu.scores.log_sum[i], cpu.scores.log_sum[i], logit) << i;
      ASSERT_EQ(std::isnan(gpu.scores.nll[i]), i % 5 == 3) << i;
      if (i % 5 != 3) {
        ASSERT_NEAR(gpu.scores.nll[i], cpu.scores.nll[i], 2 * logit) << i;
      }
      ASSERT_NEAR(gpu.entropy[i], cpu.entropy[i], 10 * logit) << i;
      ASSERT_NEAR(gpu.divergence[i], cpu.divergence[i], 10 * logit) << i;
    }
    ExpectClose(gpu.mean, cpu.mean, 5 * Tolerance(GetParam()), "means");
    // Where logits are computed alike to all their digits but the last, and none is a tie.
    if (GetParam().precision == cuda::Precision::kExact) {
      EXPECT_EQ(gpu.scores.best, cpu.scores.best);
    }
    EXPECT_EQ(gpu.scores.best.back(), static_cast<int32_t>(kHeadPiece));
  }
};

TEST_P(GpuHead, EqualsTheCpu) {
  const auto device = Open(TestedGpu().budget);
  const uint64_t used = device->memory().used;
  Compare(device);
  EXPECT_EQ(device->memory().used, used) << "everything was given back";
}

TEST_P(GpuHead, EqualsTheCpuWhereLogitsAreCapped) { Compare(Open(TestedGpu().budget), 5); }

TEST_P(GpuHead, EqualsTheCpuOverASample) {
  HeadModel model = Model();
  // Two pieces; the certain token is the first of the second.
  for (size_t token = 0; token < Vocabulary(); ++token) {
    if (token % 3 == kHeadPiece % 3) model.spec.sample.push_back(static_cast<int32_t>(token));
  }
  model.spec.vocab = model.spec.sample.size();
  const Scored cpu = Run(nullptr, model), gpu = Run(Open(TestedGpu().budget), model);
  const double logit = BoundOf(GetParam(), kWidth) * kWidth * 4;
  for (size_t i = 0; i < Tokens(); ++i) {
    ASSERT_NEAR(gpu.divergence[i], cpu.divergence[i], 10 * logit) << i;
  }
}

TEST_P(GpuHead, NothingIsReadBeforeItIsWritten) {
  const auto device = OpenChecked(TestedGpu().budget);
  Compare(device);
}

INSTANTIATE_TEST_SUITE_P(Gpu, GpuHead, testing::ValuesIn(AllKinds()),
                         [](const auto& info) { return NameOf(info.param); });

class GpuHeadLimits : public GpuHead {};

// What is planned is what is taken: nothing more, or a budget that plan calls enough is not.
TEST_P(GpuHeadLimits, TakesWhatItPlansAndFewerTokensWhereThatIsTooMuch) {
  const auto whole = Open(TestedGpu().budget);
  const uint64_t most = PlanHead(*whole, kWidth, Vocabulary(), Tokens(), true).device_bytes;
  for (const uint64_t room : {most, most * 3 / 4}) {
    // cuBLAS' share of the budget is rounded.
    const auto device = OpenWithRoom(room + (4 << 10));
    const HeadPlan plan = PlanHead(*device, kWidth, Vocabulary(), Tokens(), true);
    EXPECT_EQ(plan.passes > 1, room < most);
    EXPECT_GE(plan.passes * plan.flight, Tokens());
    EXPECT_LT((plan.passes - 1) * plan.flight, Tokens());
    const uint64_t used = device->memory().used, before = device->memory().peak;
    Compare(device);
    EXPECT_LE(device->memory().peak, device->memory().limit);
    // Scores alone may have more tokens at a time, and opening it takes memory too.
    if (plan.passes == 1 && device->memory().peak > before) {
      EXPECT_LE(device->memory().peak - used, plan.device_bytes);
      EXPECT_GE(static_cast<double>(device->memory().peak - used),
                0.9 * static_cast<double>(plan.device_bytes));
    }
  }
}

// Down to 64 tokens at a time, or to all there are.
TEST_P(GpuHeadLimits, SmallestFlights) {
  const auto whole = Open(TestedGpu().budget);
  for (const size_t tokens : {size_t{1}, size_t{63}, size_t{64}, size_t{100}, size_t{126}}) {
    const auto none = Open(64 << 10);
    ExpectError([&] { PlanHead(*none, kWidth, Vocabulary(), tokens, false); }, "ERR_BUDGET",
                "the head");
    const size_t least = std::min<size_t>(tokens, 64);
    const uint64_t room = PlanHead(*whole, kWidth, Vocabulary(), least, false).device_bytes;
    const auto tight = OpenWithRoom(room + (4 << 10));
    EXPECT_LE(PlanHead(*tight, kWidth, Vocabulary(), tokens, false).flight, least);
  }
}

TEST_P(GpuHeadLimits, NoRoomIsRefusedAndLogitsThatAreNotFiniteAreSeen) {
  const auto device = Open(64 << 10);
  ExpectError([&] { Run(device, Model()); }, "ERR_BUDGET", "the head");
  HeadModel broken = Model();
  broken.states[5] = std::numeric_limits<float>::quiet_NaN();
  ExpectError([&] { Run(gpu_, broken); }, "ERR_NAN", "not finite");
}

INSTANTIATE_TEST_SUITE_P(Gpu, GpuHeadLimits, testing::ValuesIn(AllKinds()),
                         [](const auto& info) { return NameOf(info.param); });

}  // namespace
}  // namespace struprune::test

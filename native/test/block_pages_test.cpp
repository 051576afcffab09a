// A block whose weights do not fit into memory computes the bits of one whose do.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "float_tensors.h"
#include "memory_matrix.h"
#include "model/backward.h"
#include "model/forward.h"
#include "ops/gemm.h"
#include "reference_block.h"

namespace struprune {
namespace {

using test::MemoryMatrix;
using test::RandomFloats;

constexpr size_t kWindow = 8, kTokens = 16;
// Every matrix has several strips, the last of which is shorter.
constexpr StripSize kStrip{64, 3};

BlockSpec Spec(bool post_norm, bool gated) {
  BlockSpec spec;
  spec.hidden = 16, spec.head_dim = 4, spec.heads = 4, spec.kv_heads = 2, spec.ffn = 22;
  spec.rope = RopeSpec{};
  spec.post_norm = post_norm;
  spec.gated = gated;
  return spec;
}

struct Results {
  std::vector<float> forward, kept, gradient;
  std::vector<double> factors;
  std::vector<std::byte> encoded;
  uint64_t read_bytes = 0;
};

std::vector<float> AllOf(const PagedMatrix& matrix) {
  std::vector<float> values(matrix.rows() * matrix.cols());
  matrix.Read(0, matrix.rows(), values.data());
  return values;
}

std::vector<int32_t> EverySecond(size_t count) {
  std::vector<int32_t> indices(count / 2);
  for (size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<int32_t>(2 * i + 1);
  return indices;
}

// Gradient and forward of the whole block, then forward and encoding of one with half the channels.
// limit: bytes of weights in memory, 0 = all.
Results RunAll(const BlockSpec& spec, size_t limit, size_t threads) {
  InitialiseBlas();
  const auto context = std::make_shared<Context>(threads, 0);
  const auto store = std::make_shared<PageStore>(context, limit, testing::TempDir());
  const auto weights = test::RandomWeights(spec, {true, true, true, true, true}, 7);
  Block block = test::MakeBlock(context, spec, weights, store, kStrip);
  PagedMatrix hidden = MemoryMatrix(context, kTokens, spec.hidden),
              gradient = MemoryMatrix(context, kTokens, spec.hidden),
              kept = MemoryMatrix(context, kTokens, spec.ffn);
  const auto states = RandomFloats(kTokens * spec.hidden, 1);
  const auto start = RandomFloats(kTokens * spec.hidden, 2);
  hidden.Write(0, kTokens, states.data());
  gradient.Write(0, kTokens, start.data());
  Statistics factors(InMemory(context), spec.ffn, false, 0);
  BackwardRun backward{kWindow, &hidden, &gradient};
  backward.factors[static_cast<size_t>(Role::kDown)] = &factors;
  BackwardBlock(block, backward);

  SiteRun run{.window = kWindow, .hidden = &hidden};
  RunSite(block, SiteKind::kAttention, run);
  run.advance = false;
  run.keep = &kept;
  RunSite(block, SiteKind::kFfn, run);

  const auto half = EverySecond(spec.ffn);
  for (const Role role : {Role::kGate, Role::kGateBias, Role::kUp, Role::kUpBias}) {
    block.Slice(role, 0, half);
  }
  block.Slice(Role::kDown, 1, half);
  block.SetWidths(spec.heads, spec.kv_heads, half.size());
  ApplySite(block, SiteKind::kFfn, kept, half, hidden);
  run.keep = nullptr;
  run.advance = true;
  RunSite(block, SiteKind::kFfn, run);
  return {AllOf(hidden),
          AllOf(kept),
          AllOf(gradient),
          std::vector<double>(factors.sums(), factors.sums() + spec.ffn),
          block.Encode(Role::kQ, Dtype::F16, 3, 8, spec.heads),
          store->traffic().read_bytes};
}

TEST(BlockPages, SameBitsWhereWeightsLieInScratch) {
  for (const bool post_norm : {false, true}) {
    for (const bool gated : {false, true}) {
      for (const size_t threads : {1, 2}) {
        const BlockSpec spec = Spec(post_norm, gated);
        // Two strips of the widest matrix a thread, of about forty.
        const Results paged = RunAll(spec, threads * 2 * 4 * 22 * sizeof(float), threads);
        const Results whole = RunAll(spec, 0, 2);
        EXPECT_GT(paged.read_bytes, 0u);
        EXPECT_EQ(whole.read_bytes, 0u);
        EXPECT_EQ(paged.forward, whole.forward);
        EXPECT_EQ(paged.kept, whole.kept);
        EXPECT_EQ(paged.gradient, whole.gradient);
        EXPECT_EQ(paged.factors, whole.factors);
        EXPECT_EQ(paged.encoded, whole.encoded);
      }
    }
  }
}

// As many flights as windows; each reads the strips that are not left of the one before. A flight
// knows of the next, so that it does not drop what comes first there, as the oldest.
TEST(BlockPages, FlightsShareStripsThatStay) {
  InitialiseBlas();
  constexpr size_t kFlights = 40, kStrips = 18, kStripBytes = 66 * sizeof(float);
  const BlockSpec spec = Spec(false, true);
  const auto context = std::make_shared<Context>(1, 0);
  const auto store = std::make_shared<PageStore>(context, 14 * kStripBytes, testing::TempDir());
  const auto weights = test::RandomWeights(spec, {true, true, true, true, true}, 7);
  const Block block = test::MakeBlock(context, spec, weights, store, kStrip);
  PagedMatrix hidden(store, kFlights * kWindow, spec.hidden, kWindow);
  const auto states = RandomFloats(kFlights * kWindow * spec.hidden, 1);
  hidden.Write(0, kFlights * kWindow, states.data());
  const uint64_t before = store->traffic().read_bytes;
  RunSite(block, SiteKind::kFfn, {.window = kWindow, .hidden = &hidden});
  const uint64_t strips =
      store->traffic().read_bytes - before - kFlights * kWindow * spec.hidden * sizeof(float);
  EXPECT_LE(strips, kFlights * kStrips * kStripBytes / 2);
}

TEST(BlockPages, InputsAloneLeaveTheStatesAsTheyWere) {
  InitialiseBlas();
  const BlockSpec spec = Spec(false, true);
  const auto context = std::make_shared<Context>(2, 0);
  const auto weights = test::RandomWeights(spec, {true, true, true, true, true}, 7);
  const Block block = test::MakeBlock(context, spec, weights, nullptr, kStrip);
  const auto states = RandomFloats(kTokens * spec.hidden, 1);
  PagedMatrix hidden = MemoryMatrix(context, kTokens, spec.hidden),
              inputs = MemoryMatrix(context, kTokens, spec.hidden);
  hidden.Write(0, kTokens, states.data());
  for (const SiteKind site : {SiteKind::kAttention, SiteKind::kFfn}) {
    RunSite(block, site,
            {.window = kWindow, .hidden = &hidden, .advance = false, .inputs = &inputs});
    EXPECT_EQ(AllOf(hidden), states);
    EXPECT_NE(AllOf(inputs), states) << "they are normed";
  }
}

// What a file holds of a scaled block, and nothing of it is rounded twice.
TEST(BlockPages, ScalesColumnsAndRoundsToWhatIsStored) {
  const BlockSpec spec = Spec(false, true);
  const auto context = std::make_shared<Context>(2, 0);
  const auto store = std::make_shared<PageStore>(context, 0, "");
  const std::vector<float> down = RandomFloats(spec.hidden * spec.ffn, 3),
                           norm = RandomFloats(spec.hidden, 4);
  std::array<std::optional<TensorSource>, kRoles> sources;
  const auto source = [&](Role role) -> auto& { return sources[static_cast<size_t>(role)]; };
  source(Role::kDown) = test::FloatTensor("down", spec.hidden, spec.ffn, down);
  source(Role::kFfnNorm) = test::FloatTensor("norm", 1, spec.hidden, norm);
  Block block(context, store, spec, sources, {Dtype::BF16, Dtype::F16}, kStrip);
  const std::vector<float> columns = RandomFloats(spec.ffn, 5), entries = RandomFloats(16, 6);
  std::vector<float> loaded = norm;
  RoundTo(Dtype::F16, 1, loaded.size(), loaded.data());
  block.Scale(Role::kDown, columns);
  block.Scale(Role::kFfnNorm, entries);
  std::vector<float> wanted = down;
  for (size_t i = 0; i < wanted.size(); ++i) wanted[i] *= columns[i % spec.ffn];
  RoundTo(Dtype::BF16, spec.hidden, spec.ffn, wanted.data());
  EXPECT_EQ(AllOf(*block.matrix(Role::kDown)), wanted);
  for (size_t j = 0; j < spec.hidden; ++j) loaded[j] *= entries[j];
  RoundTo(Dtype::F16, 1, loaded.size(), loaded.data());
  const auto vector = block.vector(Role::kFfnNorm);
  EXPECT_EQ(std::vector(vector.begin(), vector.end()), loaded);
  EXPECT_THROW(block.Scale(Role::kDown, entries), Error);
  EXPECT_THROW(block.Scale(Role::kQ, entries), Error);
}

// Strips are a matter of rounding alone.
TEST(BlockPages, StripsGiveTheNumbersOfWholeMatrices) {
  const BlockSpec spec = Spec(false, true);
  const auto context = std::make_shared<Context>(2, 0);
  InitialiseBlas();
  const auto weights = test::RandomWeights(spec, {true, true, true, true, true}, 7);
  const auto states = RandomFloats(kTokens * spec.hidden, 1);
  const auto forward = [&](StripSize strip) {
    const Block block = test::MakeBlock(context, spec, weights, nullptr, strip);
    PagedMatrix hidden = MemoryMatrix(context, kTokens, spec.hidden);
    hidden.Write(0, kTokens, states.data());
    for (const SiteKind site : {SiteKind::kAttention, SiteKind::kFfn}) {
      RunSite(block, site, {.window = kWindow, .hidden = &hidden});
    }
    return AllOf(hidden);
  };
  const auto strips = forward(kStrip), whole = forward({});
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_NEAR(strips[i], whole[i], 1e-5 * std::max(1.0f, std::abs(whole[i]))) << i;
  }
}

}  // namespace
}  // namespace struprune

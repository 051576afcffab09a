// A block whose weights do not fit into memory computes the bits of one whose do.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

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

test::DecoderSpec Spec(bool post_norm, bool gated) {
  test::DecoderSpec spec;
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
Results RunAll(const test::DecoderSpec& spec, size_t limit, size_t threads) {
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
  BackwardRun backward{kWindow, &hidden, &gradient, {{}, {}}};
  backward.sums[test::kFfn].factors[static_cast<size_t>(Part::kOut)] = &factors;
  BackwardBlock(block, backward);

  SiteRun run{.window = kWindow, .hidden = &hidden};
  RunSite(block.sublayer(test::kAttention), run);
  run.advance = false;
  run.keep = &kept;
  RunSite(block.sublayer(test::kFfn), run);

  const auto half = EverySecond(spec.ffn);
  for (const TensorId role : {test::kGate, test::kGateBias, test::kUp, test::kUpBias}) {
    block.Slice(role, 0, half);
  }
  block.Slice(test::kDown, 1, half);
  block.Resize(test::kFfn, half.size());
  ApplySite(block.sublayer(test::kFfn), kept, half, hidden);
  run.keep = nullptr;
  run.advance = true;
  RunSite(block.sublayer(test::kFfn), run);
  return {AllOf(hidden),
          AllOf(kept),
          AllOf(gradient),
          std::vector<double>(factors.sums(), factors.sums() + spec.ffn),
          block.Encode(test::kQ, Dtype::F16, 3, 8, spec.heads),
          store->traffic().read_bytes};
}

TEST(BlockPages, SameBitsWhereWeightsLieInScratch) {
  for (const bool post_norm : {false, true}) {
    for (const bool gated : {false, true}) {
      for (const size_t threads : {1, 2}) {
        const test::DecoderSpec spec = Spec(post_norm, gated);
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

// Of seventeen pages, forward and back: Gram matrices, products with a residual and factors.
std::vector<double> SumsOfPages(size_t threads, size_t limit) {
  InitialiseBlas();
  constexpr size_t kPage = 2048, kRows = 16 * kPage + 2 * kWindow;
  const test::DecoderSpec spec = Spec(false, true);
  const auto context = std::make_shared<Context>(threads, 0);
  const auto store = std::make_shared<PageStore>(context, limit, testing::TempDir());
  const auto weights = test::RandomWeights(spec, {true, true, true, true, true}, 7);
  const Block block = test::MakeBlock(context, spec, weights, store);
  const auto states = [&](unsigned seed) {
    auto matrix = std::make_unique<PagedMatrix>(store, kRows, spec.hidden, kPage);
    const auto values = RandomFloats(kRows * spec.hidden, seed);
    matrix->Write(0, kRows, values.data());
    return matrix;
  };
  const auto hidden = states(1), dense = states(2), gradient = states(3);
  const TileSpace space{context, store};
  Statistics site(space, spec.ffn, true, spec.hidden), output(space, spec.hidden, true, 0),
      input(space, spec.ffn, true, 0), factors(space, spec.ffn, false, 0);
  BackwardRun backward{kWindow, hidden.get(), gradient.get(), {{}, {}}};
  backward.sums[test::kFfn] = {.output = &output, .input = &input};
  backward.sums[test::kFfn].factors[static_cast<size_t>(Part::kOut)] = &factors;
  BackwardBlock(block, backward);
  SiteRun run{.window = kWindow, .hidden = hidden.get(), .statistics = &site};
  run.dense_before = run.dense_after = dense.get(), run.alpha = run.beta = 0.5f;
  RunSite(block.sublayer(test::kFfn), run);
  std::vector<double> all;
  for (const auto& matrix : {site.gram(), site.cross(), output.gram(), input.gram()}) {
    const auto tile = matrix->Read(0, 0);
    all.insert(all.end(), tile.data, tile.data + tile.rows * tile.stride);
  }
  all.insert(all.end(), factors.sums(), factors.sums() + spec.ffn);
  all.push_back(site.residual_energy());
  return all;
}

TEST(BlockPages, SameSumsOnAnyThreadsAndInAnyMemory) {
  const std::vector<double> wanted = SumsOfPages(1, 0);
  constexpr size_t kSome = 1 << 19;
  for (const auto& [threads, limit] :
       {std::pair{1, kSome}, {2, size_t{0}}, {3, kSome}, {5, size_t{0}}}) {
    EXPECT_EQ(SumsOfPages(threads, limit), wanted) << threads << " threads, " << limit;
  }
}

// As many flights as windows; each reads the strips that are not left of the one before. A flight
// knows of the next, so that it does not drop what comes first there, as the oldest.
TEST(BlockPages, FlightsShareStripsThatStay) {
  InitialiseBlas();
  constexpr size_t kFlights = 40, kStrips = 18, kStripBytes = 66 * sizeof(float);
  const test::DecoderSpec spec = Spec(false, true);
  const auto context = std::make_shared<Context>(1, 0);
  const auto store = std::make_shared<PageStore>(context, 14 * kStripBytes, testing::TempDir());
  const auto weights = test::RandomWeights(spec, {true, true, true, true, true}, 7);
  const Block block = test::MakeBlock(context, spec, weights, store, kStrip);
  PagedMatrix hidden(store, kFlights * kWindow, spec.hidden, kWindow);
  const auto states = RandomFloats(kFlights * kWindow * spec.hidden, 1);
  hidden.Write(0, kFlights * kWindow, states.data());
  const uint64_t before = store->traffic().read_bytes;
  RunSite(block.sublayer(test::kFfn), {.window = kWindow, .hidden = &hidden});
  const uint64_t strips =
      store->traffic().read_bytes - before - kFlights * kWindow * spec.hidden * sizeof(float);
  EXPECT_LE(strips, kFlights * kStrips * kStripBytes / 2);
}

TEST(BlockPages, InputsAloneLeaveTheStatesAsTheyWere) {
  InitialiseBlas();
  const test::DecoderSpec spec = Spec(false, true);
  const auto context = std::make_shared<Context>(2, 0);
  const auto weights = test::RandomWeights(spec, {true, true, true, true, true}, 7);
  const Block block = test::MakeBlock(context, spec, weights, nullptr, kStrip);
  const auto states = RandomFloats(kTokens * spec.hidden, 1);
  PagedMatrix hidden = MemoryMatrix(context, kTokens, spec.hidden),
              inputs = MemoryMatrix(context, kTokens, spec.hidden);
  hidden.Write(0, kTokens, states.data());
  for (const size_t site : {test::kAttention, test::kFfn}) {
    RunSite(block.sublayer(site),
            {.window = kWindow, .hidden = &hidden, .advance = false, .inputs = &inputs});
    EXPECT_EQ(AllOf(hidden), states);
    EXPECT_NE(AllOf(inputs), states) << "they are normed";
  }
}

// What a file holds of a scaled block, and nothing of it is rounded twice.
TEST(BlockPages, ScalesColumnsAndRoundsToWhatIsStored) {
  // An FFN alone.
  const size_t hidden = 16, ffn = 22;
  const BlockSpec spec{hidden,
                       {{"ffn", FeedForwardSpec{ffn, Activation::kSilu, false}, NormSpec{}, {}}}};
  constexpr TensorId kOut{0, Part::kOut}, kNorm{0, Part::kNorm}, kUp{0, Part::kUp};
  const auto context = std::make_shared<Context>(2, 0);
  const auto store = std::make_shared<PageStore>(context, 0, "");
  const std::vector<float> down = RandomFloats(hidden * ffn, 3), norm = RandomFloats(hidden, 4),
                           up = RandomFloats(ffn * hidden, 7);
  BlockSources sources(1);
  const auto source = [&](TensorId id) -> auto& {
    return sources[0][static_cast<size_t>(id.part)];
  };
  source(kOut) = test::FloatTensor("down", hidden, ffn, down);
  source(kNorm) = test::FloatTensor("norm", 1, hidden, norm);
  source(kUp) = test::FloatTensor("up", ffn, hidden, up);
  Block block(context, store, spec, sources, {Dtype::BF16, Dtype::F16}, kStrip);
  const std::vector<float> columns = RandomFloats(ffn, 5), entries = RandomFloats(16, 6);
  std::vector<float> loaded = norm;
  RoundTo(Dtype::F16, 1, loaded.size(), loaded.data());
  block.Scale(kOut, columns);
  block.Scale(kNorm, entries);
  std::vector<float> wanted = down;
  for (size_t i = 0; i < wanted.size(); ++i) wanted[i] *= columns[i % ffn];
  RoundTo(Dtype::BF16, hidden, ffn, wanted.data());
  EXPECT_EQ(AllOf(*block.matrix(kOut)), wanted);
  for (size_t j = 0; j < hidden; ++j) loaded[j] *= entries[j];
  RoundTo(Dtype::F16, 1, loaded.size(), loaded.data());
  const auto vector = block.vector(kNorm);
  EXPECT_EQ(std::vector(vector.begin(), vector.end()), loaded);
  EXPECT_THROW(block.Scale(kOut, entries), Error);
  EXPECT_THROW(block.Scale({0, Part::kOutBias}, entries), Error);
}

// Strips are a matter of rounding alone.
TEST(BlockPages, StripsGiveTheNumbersOfWholeMatrices) {
  const test::DecoderSpec spec = Spec(false, true);
  const auto context = std::make_shared<Context>(2, 0);
  InitialiseBlas();
  const auto weights = test::RandomWeights(spec, {true, true, true, true, true}, 7);
  const auto states = RandomFloats(kTokens * spec.hidden, 1);
  const auto forward = [&](StripSize strip) {
    const Block block = test::MakeBlock(context, spec, weights, nullptr, strip);
    PagedMatrix hidden = MemoryMatrix(context, kTokens, spec.hidden);
    hidden.Write(0, kTokens, states.data());
    for (const size_t site : {test::kAttention, test::kFfn}) {
      RunSite(block.sublayer(site), {.window = kWindow, .hidden = &hidden});
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

// What every pass says that it needs is what the budget then counts.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/copy_rows.h"
#include "expect_error.h"
#include "float_tensors.h"
#include "model/backward.h"
#include "model/forward.h"
#include "model/head_gradient.h"
#include "ops/gemm.h"
#include "passes/divergence.h"
#include "passes/score.h"
#include "reference_block.h"
#include "solver/admm.h"
#include "solver/auxiliary.h"
#include "solver/gauss_newton.h"
#include "solver/refit.h"
#include "solver/swap.h"
#include "solver/sweep.h"
#include "solver_support.h"
#include "tiles/strips.h"

namespace struprune {
namespace {

using test::RandomFloats;
using SharedContext = std::shared_ptr<Context>;
using SharedStore = std::shared_ptr<PageStore>;

constexpr size_t kWindow = 32;

// Everything that a call works on is made, and the call runs, in this context and this store.
using Work = std::function<void(const SharedContext& context, const SharedStore& store)>;
// Of all that.
using Asked = std::function<Needs(const Context& context, bool paged)>;

void Run(const Work& work, size_t threads, size_t limit, const std::string& folder, size_t* peak) {
  InitialiseBlas();
  const auto context = std::make_shared<Context>(threads, limit);
  {
    const auto store = std::make_shared<PageStore>(context, 0, folder);
    work(context, store);
  }
  EXPECT_EQ(context->budget->used(), 0u);
  if (peak) *peak = context->budget->peak();
}

// In memory the peak is what is asked for, or a `tight` share of it at least. Where pages may go to
// scratch that much is enough; where `least` is not 0, that share of it is not.
struct Bounds {
  double least = 0, tight = 1;
};
void ExpectPeak(const std::string& what, const Asked& asked, const Work& work, Bounds bounds = {}) {
  for (const size_t threads : {1, 3}) {
    SCOPED_TRACE(what + ", " + std::to_string(threads) + " threads");
    const Context context(threads, 0);
    const size_t whole = asked(context, false).memory;
    size_t peak = 0;
    Run(work, threads, 0, "", &peak);
    EXPECT_LE(peak, whole);
    EXPECT_GE(static_cast<double>(peak), bounds.tight * static_cast<double>(whole));

    const Needs paged = asked(context, true);
    EXPECT_LE(paged.memory, whole);
    EXPECT_NO_THROW(Run(work, threads, paged.memory, testing::TempDir(), nullptr));
    if (bounds.least == 0) continue;
    const auto too_little = static_cast<size_t>(bounds.least * static_cast<double>(paged.memory));
    test::ExpectError([&] { Run(work, threads, too_little, testing::TempDir(), nullptr); },
                      "ERR_BUDGET", "");
  }
}

// Three pages.
TokenPages Tokens(bool paged) {
  return {.rows = 10 * kWindow, .page_rows = 4 * kWindow, .paged = paged, .tiles_paged = paged};
}

// The matrix itself where it is in memory.
Needs Kept(size_t cols, bool paged) {
  return paged ? Needs{} : MatrixNeeds(Tokens(paged).rows, cols);
}

std::shared_ptr<PagedMatrix> Filled(const SharedStore& store, size_t cols, unsigned seed) {
  const TokenPages tokens = Tokens(false);
  auto matrix = std::make_shared<PagedMatrix>(store, tokens.rows, cols, tokens.page_rows);
  const auto values = RandomFloats(tokens.rows * cols, seed);
  matrix->Write(0, tokens.rows, values.data());
  return matrix;
}

struct Family {
  const char* name;
  std::function<void(test::DecoderSpec&)> change;
};

std::vector<Family> Families() {
  return {{"gated", [](test::DecoderSpec&) {}},
          {"normed heads, one KV head",
           [](test::DecoderSpec& s) {
             s.qk_norm = true;
             s.kv_heads = 1;
           }},
          {"norms of outputs", [](test::DecoderSpec& s) { s.out_norm = s.qk_norm = true; }},
          {"plain, norm behind", [](test::DecoderSpec& s) {
             s.gated = false, s.post_norm = true, s.norm = NormKind::kLayer;
             s.activation = Activation::kRelu;
             s.rope.reset();
           }}};
}

test::DecoderSpec SpecOf(const Family& family) {
  test::DecoderSpec spec;
  spec.hidden = 24, spec.head_dim = 6, spec.heads = 4, spec.kv_heads = 2, spec.ffn = 52;
  spec.rope = RopeSpec{};
  family.change(spec);
  return spec;
}

constexpr test::BiasSet kBiases{true, true, true, true, true};

Block MakeBlock(const SharedContext& context, const SharedStore& store,
                const test::DecoderSpec& spec) {
  return test::MakeBlock(context, spec, test::RandomWeights(spec, kBiases, 3), store);
}

std::vector<TensorId> TensorsOf(const test::DecoderSpec& spec) {
  const auto weights = test::RandomWeights(spec, kBiases, 3);
  std::vector<TensorId> tensors;
  for (size_t i = 0; i < weights.values.size(); ++i) {
    for (size_t p = 0; p < kParts; ++p) {
      const TensorId id{i, static_cast<Part>(p)};
      if (!weights[id].empty()) tensors.push_back(id);
    }
  }
  return tensors;
}

TEST(NeedsTest, TogetherTheyAddUpAndInTurnTheMostCounts) {
  const Needs a{.memory = 5, .scratch = 1, .device = 7, .passes = 1, .float_flops = 10};
  const Needs b{.memory = 3, .scratch = 2, .device = 9, .passes = 4, .double_flops = 6};
  const Needs both = a + b, most = a.Then(b);
  EXPECT_EQ(both.memory, 8u);
  EXPECT_EQ(both.scratch, 3u);
  EXPECT_EQ(most.memory, 5u);
  EXPECT_EQ(most.scratch, 2u);
  for (const Needs& needs : {both, most}) {
    EXPECT_EQ(needs.device, 9u);
    EXPECT_EQ(needs.passes, 4u);
    EXPECT_EQ(needs.float_flops, 10);
    EXPECT_EQ(needs.double_flops, 6);
  }
  EXPECT_EQ(b.Times(3).double_flops, 18);
  const Needs search = Searching(a).Then(a).Times(2);
  EXPECT_EQ(search.float_flops, 20);
  EXPECT_EQ(search.search_flops, 20);
}

TEST(NeedsTest, OfABlock) {
  for (const Family& family : Families()) {
    const test::DecoderSpec spec = SpecOf(family);
    ExpectPeak(
        family.name,
        [&](const Context&, bool paged) {
          return BlockNeeds(spec.Block(), TensorsOf(spec), paged);
        },
        [&](const SharedContext& context, const SharedStore& store) {
          MakeBlock(context, store, spec);
        });
  }
}

struct Sinks {
  const char* name;
  bool sums, gram, dense, keep, refit;
};

TEST(NeedsTest, OfASite) {
  const Sinks kinds[] = {{"on alone", false, false, false, false, false},
                         {"moments", true, false, false, false, false},
                         {"Gram", true, true, false, false, false},
                         {"kept", true, true, false, true, false},
                         {"feedback", true, true, true, true, false},
                         {"for a refit of gate and up", true, true, true, false, true}};
  for (const Family& family : Families()) {
    const test::DecoderSpec spec = SpecOf(family);
    const size_t d = spec.hidden;
    for (const size_t site : {test::kAttention, test::kFfn}) {
      const size_t width = spec.width(site);
      for (const Sinks& sinks : kinds) {
        if (sinks.refit && site == test::kAttention) continue;
        const Statistics::Sizes sums{width, sinks.gram, sinks.dense ? d : 0};
        ExpectPeak(
            std::string(family.name) + ", " + sinks.name,
            [&](const Context& context, bool paged) {
              const TokenPages tokens = Tokens(paged);
              SiteDemand demand;
              demand.window = kWindow, demand.page = tokens.flight(), demand.advance = true;
              demand.moments = sinks.sums, demand.gram = sinks.gram, demand.keep = sinks.keep;
              demand.residual = sinks.dense;
              demand.inputs = demand.targets = sinks.refit;
              Needs needs =
                  BlockNeeds(spec.Block(), TensorsOf(spec), paged) +
                  Kept((sinks.dense ? 3 : 1) * d, paged) +
                  RunSiteNeeds(context, spec.Block().sublayers[site], d, demand, tokens, true);
              if (sinks.sums) needs += Statistics::NeedsOf(context, sums, paged);
              // What is kept of the tokens lies in scratch, but for a page; here all of it is
              // there.
              const size_t rest = tokens.rows - tokens.flight();
              const size_t kept = (sinks.keep ? width : 0) + (sinks.refit ? 2 * d + 1 : 0);
              return paged ? needs : needs + HeldFloats(rest * kept);
            },
            [&](const SharedContext& context, const SharedStore& store) {
              const Block block = MakeBlock(context, store, spec);
              const TokenPages tokens = Tokens(false);
              const auto make = [&](size_t cols) {
                return PagedMatrix(store, tokens.rows, cols, tokens.page_rows);
              };
              std::optional<Statistics> statistics;
              if (sinks.sums) {
                statistics.emplace(TileSpace{context, store}, sums.dim, sums.gram, sums.residual);
              }
              const auto hidden = Filled(store, d, 1);
              std::shared_ptr<PagedMatrix> before, after;
              if (sinks.dense) before = Filled(store, d, 2), after = Filled(store, d, 3);
              PagedMatrix keep = make(width), inputs = make(d + 1), targets = make(d);
              SiteRun run{.window = kWindow, .hidden = hidden.get()};
              if (sinks.sums) run.statistics = &*statistics;
              if (sinks.keep) run.keep = &keep;
              if (sinks.refit) run.inputs = &inputs, run.targets = &targets;
              run.dense_before = before.get(), run.dense_after = after.get();
              if (sinks.dense) run.alpha = run.beta = 0.5f;
              RunSite(block.sublayer(site), run);
            });
      }
    }
  }
}

TEST(NeedsTest, OfAppliedSites) {
  const test::DecoderSpec spec = SpecOf(Families()[0]);
  for (const size_t site : {test::kAttention, test::kFfn}) {
    const size_t width = spec.width(site);
    ExpectPeak(
        "applied",
        [&](const Context& context, bool paged) {
          const TokenPages tokens = Tokens(paged);
          return BlockNeeds(spec.Block(), TensorsOf(spec), paged) + Kept(spec.hidden, paged) +
                 ApplySiteNeeds(context, spec.Block().sublayers[site], spec.hidden, tokens) +
                 HeldFloats(paged ? 0 : (tokens.rows - tokens.flight()) * width);
        },
        [&](const SharedContext& context, const SharedStore& store) {
          const Block block = MakeBlock(context, store, spec);
          const auto hidden = Filled(store, spec.hidden, 1), x = Filled(store, width, 2);
          std::vector<int32_t> all;
          for (size_t j = 0; j < width; ++j) all.push_back(static_cast<int32_t>(j));
          ApplySite(block.sublayer(site), *x, all, *hidden);
        });
  }
}

// Of a way back through a loaded block with those sums.
Asked WayBack(const test::DecoderSpec& spec, std::vector<Statistics::Sizes> sums,
              Factored factored = Factored::kNone, size_t rank = 0) {
  return [=](const Context& context, bool paged) {
    const BlockSpec block = spec.Block();
    Needs needs = BlockNeeds(block, TensorsOf(spec), paged) + Kept(2 * spec.hidden, paged) +
                  BackwardNeeds(context, block, kWindow, Tokens(paged), sums, factored, rank);
    for (const auto& sizes : sums) needs += Statistics::NeedsOf(context, sizes, paged);
    return needs;
  };
}

TEST(NeedsTest, OfTheWayBackThroughABlock) {
  for (const Family& family : Families()) {
    const test::DecoderSpec spec = SpecOf(family);
    const size_t d = spec.hidden, ffn = spec.ffn, attention = spec.heads * spec.head_dim;
    ExpectPeak(family.name, WayBack(spec, {{d, true}, {d, true}, {ffn, true}, {attention, true}}),
               [&](const SharedContext& context, const SharedStore& store) {
                 const Block block = MakeBlock(context, store, spec);
                 const auto inputs = Filled(store, d, 1), gradient = Filled(store, d, 2);
                 const TileSpace space{context, store};
                 Statistics at_ffn(space, d, true, 0), at_attention(space, d, true, 0),
                     into_ffn(space, ffn, true, 0), into_attention(space, attention, true, 0);
                 BackwardBlock(block, {kWindow,
                                       inputs.get(),
                                       gradient.get(),
                                       {{.output = &at_attention, .input = &into_attention},
                                        {.output = &at_ffn, .input = &into_ffn}}});
               });
  }
}

// Of a tuned weight's factors; 0 where the tensor is none.
size_t FactorWidth(const test::DecoderSpec& spec, TensorId id) {
  switch (id.part) {
    case Part::kNorm:
    case Part::kStreamNorm:
    case Part::kOutNorm:
    case Part::kOutBias:
      return spec.hidden;
    case Part::kQNorm:
    case Part::kKNorm:
      return spec.head_dim;
    case Part::kOut:
      return spec.width(id.sublayer);
    default:
      return 0;
  }
}

void ExpectFactorsPeak(const Family& family, Factored factored) {
  const test::DecoderSpec spec = SpecOf(family);
  const size_t d = spec.hidden;
  std::vector<std::pair<TensorId, size_t>> tuned;
  for (const TensorId id : TensorsOf(spec)) {
    const size_t width = FactorWidth(spec, id);
    if (width > 0 && (factored == Factored::kAll || id.part == Part::kOut)) {
      tuned.push_back({id, width});
    }
  }
  std::vector<Statistics::Sizes> sums;
  for (const auto& [id, width] : tuned) sums.push_back({width});
  ExpectPeak(
      family.name, WayBack(spec, sums, factored),
      [&](const SharedContext& context, const SharedStore& store) {
        const Block block = MakeBlock(context, store, spec);
        const auto inputs = Filled(store, d, 1), gradient = Filled(store, d, 2);
        std::vector<std::unique_ptr<Statistics>> made;
        BackwardRun run{kWindow, inputs.get(), gradient.get(), {{}, {}}};
        for (const auto& [id, width] : tuned) {
          made.push_back(std::make_unique<Statistics>(TileSpace{context, store}, width, false, 0));
          run.sums[id.sublayer].factors[static_cast<size_t>(id.part)] = made.back().get();
        }
        BackwardBlock(block, run);
      });
}

TEST(NeedsTest, OfFactorsOnTheWayBackThroughABlock) {
  for (const Family& family : Families()) {
    ExpectFactorsPeak(family, Factored::kAll);
    ExpectFactorsPeak(family, Factored::kOutputs);
  }
}

TEST(NeedsTest, OfChangesOnTheWayBackThroughABlock) {
  constexpr size_t kRank = 3;
  const auto is_map = [](TensorId id) { return !IsVector(id.part) && !Routes(id.part); };
  for (const Family& family : Families()) {
    const test::DecoderSpec spec = SpecOf(family);
    const size_t d = spec.hidden;
    std::vector<std::pair<TensorId, PartShape>> tuned;
    std::vector<Statistics::Sizes> sums;
    for (const TensorId id : TensorsOf(spec)) {
      if (!is_map(id)) continue;
      const PartShape shape = ShapeOf(spec.Block(), id);
      tuned.push_back({id, shape});
      sums.push_back({kRank, false, shape.rows});
      sums.push_back({shape.cols, false, kRank});
    }
    ExpectPeak(family.name, WayBack(spec, sums, Factored::kNone, kRank),
               [&](const SharedContext& context, const SharedStore& store) {
                 const Block block = MakeBlock(context, store, spec);
                 const auto inputs = Filled(store, d, 1), gradient = Filled(store, d, 2);
                 const TileSpace space{context, store};
                 std::vector<std::unique_ptr<Statistics>> made;
                 std::vector<std::unique_ptr<LowRank>> changes;
                 BackwardRun run{kWindow, inputs.get(), gradient.get(), {{}, {}}};
                 const auto sum = [&](size_t dim, size_t residual) {
                   made.push_back(std::make_unique<Statistics>(space, dim, false, residual));
                   return made.back().get();
                 };
                 const auto zeros = [&](size_t count) {
                   auto buffer = context->Allocate<float>(count);
                   std::fill_n(buffer.data(), count, 0.0f);
                   return buffer;
                 };
                 for (const auto& [id, shape] : tuned) {
                   changes.push_back(std::make_unique<LowRank>(
                       LowRank{kRank, zeros(shape.rows * kRank), zeros(kRank * shape.cols),
                               sum(kRank, shape.rows), sum(shape.cols, kRank)}));
                   run.sums[id.sublayer].changes[static_cast<size_t>(id.part)] =
                       changes.back().get();
                 }
                 BackwardBlock(block, run);
               });
  }
}

// A model's ends, with or without everything that there may be.
struct Ends {
  static constexpr size_t kHidden = 20, kWidth = 12, kVocab = 300;
  EndsSpec spec;

  explicit Ends(bool all, float cap = 0) {
    spec.logit_cap = cap;
    spec.hidden = kHidden, spec.vocab = kVocab;
    spec.embedding_width = all ? kWidth : kHidden;
    spec.norm = all ? NormKind::kLayer : NormKind::kRms;
    const auto tensor = [&](size_t rows, size_t cols, unsigned seed) {
      return test::FloatTensor("tensor", rows, cols, RandomFloats(rows * cols, seed));
    };
    spec.embedding = tensor(kVocab, spec.embedding_width, 1);
    spec.final_norm = tensor(1, kHidden, 2);
    if (!all) return;
    spec.final_norm_bias = tensor(1, kHidden, 3);
    spec.positions = tensor(kWindow + 2, kHidden, 4);
    spec.position_offset = 2;
    spec.project_in = tensor(kHidden, kWidth, 5);
    spec.project_out = tensor(kWidth, kHidden, 6);
  }

  static std::vector<int32_t> Ids() {
    std::vector<int32_t> ids(Tokens(false).rows);
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i * 7 % kVocab);
    return ids;
  }
};

TEST(NeedsTest, OfTheEnds) {
  const std::pair<std::string, Ends> kinds[] = {
      {"few tensors", Ends(false)}, {"all tensors", Ends(true)}, {"capped logits", Ends(false, 3)}};
  for (const auto& [name, ends] : kinds) {
    const EndsShape shape = ShapeOf(ends.spec);
    const auto expect = [&, &name = name](const std::string& call, size_t matrices, auto needs,
                                          auto run) {
      ExpectPeak(name + ", " + call,
                 [&](const Context& context, bool paged) {
                   return Kept(matrices, paged) + needs(context, Tokens(paged));
                 },
                 run, {.least = 0.8});
    };
    const size_t d = Ends::kHidden, width = shape.embedding_width;
    expect(
        "embed", d,
        [&](const Context& context, const TokenPages& tokens) {
          return EmbedNeeds(context, shape, kWindow, tokens);
        },
        [&](const SharedContext& context, const SharedStore& store) {
          const TokenPages tokens = Tokens(false);
          PagedMatrix hidden(store, tokens.rows, d, tokens.page_rows);
          Embed(*context, ends.spec, Ends::Ids(), kWindow, hidden);
        });
    expect(
        "score", d,
        [&](const Context& context, const TokenPages& tokens) {
          return ScoreNeeds(context, shape, tokens);
        },
        [&](const SharedContext& context, const SharedStore& store) {
          ScoreTokens(*context, ends.spec, *Filled(store, d, 1), Ends::Ids());
        });
    expect(
        "expected head", d + width,
        [&](const Context& context, const TokenPages& tokens) {
          return ExpectHeadNeeds(context, shape, tokens);
        },
        [&](const SharedContext& context, const SharedStore& store) {
          const auto hidden = Filled(store, d, 1), mean = Filled(store, width, 2);
          ExpectHead(*context, ends.spec, *hidden, *mean);
        });
    expect(
        "divergence", d + width,
        [&](const Context& context, const TokenPages& tokens) {
          return DivergenceNeeds(context, shape, tokens);
        },
        [&](const SharedContext& context, const SharedStore& store) {
          const auto hidden = Filled(store, d, 1), mean = Filled(store, width, 2);
          const std::vector<double> entropy(Tokens(false).rows, -1.0);
          DivergenceFrom(*context, ends.spec, *mean, entropy, *hidden);
        });
    expect(
        "gradient of the head", 2 * d,
        [&](const Context& context, const TokenPages& tokens) {
          return HeadGradientNeeds(context, shape, tokens);
        },
        [&](const SharedContext& context, const SharedStore& store) {
          const auto hidden = Filled(store, d, 1), gradient = Filled(store, d, 2);
          const auto targets = Ends::Ids();
          HeadGradient(*context, ends.spec, {hidden.get(), gradient.get(), targets});
        });
    expect(
        "gradient of the divergence", 2 * d + width,
        [&](const Context& context, const TokenPages& tokens) {
          return DivergenceGradientNeeds(context, shape, tokens) +
                 Statistics::NeedsOf(context, {d, false}, tokens.paged);
        },
        [&](const SharedContext& context, const SharedStore& store) {
          const auto hidden = Filled(store, d, 1), gradient = Filled(store, d, 2);
          const auto mean = Filled(store, width, 3);
          const std::vector<double> entropy(Tokens(false).rows, -1.0);
          Statistics final_norm({context, store}, d, false, 0);
          DivergenceGradient(*context, ends.spec,
                             {hidden.get(), gradient.get(), mean.get(), entropy, &final_norm});
        });
  }
}

TEST(NeedsTest, OfACopy) {
  ExpectPeak(
      "copy",
      [](const Context&, bool paged) {
        return Kept(2 * 24, paged) + CopyRowsNeeds(Tokens(paged), 24);
      },
      [](const SharedContext& context, const SharedStore& store) {
        const auto from = Filled(store, 24, 1), to = Filled(store, 24, 2);
        CopyRows(*context, *from, 0, *to, 0, from->rows());
      });
}

struct SolverCase {
  const char* name;
  size_t in, out, group;
  bool cross, fisher;
};

// Sides of several tiles, and of one.
constexpr SolverCase kSolvers[] = {{"columns", 300, 40, 1, false, false},
                                   {"columns, feedback", 300, 280, 1, true, false},
                                   {"columns, Fisher", 60, 270, 1, false, true},
                                   {"groups", 280, 48, 8, false, false},
                                   {"groups, feedback, Fisher", 64, 48, 8, true, true}};

/** Made once: under sanitizers it takes longer than a step. */
const test::SiteData& DataOf(const SolverCase& c) {
  static std::map<const SolverCase*, test::SiteData> made;
  const auto there = made.find(&c);
  if (there != made.end()) return there->second;
  test::SiteShape random;
  random.tokens = 400, random.in = c.in, random.out = c.out;
  random.residual = c.cross, random.fisher = c.fisher;
  return made.emplace(&c, test::RandomSite(random)).first->second;
}

using Step = std::function<void(const std::shared_ptr<SiteProblem>& problem,
                                const std::vector<uint8_t>& keep)>;
using StepAsked =
    std::function<Needs(const Context& context, const ProblemShape& shape, size_t kept)>;

void ExpectStep(const char* what, const StepAsked& asked, const Step& step, double tight = 1) {
  for (const SolverCase& c : kSolvers) {
    const test::SiteData& data = DataOf(c);
    const size_t groups = c.in / c.group, gone = groups / 4;
    ExpectPeak(
        std::string(what) + ", " + c.name,
        [&](const Context& context, bool paged) {
          const ProblemShape shape{c.in, c.out, c.group, c.cross, c.fisher, paged};
          // The sums that the problem is made of.
          const size_t sums = HalfBytes(c.in) + (c.cross ? TileBytes(c.out, c.in) : 0);
          return TileNeeds(context, sums, paged) + asked(context, shape, c.in - gone * c.group);
        },
        [&](const SharedContext& context, const SharedStore& store) {
          const auto problem =
              std::make_shared<SiteProblem>(data.Input({context, store}, 0.05, c.group));
          std::vector<uint8_t> keep(groups, 1);
          for (size_t g = 0; g < gone; ++g) keep[3 * g] = 0;
          step(problem, keep);
        },
        {.tight = tight});
  }
}

TEST(NeedsTest, OfASolver) {
  ExpectStep(
      "made",
      [](const Context& context, const ProblemShape& shape, size_t) {
        return MakeProblemNeeds(context, shape);
      },
      [](const auto&, const auto&) {});
}

Metric MetricOf(const SiteProblem& problem) {
  return problem.has_fisher() ? Metric::kFisher : Metric::kPlain;
}

TEST(NeedsTest, OfASweep) {
  ExpectStep(
      "sweep",
      [](const Context& context, const ProblemShape& shape, size_t kept) {
        return SweepNeeds(context, shape, shape.in - kept).Then(MakeProblemNeeds(context, shape));
      },
      [](const std::shared_ptr<SiteProblem>& problem, const std::vector<uint8_t>& keep) {
        SweepOptions options;
        options.selection = options.curve = MetricOf(*problem);
        options.max_removed = static_cast<size_t>(std::ranges::count(keep, 0));
        Sweep(*problem, options);
      },
      // A sweep that starts again from a smaller set would have a shift without feedback too.
      0.95);
}

TEST(NeedsTest, OfARefit) {
  for (const Dtype stored : {Dtype::F32, Dtype::Q4_0}) {
    ExpectStep(
        "refit",
        [&](const Context& context, const ProblemShape& shape, size_t kept) {
          return RefitNeeds(context, shape, stored == Dtype::F32 ? kept : kept / 32 * 32, stored)
              .Then(MakeProblemNeeds(context, shape));
        },
        [&](const std::shared_ptr<SiteProblem>& problem, std::vector<uint8_t> keep) {
          if (stored != Dtype::F32) {
            // Whole blocks.
            const size_t group = problem->input().group;
            auto left = static_cast<size_t>(std::ranges::count(keep, 1)) * group;
            for (size_t g = keep.size(); g-- > 0 && left % 32 != 0;) {
              if (keep[g]) keep[g] = 0, left -= group;
            }
          }
          RefitKept(*problem, keep, false, stored);
        });
  }
}

TEST(NeedsTest, OfASlice) {
  ExpectStep(
      "slice",
      [](const Context& context, const ProblemShape& shape, size_t kept) {
        return SliceNeeds(context, shape, kept).Then(MakeProblemNeeds(context, shape));
      },
      [](const std::shared_ptr<SiteProblem>& problem, const std::vector<uint8_t>& keep) {
        SliceKept(*problem, keep, false);
      });
}

TEST(NeedsTest, OfSwaps) {
  ExpectStep(
      "swap",
      [](const Context& context, const ProblemShape& shape, size_t kept) {
        return SwapNeeds(context, shape, kept).Then(MakeProblemNeeds(context, shape));
      },
      [](const std::shared_ptr<SiteProblem>& problem, const std::vector<uint8_t>& keep) {
        SwapPass(*problem, keep, {.metric = MetricOf(*problem), .max_swaps = 2});
      });
}

TEST(NeedsTest, OfAdmm) {
  ExpectStep(
      "ADMM",
      [](const Context& context, const ProblemShape& shape, size_t) {
        return AdmmNeeds(context, shape).Then(MakeProblemNeeds(context, shape));
      },
      [](const std::shared_ptr<SiteProblem>& problem, const std::vector<uint8_t>& keep) {
        AdmmState admm(problem, false);
        admm.SetRho(1);
        admm.Solve();
        admm.Project(keep);
        admm.UpdateDual();
        admm.SetRho(2);
        admm.Solve();
      });
}

// An FFN to be refitted, as the addon makes it: a copy of the input maps that stays, and for a
// round those, the output map of a refit and its bias.
struct Ffn {
  FfnShape shape;
  SharedContext context;
  TileSpace space;
  TileMatrix<float> fit;

  Ffn(const FfnShape& of, const SharedContext& in, const SharedStore& store)
      : shape(of), context(in), space{in, store}, fit(space, of.outputs, of.width) {
    const auto values = RandomFloats(of.outputs * of.width, 5);
    WriteRows(fit, 0, of.outputs, values.data());
  }
  InputWeights Inputs(unsigned seed) const {
    InputWeights parts;
    for (size_t part = 0; part < shape.parts(); ++part) {
      const auto values =
          RandomFloats(shape.width * shape.inputs, seed + static_cast<unsigned>(part));
      parts.push_back(std::make_shared<PagedMatrix>(space.store, shape.width, shape.inputs));
      parts.back()->Write(0, shape.width, values.data());
    }
    return parts;
  }
  FfnMap Map() const {
    FfnMap map;
    map.activation = shape.activation;
    map.inputs = shape.inputs, map.width = shape.width, map.outputs = shape.outputs;
    map.in = Inputs(3);
    map.down = std::make_shared<PagedMatrix>(space.store, shape.outputs, shape.width);
    ToStrips(fit, *map.down);
    map.bias = context->Allocate<float>(shape.outputs);
    std::ranges::fill(map.bias.span(), 0.0f);
    return map;
  }
  FfnTokens Tokens() const {
    return {Filled(space.store, shape.inputs, 1), Filled(space.store, shape.outputs, 2)};
  }
  // As lib/pruning/input-refit.ts has it between two rounds.
  void RefitOutput(const FfnTokens& tokens) const {
    const auto sums = std::make_shared<Statistics>(space, shape.width, true, shape.outputs);
    {
      const FfnMap map = Map();
      AddHidden(*context, map, tokens, *sums);
    }
    SiteInput input;
    input.tokens = static_cast<double>(sums->tokens());
    input.gram = sums->gram();
    input.sums.assign(sums->sums(), sums->sums() + shape.width);
    input.cross = sums->cross();
    input.residual_sums.assign(sums->residual_sums(), sums->residual_sums() + shape.outputs);
    input.residual_norm_sq = sums->residual_energy();
    {
      const FfnMap map = Map();
      input.weight = std::make_shared<TileMatrix<float>>(FromStrips<float>(space, *map.down));
    }
    RefitKept(SiteProblem(std::move(input)), std::vector<uint8_t>(shape.width, 1), false);
  }
};

const FfnShape kFfns[] = {{Activation::kSilu, true, 40, 120, 40, 0},
                          {Activation::kRelu, false, 41, 300, 40, 0}};

FfnDemand DemandOf(const FfnShape& shape, bool paged) {
  return {.shape = shape, .tokens = Tokens(paged), .taken = Tokens(paged).rows, .paged = paged};
}

TEST(NeedsTest, OfGaussNewton) {
  for (const FfnShape& shape : kFfns) {
    for (const size_t steps : {1, 2}) {
      ExpectPeak(
          "Gauss-Newton, " + std::to_string(steps),
          [&](const Context& context, bool paged) {
            return Kept(shape.inputs + shape.outputs, paged) +
                   GaussNewtonNeeds(context, DemandOf(shape, paged), steps);
          },
          [&](const SharedContext& context, const SharedStore& store) {
            const Ffn ffn(shape, context, store);
            const FfnTokens tokens = ffn.Tokens();
            GaussNewton newton(ffn.space, ffn.Inputs(3), tokens, {});
            newton.Linearise(ffn.Map(), Tokens(false).rows, 0);
            for (size_t step = 0; step < steps; ++step) {
              newton.NextDirection(step + 1 == steps);
              newton.Advance(0.1);
            }
            newton.Moved();
            ffn.RefitOutput(tokens);
          });
    }
  }
}

TEST(NeedsTest, OfAuxiliaryVariables) {
  for (const FfnShape& shape : kFfns) {
    ExpectPeak(
        "auxiliary",
        [&](const Context& context, bool paged) {
          return Kept(shape.inputs + shape.outputs, paged) +
                 AuxiliaryNeeds(context, DemandOf(shape, paged));
        },
        [&](const SharedContext& context, const SharedStore& store) {
          const Ffn ffn(shape, context, store);
          const FfnTokens tokens = ffn.Tokens();
          Auxiliary auxiliary(ffn.space, ffn.Inputs(3), tokens, {});
          auxiliary.Iterate(ffn.Map(), Tokens(false).rows, 0);
          auxiliary.Moved();
          ffn.RefitOutput(tokens);
        });
  }
}

}  // namespace
}  // namespace struprune

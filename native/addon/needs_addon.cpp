// What calls need, asked before any of them runs.
#include <map>
#include <string>
#include <vector>

#include "addon/addon.h"
#include "addon/handles.h"
#include "addon/specs.h"
#include "core/copy_rows.h"
#include "model/backward.h"
#include "model/expert_sums.h"
#include "model/expert_turn.h"
#include "model/head_gradient.h"
#include "passes/divergence.h"
#include "passes/score.h"
#include "passes/site.h"
#include "solver/admm.h"
#include "solver/auxiliary.h"
#include "solver/gauss_newton.h"
#include "solver/refit.h"
#include "solver/swap.h"
#include "solver/sweep.h"

namespace struprune::addon {
namespace {

// {rows, window, paged, share?: {rank, ranks}}
TokenPages TokensIn(const Napi::Object& tokens) {
  const auto size = [](const Napi::Object& of, const char* key) {
    return GetSize(of.Get(key), key);
  };
  const size_t window = size(tokens, "window");
  if (window == 0) throw BadArgument("a window has a token at least");
  TokenPages pages{size(tokens, "rows"), PagedMatrix::PageRows(window),
                   GetBool(tokens.Get("paged"), "paged")};
  if (tokens.Get("share").IsObject()) {
    const Napi::Object share = GetObject(tokens.Get("share"), "share");
    pages.share = {size(share, "rank"), size(share, "ranks"), nullptr};
    if (pages.share.rank >= pages.share.ranks) throw BadArgument("a rank is one of the ranks");
  }
  return pages;
}

// A call as JavaScript describes it.
class Call {
 public:
  explicit Call(Napi::Object object) : object_(std::move(object)) {}

  size_t Size(const char* key) const { return GetSize(object_.Get(key), key); }
  bool Flag(const char* key) const { return GetBool(object_.Get(key), key); }
  Factored Factors() const {
    const std::string name = GetString(object_.Get("factors"), "factors");
    if (name == "none") return Factored::kNone;
    if (name == "outputs") return Factored::kOutputs;
    if (name == "all") return Factored::kAll;
    throw BadArgument("factors are of none, outputs or all");
  }
  Dtype StoredType() const { return GetDtype(object_.Get("stored")); }
  Call In(const char* key) const { return Call(GetObject(object_.Get(key), key)); }

  BlockSpec Block() const { return GetBlockSpec(object_.Get("block")); }
  SublayerSpec Site() const {
    const BlockSpec block = Block();
    return block.sublayers[GetSite(block, object_.Get("site"))];
  }
  SublayerSpec Experts() const {
    const SublayerSpec site = Site();
    if (!site.experts()) throw BadArgument("the site has no experts");
    return site;
  }
  std::vector<TensorId> Tensors() const {
    const BlockSpec block = Block();
    const auto names = GetArray(object_.Get("roles"), "roles");
    std::vector<TensorId> tensors;
    for (uint32_t i = 0; i < names.Length(); ++i) {
      tensors.push_back(TensorNamed(block, GetString(names.Get(i), "role")));
    }
    return tensors;
  }
  size_t Window() const {
    const size_t window = In("tokens").Size("window");
    if (window == 0) throw BadArgument("a window has a token at least");
    return window;
  }
  TokenPages Tokens() const { return TokensIn(GetObject(object_.Get("tokens"), "tokens")); }
  // Tokens that are summed into tiles.
  TokenPages Summed() const {
    TokenPages tokens = Tokens();
    tokens.tiles_paged = Flag("paged");
    return tokens;
  }
  std::vector<Statistics::Sizes> Sums() const {
    const auto given = GetArray(object_.Get("sums"), "sums");
    std::vector<Statistics::Sizes> sums;
    for (uint32_t i = 0; i < given.Length(); ++i) {
      const Call each(GetObject(given.Get(i), "sum"));
      sums.push_back({each.Size("dim"), each.Flag("gram"), each.Size("residual")});
    }
    return sums;
  }
  EndsShape Ends() const {
    const Call ends = In("ends");
    const auto tensors = GetArray(ends.object_.Get("tensors"), "tensors");
    const auto has = [&](const char* role) {
      for (uint32_t i = 0; i < tensors.Length(); ++i) {
        if (GetString(tensors.Get(i), "tensor") == role) return true;
      }
      return false;
    };
    return {ends.Size("hidden"), ends.Size("vocab"),   ends.Size("embeddingWidth"),
            has("positions"),    has("projectIn"),     has("projectOut"),
            has("finalNorm"),    has("finalNormBias"), ends.Flag("capped")};
  }
  ProblemShape Problem() const {
    const Call problem = In("problem");
    return {problem.Size("inputs"), problem.Size("outputs"), problem.Size("group"),
            problem.Flag("cross"),  problem.Flag("fisher"),  Flag("paged")};
  }
  FfnDemand Ffn() const {
    const SublayerSpec site = Site();
    const FeedForwardSpec* const ffn = site.ffn();
    if (!ffn) throw BadArgument("the site is no FFN");
    return {
        .shape = {ffn->activation, ffn->gated, Size("inputs"), Size("channels"), Block().hidden, 0},
        .tokens = Summed(),
        .taken = Size("taken"),
        .rounds = Size("rounds"),
        .stored = StoredType(),
        .paged = Flag("paged")};
  }

 private:
  Napi::Object object_;
};

Needs SiteNeeds(const Context& context, const Call& call) {
  const size_t hidden = call.Block().hidden;
  const SublayerSpec site = call.Site();
  const TokenPages tokens = call.Summed();
  SiteDemand demand;
  demand.window = call.Window();
  demand.page = tokens.flight();
  demand.tokens = tokens.rows;
  demand.advance = true;
  demand.keep = call.Flag("keeps");
  demand.moments = call.Flag("collects");
  demand.gram = call.Flag("gram");
  demand.residual = call.Flag("feedback");
  const size_t inputs = call.Size("inputs");
  demand.inputs = demand.targets = inputs > 0;
  const bool ones = inputs > hidden;
  return StreamSiteNeeds(context, site, hidden, demand, tokens, ones);
}

using Answer = Needs (*)(const Context& context, const Call& call);

const std::map<std::string, Answer>& Answers() {
  static const std::map<std::string, Answer> answers = {
      {"matrix",
       [](const Context&, const Call& c) { return MatrixNeeds(c.Size("rows"), c.Size("cols")); }},
      {"copyMatrix",
       [](const Context&, const Call& c) { return CopyRowsNeeds(c.Tokens(), c.Size("cols")); }},
      {"loadBlock",
       [](const Context&, const Call& c) {
         return BlockNeeds(c.Block(), c.Tensors(), c.Flag("paged"));
       }},
      {"encodeBlock",
       [](const Context&, const Call& c) {
         return EncodeNeeds(c.Block(), c.Tensors(), c.Size("bytes"));
       }},
      {"statistics",
       [](const Context& context, const Call& c) {
         return Statistics::NeedsOf(context, {c.Size("dim"), c.Flag("gram"), c.Size("residual")},
                                    c.Flag("paged"));
       }},
      {"runSite", SiteNeeds},
      {"sumExperts",
       [](const Context& context, const Call& c) {
         return SumExpertsNeeds(context, c.Experts(), c.Block().hidden, c.Window(), c.Summed(),
                                c.Flag("residual"));
       }},
      {"turnExpert",
       [](const Context& context, const Call& c) {
         const TurnDemand demand{c.Size("left"), c.Flag("gram"), c.Flag("residual")};
         return TurnExpertNeeds(context, c.Experts(), demand, c.Block().hidden, c.Window(),
                                c.Summed());
       }},
      {"applySite",
       [](const Context& context, const Call& c) {
         return ApplySiteNeeds(context, c.Site(), c.Block().hidden, c.Tokens());
       }},
      {"backwardBlock",
       [](const Context& context, const Call& c) {
         return BackwardNeeds(context, c.Block(), c.Window(), c.Summed(), c.Sums(), c.Factors(),
                              c.Size("rank"));
       }},
      {"embed",
       [](const Context& context, const Call& c) {
         return EmbedNeeds(context, c.Ends(), c.Window(), c.Tokens());
       }},
      {"score", [](const Context& context,
                   const Call& c) { return ScoreNeeds(context, c.Ends(), c.Tokens()); }},
      {"expectHead", [](const Context& context,
                        const Call& c) { return ExpectHeadNeeds(context, c.Ends(), c.Tokens()); }},
      {"divergenceFrom",
       [](const Context& context, const Call& c) {
         return DivergenceNeeds(context, c.Ends(), c.Tokens());
       }},
      {"headGradient",
       [](const Context& context, const Call& c) {
         return HeadGradientNeeds(context, c.Ends(), c.Tokens());
       }},
      {"divergenceGradient",
       [](const Context& context, const Call& c) {
         return DivergenceGradientNeeds(context, c.Ends(), c.Tokens());
       }},
      {"solver",
       [](const Context& context, const Call& c) { return ProblemNeeds(context, c.Problem()); }},
      {"createSolver", [](const Context& context,
                          const Call& c) { return MakeProblemNeeds(context, c.Problem()); }},
      {"sweep", [](const Context& context,
                   const Call& c) { return SweepNeeds(context, c.Problem(), c.Size("removed")); }},
      {"refit",
       [](const Context& context, const Call& c) {
         return RefitNeeds(context, c.Problem(), c.Size("kept"), c.StoredType());
       }},
      {"slice", [](const Context& context,
                   const Call& c) { return SliceNeeds(context, c.Problem(), c.Size("kept")); }},
      {"swap", [](const Context& context,
                  const Call& c) { return SwapNeeds(context, c.Problem(), c.Size("kept")); }},
      {"admm",
       [](const Context& context, const Call& c) { return AdmmNeeds(context, c.Problem()); }},
      {"gaussNewton",
       [](const Context& context, const Call& c) {
         return GaussNewtonNeeds(context, c.Ffn(), c.Size("steps"));
       }},
      {"auxiliary",
       [](const Context& context, const Call& c) { return AuxiliaryNeeds(context, c.Ffn()); }},
  };
  return answers;
}

// (engine, name of a call, what it is asked for) -> {memory, scratch, device, passes, sent, flops:
// {single, searching, double}}
Napi::Value NeedsOf(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  const std::string name = GetString(info[1], "call");
  const auto found = Answers().find(name);
  if (found == Answers().end()) throw BadArgument("unknown call " + name);
  const Needs needs = found->second(*context, Call(GetObject(info[2], "what it is asked for")));
  Napi::Object flops = Napi::Object::New(info.Env());
  flops.Set("single", needs.float_flops);
  flops.Set("searching", needs.search_flops);
  flops.Set("double", needs.double_flops);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("memory", static_cast<double>(needs.memory));
  result.Set("scratch", static_cast<double>(needs.scratch));
  result.Set("device", static_cast<double>(needs.device));
  result.Set("passes", static_cast<double>(needs.passes));
  result.Set("flops", flops);
  result.Set("sent", needs.sent);
  return result;
}

// (spec, tokens, window) -> useful flops of a block's forward
Napi::Value FlopsOfBlock(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), BlockFlops(GetBlockSpec(info[0]), GetSize(info[1], "tokens"),
                                                  GetSize(info[2], "window")));
}

// (vocab, embeddingWidth, tokens) -> useful flops of the head
Napi::Value FlopsOfHead(const Napi::CallbackInfo& info) {
  EndsShape ends;
  ends.vocab = GetSize(info[0], "vocab");
  ends.embedding_width = GetSize(info[1], "embeddingWidth");
  return Napi::Number::New(info.Env(), HeadFlops(ends, GetSize(info[2], "tokens")));
}

// (tokens) -> rows of them that a rank has
Napi::Value HeldRows(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(),
                           static_cast<double>(TokensIn(GetObject(info[0], "tokens")).held()));
}

// (window) -> rows of a page of tokens: whole windows
Napi::Value RowsOfPage(const Napi::CallbackInfo& info) {
  const size_t window = GetSize(info[0], "window");
  if (window == 0) throw BadArgument("a window has a token at least");
  return Napi::Number::New(info.Env(), static_cast<double>(PagedMatrix::PageRows(window)));
}

}  // namespace

void InitNeeds(Napi::Env env, Napi::Object exports) {
  Export<NeedsOf>(env, exports, "needsOf");
  Export<FlopsOfBlock>(env, exports, "blockFlops");
  Export<FlopsOfHead>(env, exports, "headFlops");
  Export<HeldRows>(env, exports, "heldRows");
  Export<RowsOfPage>(env, exports, "pageRows");
}

}  // namespace struprune::addon

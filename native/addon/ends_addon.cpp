// What stands before the first block and after the last: embedding, head, and losses of the head.
#include <memory>
#include <string>
#include <vector>

#include "addon/addon.h"
#include "addon/handles.h"
#include "addon/jobs.h"
#include "addon/results.h"
#include "addon/specs.h"
#include "core/paged_matrix.h"
#include "model/compare.h"
#include "model/ends.h"
#include "model/head_gradient.h"
#include "passes/divergence.h"
#include "passes/score.h"

namespace struprune::addon {
namespace {

// Ends are references into files: with the engine that runs them.
struct BoundEnds {
  std::shared_ptr<Context> context;
  EndsSpec spec;
};

std::shared_ptr<BoundEnds> EndsOf(const Napi::CallbackInfo& info) {
  return GetHandle<BoundEnds>(info[0], "ends");
}

// States after the last block, or before the first.
std::shared_ptr<PagedMatrix> GetHidden(const Napi::Value& value, const EndsSpec& spec) {
  auto hidden = GetHandle<PagedMatrix>(value, "hidden");
  if (hidden->cols() != spec.hidden) throw BadArgument("hidden has another width");
  return hidden;
}

// (engine, spec, tensors, files) -> ends
Napi::Value CreateEnds(const Napi::CallbackInfo& info) {
  return MakeHandle(info.Env(), std::make_shared<BoundEnds>(
                                    EngineOf(info), GetEndsSpec(GetObject(info[1], "spec"),
                                                                GetObject(info[2], "tensors"),
                                                                GetArray(info[3], "files"))));
}

// (ends, ids, window, hidden, purpose, cut?: {every, tokens}) -> Promise
Napi::Value EmbedIds(const Napi::CallbackInfo& info) {
  const auto ends = EndsOf(info);
  const auto ids = GetIntegers(info[1], "ids");
  const size_t window = GetSize(info[2], "window");
  const auto hidden = GetHidden(info[3], ends->spec);
  if (hidden->rows() != ids.size() || window == 0) {
    throw BadArgument("hidden does not fit the ids");
  }
  CutWindows cut;
  if (info[5].IsObject()) {
    const Napi::Object given = GetObject(info[5], "cut");
    cut = {GetSize(given.Get("every"), "every"), GetSize(given.Get("tokens"), "tokens")};
    if (cut.every == 0 || cut.tokens == 0 || window % cut.tokens != 0) {
      throw BadArgument("a window has whole sequences");
    }
  }
  hidden->Cut(cut);
  return RunOn(
      info.Env(), ends->context, [=] { Embed(*ends->context, ends->spec, ids, window, *hidden); },
      GetPurpose(info[4]));
}

// (ends, hidden, targets) -> Promise<{nll: Float64Array, best: Int32Array}>
Napi::Value Score(const Napi::CallbackInfo& info) {
  const auto ends = EndsOf(info);
  const auto hidden = GetHidden(info[1], ends->spec);
  const auto targets = GetIntegers(info[2], "targets");
  if (targets.size() != hidden->rows()) throw BadArgument("one target a row");
  return ComputeOn(
      info.Env(), ends->context,
      [=] { return ScoreTokens(*ends->context, ends->spec, *hidden, targets); },
      [](Napi::Env env, const TokenScores& scores) {
        Napi::Object result = Napi::Object::New(env);
        result.Set("nll", Doubles(env, scores.nll));
        result.Set("best", Integers(env, scores.best));
        return result;
      });
}

// (ends, hidden, row, count) -> Promise<Float32Array[count * vocab]>
Napi::Value LogitsOf(const Napi::CallbackInfo& info) {
  const auto ends = EndsOf(info);
  const auto hidden = GetHidden(info[1], ends->spec);
  const size_t row = GetSize(info[2], "row"), count = GetSize(info[3], "count");
  if (row + count > hidden->rows()) throw BadArgument("rows outside the matrix");
  return ComputeOn(
      info.Env(), ends->context,
      [=] {
        std::vector<float> logits(count * ends->spec.vocab);
        Logits(*ends->context, ends->spec, *hidden, row, count, logits.data());
        return logits;
      },
      Floats);
}

// A HeadRun with what it points to.
struct HeldHead {
  std::shared_ptr<BoundEnds> ends;
  std::shared_ptr<PagedMatrix> hidden;
  size_t row;

  HeadRun run() const { return {&ends->spec, hidden.get(), row}; }
};

// {ends, hidden, row}
HeldHead GetHead(const Napi::Value& value, const char* what) {
  const auto object = GetObject(value, what);
  return {GetHandle<BoundEnds>(object.Get("ends"), "ends"),
          GetHandle<PagedMatrix>(object.Get("hidden"), "hidden"),
          GetSize(object.Get("row"), "row")};
}

// (reference: {ends, hidden, row}, model: {ends, hidden, row}, targets) ->
// Promise<{nll, kl: Float64Array, best, referenceBest: Int32Array}>
Napi::Value Compare(const Napi::CallbackInfo& info) {
  const HeldHead reference = GetHead(info[0], "reference"), model = GetHead(info[1], "model");
  const auto context = model.ends->context;
  return ComputeOn(
      info.Env(), context,
      [=, targets = GetIntegers(info[2], "targets")] {
        return CompareTokens(*context, reference.run(), model.run(), targets);
      },
      [](Napi::Env env, const TokenComparison& found) {
        Napi::Object object = Napi::Object::New(env);
        object.Set("nll", Doubles(env, found.nll));
        object.Set("kl", Doubles(env, found.kl));
        object.Set("best", Integers(env, found.best));
        object.Set("referenceBest", Integers(env, found.reference_best));
        return object;
      });
}

// (ends, hidden, mean, purpose) -> Promise<Float64Array[tokens]>
Napi::Value ExpectHeadOf(const Napi::CallbackInfo& info) {
  const auto ends = EndsOf(info);
  const auto hidden = GetHandle<PagedMatrix>(info[1], "hidden");
  const auto mean = GetHandle<PagedMatrix>(info[2], "mean");
  return ComputeOn(
      info.Env(), ends->context,
      [=] { return ExpectHead(*ends->context, ends->spec, *hidden, *mean); }, Doubles,
      GetPurpose(info[3]));
}

// (ends, {mean, negativeEntropy}, hidden, purpose) -> Promise<Float64Array[tokens]>
Napi::Value DivergenceFromOf(const Napi::CallbackInfo& info) {
  const auto ends = EndsOf(info);
  const auto reference = GetObject(info[1], "reference");
  const auto mean = GetHandle<PagedMatrix>(reference.Get("mean"), "mean");
  const auto entropy = GetDoubles(reference.Get("negativeEntropy"), "negativeEntropy");
  const auto hidden = GetHandle<PagedMatrix>(info[2], "hidden");
  return ComputeOn(
      info.Env(), ends->context,
      [=] { return DivergenceFrom(*ends->context, ends->spec, *mean, entropy, *hidden); }, Doubles,
      GetPurpose(info[3]));
}

Labels GetLabels(const Napi::Value& value) {
  const std::string name = GetString(value, "labels");
  if (name == "empirical") return Labels::kEmpirical;
  if (name == "sampled") return Labels::kSampled;
  throw BadArgument("labels must be 'empirical' or 'sampled'");
}

// (ends, {purpose, hidden, gradient, targets, labels, seed}) -> Promise<{nll, targets}>
Napi::Value HeadGradientOf(const Napi::CallbackInfo& info) {
  const auto ends = EndsOf(info);
  const auto options = GetObject(info[1], "options");
  const auto hidden = GetHandle<PagedMatrix>(options.Get("hidden"), "hidden");
  const auto gradient = GetHandle<PagedMatrix>(options.Get("gradient"), "gradient");
  const auto targets = GetIntegers(options.Get("targets"), "targets");
  const Labels labels = GetLabels(options.Get("labels"));
  const uint64_t seed = GetSize(options.Get("seed"), "seed");
  return ComputeOn(
      info.Env(), ends->context,
      [=] {
        return HeadGradient(*ends->context, ends->spec,
                            {hidden.get(), gradient.get(), targets, labels, seed});
      },
      [](Napi::Env env, const HeadLoss& loss) {
        Napi::Object result = Napi::Object::New(env);
        result.Set("nll", loss.nll);
        result.Set("targets", static_cast<double>(loss.targets));
        return result;
      },
      GetPurpose(options.Get("purpose")));
}

// (ends, {purpose, hidden, gradient, mean, negativeEntropy, finalNorm?}) -> Promise<number>
Napi::Value DivergenceGradientOf(const Napi::CallbackInfo& info) {
  const auto ends = EndsOf(info);
  const auto options = GetObject(info[1], "options");
  const auto hidden = GetHandle<PagedMatrix>(options.Get("hidden"), "hidden");
  const auto gradient = GetHandle<PagedMatrix>(options.Get("gradient"), "gradient");
  const auto mean = GetHandle<PagedMatrix>(options.Get("mean"), "mean");
  const auto entropy = GetDoubles(options.Get("negativeEntropy"), "negativeEntropy");
  const auto norm = GetStatistics(options, "finalNorm");
  return ComputeOn(
      info.Env(), ends->context,
      [=] {
        return DivergenceGradient(*ends->context, ends->spec,
                                  {hidden.get(), gradient.get(), mean.get(), entropy, norm.get()});
      },
      Number, GetPurpose(options.Get("purpose")));
}

}  // namespace

void InitEnds(Napi::Env env, Napi::Object exports) {
  Export<CreateEnds>(env, exports, "createEnds");
  Export<EmbedIds>(env, exports, "embed");
  Export<Score>(env, exports, "score");
  Export<LogitsOf>(env, exports, "logits");
  Export<Compare>(env, exports, "compare");
  Export<ExpectHeadOf>(env, exports, "expectHead");
  Export<DivergenceFromOf>(env, exports, "divergenceFrom");
  Export<HeadGradientOf>(env, exports, "headGradient");
  Export<DivergenceGradientOf>(env, exports, "divergenceGradient");
}

}  // namespace struprune::addon

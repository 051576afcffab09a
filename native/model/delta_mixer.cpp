#include "model/delta_mixer.h"

#include "model/forward_steps.h"
#include "ops/delta_rule.h"

namespace struprune {

DeltaCounts::DeltaCounts(const Context& context, const DeltaSpec& spec, size_t tokens)
    : mixed(tokens * spec.mixed()),
      gate(tokens * spec.width()),
      rates(tokens * spec.value_heads),
      states(context.pool.size() * DeltaScratch(spec.key_dim, spec.value_dim)) {}

DeltaMixer::DeltaMixer(const Sublayer& layer, size_t tokens)
    : layer_(layer), spec_(*layer.delta()), tokens_(tokens) {
  Context& context = layer.context();
  const DeltaCounts n(context, spec_, tokens);
  mixed_ = context.Allocate<float>(n.mixed);
  convolved_ = context.Allocate<float>(n.mixed);
  gate_ = context.Allocate<float>(n.gate);
  beta_ = context.Allocate<float>(n.rates);
  alpha_ = context.Allocate<float>(n.rates);
  states_ = context.Allocate<float>(n.states);
}

void DeltaMixer::Run(size_t window, size_t rows, const float* hidden, float* out,
                     const std::function<float*(size_t)>& OfWorker) {
  Context& context = layer_.context();
  const size_t keys = spec_.keys(), width = spec_.width(), heads = spec_.value_heads;
  // No map has a bias.
  constexpr Part kNone = Part::kInBias;
  ForChunks(context, rows, [&](size_t first, size_t count, size_t worker) {
    const float* x = MixerInput(layer_, count, hidden + first * layer_.hidden(), OfWorker(worker));
    Linears(layer_,
            {{Part::kQ, kNone, mixed_.data() + first * keys},
             {Part::kK, kNone, mixed_.data() + tokens_ * keys + first * keys},
             {Part::kV, kNone, mixed_.data() + 2 * tokens_ * keys + first * width},
             {Part::kOutGate, kNone, gate_.data() + first * width},
             {Part::kBeta, kNone, beta_.data() + first * heads},
             {Part::kAlpha, kNone, alpha_.data() + first * heads}},
            count, x);
  });
  ForChunks(context, rows, [&](size_t first, size_t count, size_t) {
    size_t column = 0;
    for (const size_t columns : {keys, keys, width}) {
      ConvolveSilu(columns, spec_.kernel, layer_.data(Part::kKernel) + column * spec_.kernel,
                   window, first, count, mixed_.data() + tokens_ * column,
                   convolved_.data() + tokens_ * column + first * columns);
      column += columns;
    }
  });
  const DeltaRule rule{spec_.key_heads,
                       heads,
                       spec_.key_dim,
                       spec_.value_dim,
                       spec_.tiled,
                       spec_.eps,
                       layer_.data(Part::kDecay),
                       layer_.data(Part::kStep),
                       layer_.data(Part::kGain)};
  context.pool.ParallelFor(rows / window * heads, [&](size_t task, size_t worker) {
    context.CheckAbort();
    const size_t first = task / heads * window;
    const DeltaInputs in{convolved_.data() + first * keys,
                         convolved_.data() + tokens_ * keys + first * keys,
                         convolved_.data() + 2 * tokens_ * keys + first * width,
                         gate_.data() + first * width,
                         beta_.data() + first * heads,
                         alpha_.data() + first * heads};
    RunDeltaHead(rule, task % heads, window, in, out + first * width,
                 states_.data() + worker * DeltaScratch(spec_.key_dim, spec_.value_dim));
  });
}

}  // namespace struprune

#include "solver/ffn_of_block.h"

#include <algorithm>
#include <span>

#include "core/paged_matrix.h"
#include "tiles/strips.h"

namespace struprune {
namespace {

struct InputParts {
  Part weight, bias;
};
std::vector<InputParts> InputsOf(const Sublayer& layer) {
  if (!layer.ffn()->gated) return {{Part::kUp, Part::kUpBias}};
  return {{Part::kGate, Part::kGateBias}, {Part::kUp, Part::kUpBias}};
}

}  // namespace

InputWeights InputWeightsOf(const Sublayer& layer) {
  const Block& block = layer.block();
  const size_t width = layer.width(), hidden = layer.hidden();
  const auto parts = InputsOf(layer);
  const bool biased = layer.has(parts[0].bias);
  InputWeights weights;
  for (const auto& [weight, bias] : parts) {
    if (layer.has(bias) != biased) {
      throw Error("ERR_UNSUPPORTED", "gate has a bias and up has none, or the other way round",
                  "choose --ffn-solver output");
    }
    auto to = std::make_shared<PagedMatrix>(block.space().store, width, hidden + (biased ? 1 : 0),
                                            layer.matrix(weight)->page_rows());
    const float* const ones = layer.data(bias);
    block.EachStrip({layer.index(), weight}, [&](size_t first, size_t count, const float* values) {
      const PagedMatrix::View strip(*to, first, count, PagedMatrix::Access::kWrite);
      for (size_t row = 0; row < count; ++row) {
        float* end = std::copy_n(values + row * hidden, hidden, strip.data() + row * to->cols());
        if (biased) *end = ones[first + row];
      }
    });
    weights.push_back(std::move(to));
  }
  return weights;
}

void SetInputWeights(Block& block, const Sublayer& layer, const InputWeights& weights) {
  const size_t hidden = layer.hidden();
  const auto parts = InputsOf(layer);
  const size_t inputs = hidden + (layer.has(parts[0].bias) ? 1 : 0);
  if (weights.size() != parts.size())
    throw Error("ERR_ARGUMENT", "the solver is of another kind of FFN");
  for (const auto& part : weights) {
    if (part->rows() != layer.width() || part->cols() != inputs) {
      throw Error("ERR_ARGUMENT", "the solver is of a block of another shape");
    }
  }
  for (size_t part = 0; part < parts.size(); ++part) {
    const TensorId weight{layer.index(), parts[part].weight}, bias{layer.index(), parts[part].bias};
    std::vector<float> biases;
    block.Replace(weight, [&](size_t row, size_t count, float* to) {
      const PagedMatrix::View from(*weights[part], row, count, PagedMatrix::Access::kRead);
      const size_t cols = weights[part]->cols();
      for (size_t i = 0; i < count; ++i) {
        to = std::copy_n(from.data() + i * cols, hidden, to);
        if (cols > hidden) biases.push_back(from.data()[i * cols + hidden]);
      }
    });
    if (block.has(bias)) block.Replace(bias, biases);
  }
}

FfnMap MapOf(const Sublayer& layer, const Refit* refit) {
  const Block& block = layer.block();
  const size_t hidden = layer.hidden();
  if (refit &&
      (refit->weight.rows().size() != hidden || refit->weight.cols().size() != layer.width() ||
       (!refit->bias.empty() && refit->bias.size() != hidden))) {
    throw Error("ERR_ARGUMENT", "the refit has another shape than the block's output map");
  }
  FfnMap map;
  map.activation = layer.ffn()->activation;
  map.width = layer.width();
  map.outputs = hidden;
  map.in = InputWeightsOf(layer);
  map.inputs = map.in[0]->cols();
  PagedMatrix& own = *layer.matrix(Part::kOut);
  map.down =
      std::make_shared<PagedMatrix>(block.space().store, map.outputs, map.width, own.page_rows());
  if (refit) {
    ToStrips(refit->weight, *map.down);
  } else {
    FillStrips(block.context(), *map.down,
               [&](size_t row, size_t count, float* values) { own.Read(row, count, values); });
  }
  const auto bias = refit && !refit->bias.empty() ? std::span<const float>(refit->bias)
                    : layer.has(Part::kOutBias)   ? layer.vector(Part::kOutBias)
                                                  : std::span<const float>();
  map.bias = block.context().Allocate<float>(bias.size());
  std::ranges::copy(bias, map.bias.data());
  return map;
}

}  // namespace struprune

#include "solver/site_of_block.h"

#include <algorithm>

#include "tiles/strips.h"

namespace struprune {

SiteInput SiteInputOf(const Sublayer& layer, Statistics& statistics) {
  if (!statistics.has_gram() || statistics.dim() != layer.width()) {
    throw Error("ERR_ARGUMENT", "these statistics do not belong to the site");
  }
  SiteInput input;
  input.tokens = static_cast<double>(statistics.tokens());
  input.gram = statistics.gram();
  input.sums.assign(statistics.sums(), statistics.sums() + statistics.dim());
  input.weight = std::make_shared<TileMatrix<float>>(
      FromStrips<float>(statistics.space(), *layer.matrix(Part::kOut)));
  if (layer.has(Part::kOutBias)) {
    const auto bias = layer.vector(Part::kOutBias);
    input.bias.assign(bias.begin(), bias.end());
  }
  if (statistics.residual_dim() != 0) {
    input.cross = statistics.cross();
    input.residual_sums.assign(statistics.residual_sums(),
                               statistics.residual_sums() + statistics.residual_dim());
    input.residual_norm_sq = statistics.residual_energy();
  }
  return input;
}

WeightColumns MeasureOutput(const Sublayer& layer) {
  WeightColumnSums sums(layer.shape(Part::kOut).cols);
  layer.block().EachStrip(
      {layer.index(), Part::kOut},
      [&](size_t, size_t count, const float* values) { sums.Add(count, values); });
  return sums.Finish();
}

void AddMeanBias(Block& block, size_t sublayer, std::span<const double> means) {
  const TensorId out{sublayer, Part::kOut}, bias{sublayer, Part::kOutBias};
  const auto [rows, cols] = block.shape(out);
  if (means.size() != cols) throw Error("ERR_ARGUMENT", "one mean a column");
  std::vector<double> sums(rows, 0.0);
  if (block.has(bias)) std::ranges::copy(block.vector(bias), sums.begin());
  block.EachStrip(out, [&](size_t first, size_t count, const float* w) {
    for (size_t i = 0; i < count; ++i) {
      for (size_t j = 0; j < means.size(); ++j) {
        sums[first + i] += w[i * means.size() + j] * means[j];
      }
    }
  });
  block.SetBias(sublayer, std::vector<float>(sums.begin(), sums.end()));
}

}  // namespace struprune

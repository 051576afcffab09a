#include "passes/ffn_tokens.h"

#include <algorithm>
#include <numeric>

namespace struprune {

void CheckShapes(const FfnMap& map, const FfnTokens& tokens) {
  const auto require = [](bool fits) {
    if (!fits) throw Error("ERR_ARGUMENT", "the FFN's weights, inputs and targets do not fit");
  };
  const auto check = [&](const PagedMatrix& matrix, size_t rows, size_t cols) {
    require(matrix.rows() == rows && matrix.cols() == cols);
  };
  require(map.parts() == 1 || map.parts() == 2);
  for (const auto& part : map.in) check(*part, map.width, map.inputs);
  check(*map.down, map.outputs, map.width);
  require(map.bias.empty() || map.bias.size() == map.outputs);
  const size_t rows = tokens.inputs->rows();
  check(*tokens.inputs, rows, map.inputs);
  check(*tokens.targets, rows, map.outputs);
}

size_t TokensOf(const std::vector<FfnPage>& pages) {
  return std::accumulate(pages.begin(), pages.end(), size_t{0},
                         [](size_t sum, const FfnPage& page) { return sum + page.rows; });
}

Segments SegmentsOf(const FfnTokens& tokens) { return tokens.inputs->segments(); }

std::vector<FfnPage> AllPages(const FfnTokens& tokens) {
  std::vector<FfnPage> pages;
  for (size_t row = 0; row < tokens.inputs->rows(); row += pages.back().rows) {
    const size_t rows = tokens.inputs->Run(row, kFfnPage);
    pages.push_back({row, tokens.targets->Run(row, rows)});
  }
  return pages;
}

std::vector<FfnPage> HeldPages(const FfnTokens& tokens, std::vector<FfnPage> pages) {
  const RowRange held = tokens.inputs->held();
  std::erase_if(pages, [&](const FfnPage& page) { return !held.Has(page.row); });
  return pages;
}

std::vector<FfnPage> ChoosePages(const FfnTokens& tokens, size_t count, size_t offset) {
  const std::vector<FfnPage> all = AllPages(tokens);
  const size_t wanted =
      std::clamp<size_t>(count * all.size() / tokens.inputs->rows(), 1, all.size());
  const size_t distance = all.size() / wanted;
  std::vector<FfnPage> pages;
  for (size_t i = 0; i < wanted; ++i) pages.push_back(all[i * distance + offset % distance]);
  return pages;
}

}  // namespace struprune

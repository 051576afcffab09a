#include "solver/ffn_pass.h"

#include <algorithm>
#include <numeric>

#include "device/run_ffn.h"
#include "ops/packed_weights.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;

double SquaredNorm(size_t count, const float* values) {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += static_cast<double>(values[i]) * values[i];
  return sum;
}

// Slopes and hidden activations of a page, what every pass begins with.
class Activations {
 public:
  Activations(Context& context, const FfnMap& map)
      : context_(context),
        map_(map),
        hidden_(context.Allocate<float>(context.pool.size() * FfnChunk(context) * map.width)),
        slopes_(context.Allocate<float>(map.parts() * stride())) {}

  // Elements between the parts of what there is by channel of a page.
  size_t stride() const { return kFfnPage * map_.width; }
  const float* slopes(size_t part) const { return slopes_.data() + part * stride(); }

  // fn(first, count, worker, slopes, hidden) over the rows of a page; hidden may be overwritten.
  template <typename Fn>
  void ForRows(size_t rows, const float* x, Fn&& fn) {
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      float* slopes = slopes_.data() + first * map_.width;
      float* hidden = hidden_.data() + worker * FfnChunk(context_) * map_.width;
      PreActivations(context_, map_.in, count, x + first * map_.inputs, slopes, stride());
      HiddenAndSlopes(map_, count, slopes, stride(), hidden);
      fn(first, count, worker, slopes, hidden);
    });
  }

 private:
  Context& context_;
  const FfnMap& map_;
  Buffer<float> hidden_;  // [chunk, width] a worker
  Buffer<float> slopes_;  // [parts, page, width]
};

size_t Unmade(const PartSums& sums) {
  return std::accumulate(sums.begin(), sums.end(), size_t{0},
                         [](size_t total, const auto& part) { return total + part->unmade(); });
}

// Weights that every chunk of a pass multiplies by, in order.
std::vector<PagedMatrix*> Matrices(std::initializer_list<const InputWeights*> inputs,
                                   std::initializer_list<PagedMatrix*> outputs) {
  std::vector<PagedMatrix*> matrices;
  for (const InputWeights* weights : inputs) {
    for (const auto& part : *weights) matrices.push_back(part.get());
  }
  matrices.insert(matrices.end(), outputs);
  return matrices;
}

// Adds X of a page, with as residual values by channel.
void AddParts(const PartSums& sums, size_t rows, const float* x, const float* residual,
              size_t stride) {
  for (size_t part = 0; part < sums.size(); ++part) {
    sums[part]->Add(rows, x, residual + part * stride);
  }
}

}  // namespace

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

std::vector<FfnPage> AllPages(const FfnTokens& tokens) {
  std::vector<FfnPage> pages;
  for (size_t row = 0; row < tokens.inputs->rows(); row += pages.back().rows) {
    const size_t rows = tokens.inputs->Run(row, kFfnPage);
    pages.push_back({row, tokens.targets->Run(row, rows)});
  }
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

void AnnouncePage(const Context& context, const FfnPage& page,
                  std::initializer_list<PagedMatrix*> tokens,
                  std::initializer_list<const InputWeights*> inputs,
                  std::initializer_list<PagedMatrix*> outputs) {
  std::vector<Stream> streams;
  for (PagedMatrix* matrix : tokens) streams.push_back({matrix, Access::kRead});
  Scan scan{Matrices(inputs, outputs), ChunkCount(context, page.rows)};
  std::erase_if(scan.matrices,
                [&](const PagedMatrix* matrix) { return IsPacked(context, matrix); });
  AnnounceFlight(page.row, streams, {&scan, 1});
}

FfnError AddGradient(Context& context, const FfnMap& map, const FfnTokens& tokens,
                     const std::vector<FfnPage>& pages, const PartSums& sums,
                     const PartSums& moments) {
  if (context.gpu) {
    return AddGradientOnDevice(*context.gpu, context, map, tokens, pages, sums, moments);
  }
  const size_t out = map.outputs, chunk = FfnChunk(context);
  Activations activations(context, map);
  const size_t stride = activations.stride();
  Buffer<float> gradients = context.Allocate<float>(map.parts() * stride);
  Buffer<float> missed = context.Allocate<float>(context.pool.size() * chunk * out);
  std::vector<FfnError> each(kFfnPage);  // summed in order, whoever made it
  FfnError total;
  PagedMatrix* const down = map.down.get();
  const PendingBytes pending(*context.budget, Unmade(sums) + Unmade(moments));
  const PackedWeights packed(context, TokensOf(pages), Matrices({&map.in}, {down}), {down});
  for (const FfnPage& page : pages) {
    AnnouncePage(context, page, {tokens.inputs.get(), tokens.targets.get()}, {&map.in},
                 {down, down});
    const auto [row, rows] = page;
    const PagedMatrix::View x(*tokens.inputs, row, rows, Access::kRead);
    const PagedMatrix::View y(*tokens.targets, row, rows, Access::kRead);
    activations.ForRows(
        rows, x.data(),
        [&](size_t first, size_t count, size_t worker, const float* slopes, float* hidden) {
          const float* target = y.data() + first * out;
          float* miss = missed.data() + worker * chunk * out;
          std::copy_n(target, count * out, miss);
          SubtractOutput(context, map, count, hidden, miss);
          for (size_t i = 0; i < count; ++i) {
            each[first + i] = {SquaredNorm(out, miss + i * out),
                               SquaredNorm(out, target + i * out)};
          }
          PullBack(context, map, count, miss, slopes, stride, hidden,
                   gradients.data() + first * map.width);
        });
    AddParts(sums, rows, x.data(), gradients.data(), stride);
    for (size_t part = 0; part < map.parts(); ++part) {
      moments[part]->Add(rows, activations.slopes(part), nullptr);
    }
    for (size_t i = 0; i < rows; ++i) {
      total.error += each[i].error;
      total.target += each[i].target;
    }
  }
  return total;
}

double AddProduct(Context& context, const FfnMap& map, const FfnTokens& tokens,
                  const std::vector<FfnPage>& pages, const InputWeights& v, const PartSums& sums) {
  if (context.gpu) return AddProductOnDevice(*context.gpu, context, map, tokens, pages, v, sums);
  const size_t out = map.outputs, workers = context.pool.size();
  const size_t chunk = FfnChunk(context), part = chunk * map.width;
  Activations activations(context, map);
  const size_t stride = activations.stride();
  Buffer<float> changes = context.Allocate<float>(workers * map.parts() * part);
  Buffer<float> moves = context.Allocate<float>(workers * chunk * out);
  Buffer<float> gradients = context.Allocate<float>(sums.size() * stride);
  std::vector<double> each(kFfnPage);
  double total = 0;
  PagedMatrix* const down = map.down.get();
  // Forth, and back where there are sums.
  PagedMatrix* const back = sums.empty() ? nullptr : down;
  const PendingBytes pending(*context.budget, Unmade(sums));
  const PackedWeights packed(context, TokensOf(pages), Matrices({&map.in, &v}, {down}), {back});
  for (const FfnPage& page : pages) {
    AnnouncePage(context, page, {tokens.inputs.get()}, {&map.in, &v}, {down, back});
    const auto [row, rows] = page;
    const PagedMatrix::View x(*tokens.inputs, row, rows, Access::kRead);
    activations.ForRows(
        rows, x.data(),
        [&](size_t first, size_t count, size_t worker, const float* slopes, float* hidden) {
          float* change = changes.data() + worker * map.parts() * part;
          float* move = moves.data() + worker * chunk * out;
          PreActivations(context, v, count, x.data() + first * map.inputs, change, part);
          PushForward(context, map, count, change, part, slopes, stride, hidden, move);
          for (size_t i = 0; i < count; ++i) each[first + i] = SquaredNorm(out, move + i * out);
          if (sums.empty()) return;
          PullBack(context, map, count, move, slopes, stride, hidden,
                   gradients.data() + first * map.width);
        });
    AddParts(sums, rows, x.data(), gradients.data(), stride);
    total = std::accumulate(each.begin(), each.begin() + static_cast<ptrdiff_t>(rows), total);
  }
  return total;
}

void AddHidden(Context& context, const FfnMap& map, const FfnTokens& tokens, Statistics& sums) {
  if (context.gpu) return AddHiddenOnDevice(*context.gpu, context, map, tokens, sums);
  const size_t out = map.outputs, part = FfnChunk(context) * map.width;
  Buffer<float> pre = context.Allocate<float>(context.pool.size() * map.parts() * part);
  Buffer<float> hidden = context.Allocate<float>(kFfnPage * map.width);
  Buffer<float> missed = context.Allocate<float>(kFfnPage * out);
  PagedMatrix* const down = map.down.get();
  const PendingBytes pending(*context.budget, sums.unmade());
  const PackedWeights packed(context, tokens.inputs->rows(), Matrices({&map.in}, {down}));
  for (const FfnPage& page : AllPages(tokens)) {
    AnnouncePage(context, page, {tokens.targets.get(), tokens.inputs.get()}, {&map.in}, {down});
    const auto [row, rows] = page;
    tokens.targets->Read(row, rows, missed.data());
    const PagedMatrix::View x(*tokens.inputs, row, rows, Access::kRead);
    ForChunks(context, rows, [&](size_t first, size_t count, size_t worker) {
      float* up = pre.data() + worker * map.parts() * part;
      float* p = hidden.data() + first * map.width;
      PreActivations(context, map.in, count, x.data() + first * map.inputs, up, part);
      const float* gate = map.parts() == 2 ? up : nullptr;
      Activate(map.activation, count * map.width, gate, gate ? up + part : up, p);
      SubtractOutput(context, map, count, p, missed.data() + first * out);
    });
    sums.Add(rows, hidden.data(), missed.data());
  }
}

}  // namespace struprune

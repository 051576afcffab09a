#include "passes/ffn_pass.h"

#include <algorithm>

#include "backend/host_pages.h"
#include "ops/packed_weights.h"
#include "passes/ffn_on_device.h"
#include "team/join.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;

double SquaredNorm(size_t count, const float* values) {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += static_cast<double>(values[i]) * values[i];
  return sum;
}

// Numbers of the buffers of a pass.
struct PassCounts {
  PassCounts(const Context& context, const FfnShape& shape)
      : chunk(FfnChunk(context) * shape.width),
        chunks(context.pool.size() * chunk),
        page(kFfnPage * shape.width),
        outputs(kFfnPage * shape.outputs),
        chunk_outputs(context.pool.size() * FfnChunk(context) * shape.outputs) {}
  size_t chunk;          // by channel, of a worker's rows
  size_t chunks;         // of all workers'
  size_t page;           // of a page
  size_t outputs;        // what a page is to give
  size_t chunk_outputs;  // what the workers' rows are
};

// Slopes and hidden activations of a page, what every pass begins with.
class Activations {
 public:
  Activations(Context& context, const FfnMap& map)
      : context_(context),
        map_(map),
        n_(context, ShapeOf(map)),
        hidden_(context.Allocate<float>(n_.chunks)),
        slopes_(context.Allocate<float>(map.parts() * n_.page)) {}
  static Needs NeedsOf(const PassCounts& n, size_t parts) {
    return HeldFloats(n.chunks + parts * n.page);
  }

  const PassCounts& counts() const { return n_; }
  // Elements between the parts of what there is by channel of a page.
  size_t stride() const { return n_.page; }
  const float* slopes(size_t part) const { return slopes_.data() + part * stride(); }

  // fn(first, count, worker, slopes, hidden) over the rows of a page; hidden may be overwritten.
  template <typename Fn>
  void ForRows(size_t rows, const float* x, Fn&& fn) {
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      float* slopes = slopes_.data() + first * map_.width;
      float* hidden = hidden_.data() + worker * n_.chunk;
      PreActivations(context_, map_.in, count, x + first * map_.inputs, slopes, stride());
      HiddenAndSlopes(map_, count, slopes, stride(), hidden);
      fn(first, count, worker, slopes, hidden);
    });
  }

 private:
  Context& context_;
  const FfnMap& map_;
  const PassCounts n_;
  Buffer<float> hidden_;  // [chunk, width] a worker
  Buffer<float> slopes_;  // [parts, page, width]
};

size_t Unmade(const PartSums& sums, const Segments& segments) {
  size_t bytes = 0;
  for (const auto& part : sums) bytes += part->Unmade(segments);
  return bytes;
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
void AddParts(const PartSums& sums, size_t segment, size_t rows, const float* x,
              const float* residual, size_t stride) {
  for (size_t part = 0; part < sums.size(); ++part) {
    sums[part]->Add(segment, rows, x, residual + part * stride);
  }
}

void Join(const PartSums& sums) {
  for (const auto& part : sums) part->Join();
}

// Useful flops a token: of the output map, and of all input maps.
struct MapFlops {
  explicit MapFlops(const FfnShape& shape)
      : out(2.0 * static_cast<double>(shape.width * shape.outputs)),
        in(2.0 * static_cast<double>(shape.width * shape.inputs * shape.parts())) {}
  double out, in;
};

FfnShape OnPages(FfnShape shape, const TokenPages& tokens) {
  shape.page = std::min(kFfnPage, tokens.flight());
  shape.segments = tokens.segments();
  return shape;
}

Needs WithFlops(Needs needs, const TokenPages& tokens, double each) {
  needs.float_flops = each * static_cast<double>(tokens.held());
  return needs;
}

}  // namespace

std::vector<Statistics::Sizes> SizesOf(const FfnShape& shape, bool gram) {
  std::vector<Statistics::Sizes> sizes;
  for (size_t part = 0; part < shape.parts(); ++part) {
    sizes.push_back({shape.inputs, gram && part == 0, shape.width});
  }
  return sizes;
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

Needs GradientNeeds(const Context& context, FfnShape shape, const TokenPages& tokens) {
  const PassCounts n(context, shape);
  const size_t parts = shape.parts();
  shape = OnPages(shape, tokens);
  const size_t sums = std::max(SumCount(shape.width, std::max(shape.width, shape.inputs)),
                               SumCount(shape.inputs, shape.inputs));
  Needs own;
  if (context.gpu) {
    own = PassNeedsOnDevice(*context.gpu, shape, FfnPass::kGradient, true, sums);
  } else {
    std::vector<Statistics::Sizes> all = SizesOf(shape, true);
    all.insert(all.end(), parts, {shape.width, true});
    own = Activations::NeedsOf(n, parts) + HeldFloats(parts * n.page + n.chunk_outputs) +
          Statistics::WaitingNeeds(context, all, tokens);
  }
  const MapFlops flops(shape);
  const double grams = static_cast<double>(parts) * Statistics::GramFlops(shape.width, 1) +
                       Statistics::GramFlops(shape.inputs, 1);
  return WithFlops(own + tokens.View(shape.inputs) + tokens.View(shape.outputs), tokens,
                   2 * flops.in + 2 * flops.out + grams);
}

Needs ProductNeeds(const Context& context, FfnShape shape, const TokenPages& tokens, bool sums) {
  const PassCounts n(context, shape);
  const size_t parts = shape.parts();
  shape = OnPages(shape, tokens);
  Needs own;
  if (context.gpu) {
    own = PassNeedsOnDevice(*context.gpu, shape, FfnPass::kProduct, sums,
                            sums ? SumCount(shape.width, shape.inputs) : 0);
  } else {
    own = Activations::NeedsOf(n, parts) +
          HeldFloats(parts * n.chunks + n.chunk_outputs + (sums ? parts * n.page : 0));
    if (sums) own += Statistics::WaitingNeeds(context, SizesOf(shape, false), tokens);
  }
  const MapFlops flops(shape);
  return WithFlops(own + tokens.View(shape.inputs), tokens,
                   2 * flops.in + flops.out + (sums ? flops.in + flops.out : 0));
}

Needs HiddenNeeds(const Context& context, FfnShape shape, const TokenPages& tokens) {
  const PassCounts n(context, shape);
  shape = OnPages(shape, tokens);
  const size_t sums =
      std::max(SumCount(shape.width, shape.width), SumCount(shape.outputs, shape.width));
  Needs own;
  if (context.gpu) {
    own = PassNeedsOnDevice(*context.gpu, shape, FfnPass::kHidden, true, sums) +
          tokens.View(shape.outputs);
  } else {
    const Statistics::Sizes sizes[] = {{shape.width, true, shape.outputs}};
    own = HeldFloats(shape.parts() * n.chunks + n.page + n.outputs) +
          Statistics::WaitingNeeds(context, sizes, tokens);
  }
  const MapFlops flops(shape);
  return WithFlops(own + tokens.View(shape.inputs), tokens,
                   flops.in + 2 * flops.out + Statistics::GramFlops(shape.width, 1));
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
  const PassCounts& n = activations.counts();
  Buffer<float> gradients = context.Allocate<float>(map.parts() * n.page);
  Buffer<float> missed = context.Allocate<float>(n.chunk_outputs);
  std::vector<FfnError> each(kFfnPage);  // summed in order, whoever made it
  const Segments segments = SegmentsOf(tokens);
  SegmentSums<FfnError> errors({}, segments.follow());
  PagedMatrix* const down = map.down.get();
  const PendingBytes pending(*context.budget, Unmade(sums, segments) + Unmade(moments, segments));
  const PackedWeights packed(context, TokensOf(pages), Matrices({&map.in}, {down}), {down});
  for (const FfnPage& page : pages) {
    AnnouncePage(context, page, {tokens.inputs.get(), tokens.targets.get()}, {&map.in},
                 {down, down});
    const auto [row, rows] = page;
    const size_t segment = segments.At(row);
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
    AddParts(sums, segment, rows, x.data(), gradients.data(), stride);
    for (size_t part = 0; part < map.parts(); ++part) {
      moments[part]->Add(segment, rows, activations.slopes(part), nullptr);
    }
    FfnError& error = errors.At(segment);
    for (size_t i = 0; i < rows; ++i) error += each[i];
  }
  Join(sums);
  Join(moments);
  return JoinedTotal(context, tokens.inputs->share(), errors);
}

double AddProduct(Context& context, const FfnMap& map, const FfnTokens& tokens,
                  const std::vector<FfnPage>& pages, const InputWeights& v, const PartSums& sums) {
  if (context.gpu) return AddProductOnDevice(*context.gpu, context, map, tokens, pages, v, sums);
  const size_t out = map.outputs, chunk = FfnChunk(context);
  Activations activations(context, map);
  const PassCounts& n = activations.counts();
  const size_t stride = n.page, part = n.chunk;
  Buffer<float> changes = context.Allocate<float>(map.parts() * n.chunks);
  Buffer<float> moves = context.Allocate<float>(n.chunk_outputs);
  Buffer<float> gradients = context.Allocate<float>(sums.size() * n.page);
  std::vector<double> each(kFfnPage);
  const Segments segments = SegmentsOf(tokens);
  SegmentSums<double> totals({}, segments.follow());
  PagedMatrix* const down = map.down.get();
  // Forth, and back where there are sums.
  PagedMatrix* const back = sums.empty() ? nullptr : down;
  const PendingBytes pending(*context.budget, Unmade(sums, segments));
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
    const size_t segment = segments.At(row);
    AddParts(sums, segment, rows, x.data(), gradients.data(), stride);
    double& total = totals.At(segment);
    for (size_t i = 0; i < rows; ++i) total += each[i];
  }
  Join(sums);
  return JoinedTotal(context, tokens.inputs->share(), totals);
}

void AddHidden(Context& context, const FfnMap& map, const FfnTokens& tokens, Statistics& sums) {
  if (context.gpu) return AddHiddenOnDevice(*context.gpu, context, map, tokens, sums);
  const PassCounts n(context, ShapeOf(map));
  const size_t out = map.outputs, part = n.chunk;
  Buffer<float> pre = context.Allocate<float>(map.parts() * n.chunks);
  Buffer<float> hidden = context.Allocate<float>(n.page);
  Buffer<float> missed = context.Allocate<float>(n.outputs);
  const Segments segments = SegmentsOf(tokens);
  PagedMatrix* const down = map.down.get();
  const PendingBytes pending(*context.budget, sums.Unmade(segments));
  const std::vector<FfnPage> pages = HeldPages(tokens, AllPages(tokens));
  const PackedWeights packed(context, TokensOf(pages), Matrices({&map.in}, {down}));
  for (const FfnPage& page : pages) {
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
    sums.Add(segments.At(row), rows, hidden.data(), missed.data());
  }
  sums.Join();
}

}  // namespace struprune

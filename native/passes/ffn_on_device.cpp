#include "passes/ffn_on_device.h"

#include <algorithm>

namespace struprune {
namespace {

constexpr size_t kMostWays = 64;
// Pages are halved down to so many rows before there are more ways, since every page adds to all of
// the band's doubles; and where no band fits with those, down to so many.
constexpr size_t kFewRows = 512, kLeastRows = 64;

// Sets the bytes of a plan.
void Measure(const CudaDevice& gpu, const FfnShape& shape, FfnPass pass, FfnPlan& plan) {
  const BodyBytes bytes = FfnBytes(gpu, {shape, pass, plan.flight, plan.band});
  plan.device_bytes = bytes.device, plan.pinned_bytes = bytes.pinned;
}

FfnShape ShapeOf(const FfnMap& map, const FfnTokens& tokens, const std::vector<FfnPage>& pages) {
  FfnShape shape = ShapeOf(map);
  shape.segments = SegmentsOf(tokens);
  shape.page = 1;
  for (const FfnPage& page : pages) shape.page = std::max(shape.page, page.rows);
  return shape;
}

// One pass over the pages, in ways by bands of channels.
class Pass {
 public:
  Pass(const CudaDevice& gpu, Context& context, const FfnMap& map, const FfnTokens& tokens,
       const std::vector<FfnPage>& pages, FfnPass pass, bool sums,
       const InputWeights* change = nullptr)
      : map_(map),
        pages_(pages),
        plan_(PlanFfn(gpu, ShapeOf(map, tokens, pages), pass, sums)),
        pinned_(gpu, context.budget, plan_.pinned_bytes),
        body_(gpu, context, map, tokens,
              {ShapeOf(map, tokens, pages), pass, plan_.flight, plan_.band}) {
    pinned_.Taken();
    body_.LoadWeights(change);
  }

  // visit(body, row, count, last) after each way: sums of those channels can be read then.
  template <typename Visit>
  void Run(Visit visit) {
    for (size_t way = 0; way < plan_.ways; ++way) {
      const size_t row = way * plan_.band, count = std::min(plan_.band, map_.width - row);
      const bool last = way + 1 == plan_.ways;
      body_.Way(pages_, row, count, last);
      visit(body_, row, count, last);
    }
  }

 private:
  const FfnMap& map_;
  const std::vector<FfnPage>& pages_;
  const FfnPlan plan_;
  const PinnedMemory pinned_;
  FfnBody body_;
};

// Columns of the input weights' gradient that a way made, by part.
void AddGradients(FfnBody& body, const PartSums& sums, size_t row, size_t inputs) {
  for (size_t part = 0; part < sums.size(); ++part) {
    body.Read(body.Gradient(part), [&](size_t at, size_t some, const double* rows) {
      sums[part]->AddCrossRows(row + at, some, 0, inputs, rows);
    });
  }
}

}  // namespace

FfnPlan PlanFfn(const CudaDevice& gpu, const FfnShape& shape, FfnPass pass, bool sums) {
  const cuda::MemoryReport memory = gpu.memory();
  const uint64_t room = memory.limit - memory.used;
  FfnPlan plan;
  for (const size_t least : {kFewRows, kLeastRows}) {
    for (size_t parts = 1; parts <= (sums ? kMostWays : 1); parts *= 2) {
      // Bands that begin at whole 16 bytes of bf16, as those of a site.
      const size_t band = std::min(shape.width, ((shape.width + parts - 1) / parts + 7) / 8 * 8);
      plan.band = sums ? band : 0;
      plan.ways = sums ? (shape.width + band - 1) / band : 1;
      for (size_t rows = shape.page;; rows = (rows + 1) / 2) {
        plan.flight = rows;
        Measure(gpu, shape, pass, plan);
        if (plan.device_bytes <= room) return plan;
        if ((rows + 1) / 2 < least) break;
      }
    }
  }
  ThrowNoRoom("the refit of gate and up", plan.device_bytes, room,
              "raise --device-memory, or choose --ffn-solver output");
}

Needs PassNeedsOnDevice(const CudaDevice& gpu, const FfnShape& shape, FfnPass pass, bool has_sums,
                        size_t sums) {
  const FfnPlan plan = PlanFfn(gpu, shape, pass, has_sums);
  // How many channels stay is known later: of fewer, larger pages fit, up to the whole one.
  FfnPlan whole = plan;
  whole.flight = shape.page;
  Measure(gpu, shape, pass, whole);
  const cuda::MemoryReport memory = gpu.memory();
  const bool binds = plan.ways > 1 || plan.flight < shape.page;
  Needs needs = Held(whole.pinned_bytes) + HeldDoubles(sums);
  needs.device = binds ? memory.limit : memory.used + plan.device_bytes;
  needs.passes = plan.ways;
  return needs;
}

FfnError AddGradientOnDevice(const CudaDevice& gpu, Context& context, const FfnMap& map,
                             const FfnTokens& tokens, const std::vector<FfnPage>& pages,
                             const PartSums& sums, const PartSums& moments) {
  Pass pass(gpu, context, map, tokens, pages, FfnPass::kGradient, true);
  FfnError error;
  pass.Run([&](FfnBody& body, size_t row, size_t, bool last) {
    AddGradients(body, sums, row, map.inputs);
    for (size_t part = 0; part < map.parts(); ++part) {
      body.Read(body.Curvature(part), [&](size_t at, size_t some, const double* rows) {
        moments[part]->AddGramRows(row + at, some, rows);
      });
    }
    if (!last) return;
    body.Read(body.Gram(), [&](size_t at, size_t some, const double* rows) {
      sums[0]->AddGramRows(at, some, rows);
    });
    auto squares = context.Allocate<double>(map.inputs), of = context.Allocate<double>(map.inputs);
    body.ReadTotals({.squares = squares.data(),
                     .sums = of.data(),
                     .energy = &error.error,
                     .target = &error.target});
    sums[0]->AddSums(TokensOf(pages), squares.data(), of.data(), nullptr, 0);
  });
  return error;
}

double AddProductOnDevice(const CudaDevice& gpu, Context& context, const FfnMap& map,
                          const FfnTokens& tokens, const std::vector<FfnPage>& pages,
                          const InputWeights& v, const PartSums& sums) {
  Pass pass(gpu, context, map, tokens, pages, FfnPass::kProduct, !sums.empty(), &v);
  double total = 0;
  pass.Run([&](FfnBody& body, size_t row, size_t, bool last) {
    AddGradients(body, sums, row, map.inputs);
    if (last) body.ReadTotals({.energy = &total});
  });
  return total;
}

void AddHiddenOnDevice(const CudaDevice& gpu, Context& context, const FfnMap& map,
                       const FfnTokens& tokens, Statistics& sums) {
  const std::vector<FfnPage> pages = AllPages(tokens);
  Pass pass(gpu, context, map, tokens, pages, FfnPass::kHidden, true);
  pass.Run([&](FfnBody& body, size_t row, size_t count, bool last) {
    body.Read(body.Gram(), [&](size_t at, size_t some, const double* rows) {
      sums.AddGramRows(row + at, some, rows);
    });
    body.Read(body.Cross(), [&](size_t at, size_t some, const double* rows) {
      sums.AddCrossRows(at, some, row, count, rows);
    });
    if (!last) return;
    auto squares = context.Allocate<double>(map.width), of = context.Allocate<double>(map.width);
    auto missed = context.Allocate<double>(map.outputs);
    double energy = 0;
    body.ReadTotals({.squares = squares.data(),
                     .sums = of.data(),
                     .output_sums = missed.data(),
                     .energy = &energy});
    sums.AddSums(TokensOf(pages), squares.data(), of.data(), missed.data(), energy);
  });
}

}  // namespace struprune

#include "passes/ffn_on_device.h"

#include <algorithm>
#include <string>

#include "backend/host_pages.h"
#include "passes/site_plan.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;
using cuda::FfnPass;
using cuda::FfnRows;
using cuda::FfnWeight;

constexpr size_t kMostWays = 64;
// Pages are halved down to so many rows before there are more ways, since every page adds to all of
// the band's doubles; and where no band fits with those, down to so many.
constexpr size_t kFewRows = 512, kLeastRows = 64;

cuda::FfnSpec SpecOf(const CudaDevice& gpu, const FfnShape& shape, FfnPass pass) {
  cuda::FfnSpec spec{};
  spec.pass = pass;
  spec.inputs = Int(shape.inputs);
  spec.width = Int(shape.width);
  spec.outputs = Int(shape.outputs);
  spec.gate = GateOf(shape.activation);
  spec.gated = shape.gated;
  const bool judged = pass != FfnPass::kHidden;
  spec.forward = judged ? SearchPrecision(gpu.options().forward) : gpu.options().forward;
  spec.gram = judged ? SearchPrecision(gpu.options().gram) : gpu.options().gram;
  return spec;
}

FfnRows RowsOf(FfnRows first, size_t part) {
  return static_cast<FfnRows>(static_cast<int>(first) + static_cast<int>(part));
}

// One pass over the pages, in ways by bands of channels.
class Pass {
 public:
  Pass(const CudaDevice& gpu, Context& context, const FfnMap& map, const FfnTokens& tokens,
       const std::vector<FfnPage>& pages, FfnPass pass, bool sums)
      : gpu_(gpu),
        context_(context),
        map_(map),
        tokens_(tokens),
        pages_(pages),
        takes_targets_(pass != FfnPass::kProduct),
        plan_(PlanFfn(gpu, ShapeOf(map, pages), pass, sums)),
        pinned_(gpu, context.budget, plan_.pinned_bytes),
        ffn_(gpu) {
    cuda::FfnSpec spec = SpecOf(gpu, ShapeOf(map, pages), pass);
    spec.flight = Int(plan_.flight);
    spec.band = Int(plan_.band);
    // The move of a product has no bias.
    const bool biased = takes_targets_ && !map.bias.empty();
    gpu.Call(&cuda::Api::ffn_open, &spec, biased ? map.bias.data() : nullptr, ffn_.out());
    pinned_.Taken();
    Load(FfnWeight::kDown, *map.down);
    Load(FfnWeight::kFirst, map.in);
  }

  void Load(FfnWeight first, const InputWeights& parts) {
    for (size_t part = 0; part < parts.size(); ++part) {
      Load(static_cast<FfnWeight>(static_cast<int>(first) + static_cast<int>(part)), *parts[part]);
    }
  }

  // visit(row, count, last) after each way: rows of the sums of those channels can be read then.
  template <typename Visit>
  void Run(Visit visit) {
    for (size_t way = 0; way < plan_.ways; ++way) {
      const size_t row = way * plan_.band, count = std::min(plan_.band, map_.width - row);
      const bool last = way + 1 == plan_.ways;
      gpu_.Call(&cuda::Api::ffn_way, ffn_.get(), Int(row), Int(count), last);
      for (const FfnPage& page : pages_) Push(page);
      visit(row, count, last);
    }
  }

  // add(at, count, rows) for rows [0, total) of one of the sums, a few at a time.
  template <typename Add>
  void Read(FfnRows which, size_t total, size_t width, Add add) const {
    const auto read = [&](size_t at, size_t count, double* rows) {
      gpu_.Call(&cuda::Api::ffn_rows, ffn_.get(), which, Int(at), Int(count), rows);
    };
    BringSums(gpu_, context_, total, width, read, add);
  }

  void ReadSums(const cuda::FfnSums& sums) const {
    gpu_.Call(&cuda::Api::ffn_sums, ffn_.get(), &sums);
  }

 private:
  static FfnShape ShapeOf(const FfnMap& map, const std::vector<FfnPage>& pages) {
    size_t page = 1;
    for (const FfnPage& each : pages) page = std::max(page, each.rows);
    return {map.activation, map.parts() == 2, map.inputs, map.width, map.outputs, page};
  }

  void Load(FfnWeight which, PagedMatrix& weight) {
    SendRows(
        gpu_, context_, weight,
        [&](cuda::WeightRows* rows) { gpu_.Call(&cuda::Api::ffn_weight_stage, ffn_.get(), rows); },
        [&](size_t row, size_t count) {
          gpu_.Call(&cuda::Api::ffn_weight, ffn_.get(), which, Int(row), Int(count));
        });
  }

  void Push(const FfnPage& page) {
    PagedMatrix* const targets = takes_targets_ ? tokens_.targets.get() : nullptr;
    const Stream streams[] = {{tokens_.inputs.get(), Access::kRead}, {targets, Access::kRead}};
    AnnounceFlight(page.row, streams, {});
    for (size_t at = 0; at < page.rows; at += plan_.flight) {
      context_.CheckAbort();
      const size_t row = page.row + at, rows = std::min(plan_.flight, page.rows - at);
      cuda::FfnTokenPage to{};
      gpu_.Call(&cuda::Api::ffn_stage, ffn_.get(), &to);
      const auto copy = [&](PagedMatrix& from, float* pinned) {
        const PagedMatrix::View view(from, row, rows, Access::kRead);
        CopyPage(gpu_, context_, view.data(), pinned, rows * from.cols());
      };
      copy(*tokens_.inputs, to.inputs);
      if (targets) copy(*targets, to.targets);
      gpu_.Call(&cuda::Api::ffn_push, ffn_.get(), Int(rows));
    }
  }

  const CudaDevice& gpu_;
  Context& context_;
  const FfnMap& map_;
  const FfnTokens& tokens_;
  const std::vector<FfnPage>& pages_;
  const bool takes_targets_;
  const FfnPlan plan_;
  const PinnedMemory pinned_;
  OnDevice<cuda::Ffn, &cuda::Api::ffn_close> ffn_;
};

}  // namespace

cuda::Precision SearchPrecision(cuda::Precision calibration) {
  return calibration == cuda::Precision::kBf16x3 ? cuda::Precision::kBf16 : calibration;
}

FfnPlan PlanFfn(const CudaDevice& gpu, const FfnShape& shape, FfnPass pass, bool sums) {
  cuda::FfnSpec spec = SpecOf(gpu, shape, pass);
  const cuda::MemoryReport memory = gpu.memory();
  const uint64_t room = memory.limit - memory.used;
  FfnPlan plan;
  for (const size_t least : {kFewRows, kLeastRows}) {
    for (size_t parts = 1; parts <= (sums ? kMostWays : 1); parts *= 2) {
      // Bands that begin at whole 16 bytes of bf16, as those of a site.
      const size_t band = std::min(shape.width, ((shape.width + parts - 1) / parts + 7) / 8 * 8);
      plan.band = sums ? band : 0;
      plan.ways = sums ? (shape.width + band - 1) / band : 1;
      spec.band = Int(plan.band);
      for (size_t rows = shape.page;; rows = (rows + 1) / 2) {
        plan.flight = rows;
        spec.flight = Int(rows);
        gpu.Call(&cuda::Api::ffn_bytes, &spec, &plan.device_bytes, &plan.pinned_bytes);
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
  cuda::FfnSpec spec = SpecOf(gpu, shape, pass);
  spec.flight = Int(shape.page);
  spec.band = Int(plan.band);
  uint64_t device = 0, pinned = 0;
  gpu.Call(&cuda::Api::ffn_bytes, &spec, &device, &pinned);
  const cuda::MemoryReport memory = gpu.memory();
  const bool binds = plan.ways > 1 || plan.flight < shape.page;
  Needs needs = Held(pinned) + HeldDoubles(sums);
  needs.device = binds ? memory.limit : memory.used + plan.device_bytes;
  needs.passes = plan.ways;
  return needs;
}

FfnError AddGradientOnDevice(const CudaDevice& gpu, Context& context, const FfnMap& map,
                             const FfnTokens& tokens, const std::vector<FfnPage>& pages,
                             const PartSums& sums, const PartSums& moments) {
  Pass pass(gpu, context, map, tokens, pages, FfnPass::kGradient, true);
  FfnError error;
  pass.Run([&](size_t row, size_t count, bool last) {
    for (size_t part = 0; part < map.parts(); ++part) {
      pass.Read(RowsOf(FfnRows::kFirstGradient, part), count, map.inputs,
                [&](size_t at, size_t some, const double* rows) {
                  sums[part]->AddCrossRows(row + at, some, 0, map.inputs, rows);
                });
      pass.Read(RowsOf(FfnRows::kFirstCurvature, part), count, map.width,
                [&](size_t at, size_t some, const double* rows) {
                  moments[part]->AddGramRows(row + at, some, rows);
                });
    }
    if (!last) return;
    pass.Read(
        FfnRows::kGram, map.inputs, map.inputs,
        [&](size_t at, size_t some, const double* rows) { sums[0]->AddGramRows(at, some, rows); });
    auto squares = context.Allocate<double>(map.inputs), of = context.Allocate<double>(map.inputs);
    pass.ReadSums({squares.data(), of.data(), nullptr, &error.error, &error.target});
    sums[0]->AddSums(TokensOf(pages), squares.data(), of.data(), nullptr, 0);
  });
  return error;
}

double AddProductOnDevice(const CudaDevice& gpu, Context& context, const FfnMap& map,
                          const FfnTokens& tokens, const std::vector<FfnPage>& pages,
                          const InputWeights& v, const PartSums& sums) {
  Pass pass(gpu, context, map, tokens, pages, FfnPass::kProduct, !sums.empty());
  pass.Load(FfnWeight::kFirstChange, v);
  double total = 0;
  pass.Run([&](size_t row, size_t count, bool last) {
    for (size_t part = 0; part < sums.size(); ++part) {
      pass.Read(RowsOf(FfnRows::kFirstGradient, part), count, map.inputs,
                [&](size_t at, size_t some, const double* rows) {
                  sums[part]->AddCrossRows(row + at, some, 0, map.inputs, rows);
                });
    }
    if (last) pass.ReadSums({nullptr, nullptr, nullptr, &total, nullptr});
  });
  return total;
}

void AddHiddenOnDevice(const CudaDevice& gpu, Context& context, const FfnMap& map,
                       const FfnTokens& tokens, Statistics& sums) {
  const std::vector<FfnPage> pages = AllPages(tokens);
  Pass pass(gpu, context, map, tokens, pages, FfnPass::kHidden, true);
  pass.Run([&](size_t row, size_t count, bool last) {
    pass.Read(FfnRows::kGram, count, map.width, [&](size_t at, size_t some, const double* rows) {
      sums.AddGramRows(row + at, some, rows);
    });
    pass.Read(FfnRows::kCross, map.outputs, count, [&](size_t at, size_t some, const double* rows) {
      sums.AddCrossRows(at, some, row, count, rows);
    });
    if (!last) return;
    auto squares = context.Allocate<double>(map.width), of = context.Allocate<double>(map.width);
    auto missed = context.Allocate<double>(map.outputs);
    double energy = 0;
    pass.ReadSums({squares.data(), of.data(), missed.data(), &energy, nullptr});
    sums.AddSums(TokensOf(pages), squares.data(), of.data(), missed.data(), energy);
  });
}

}  // namespace struprune

#include "selftest/rates.h"

#include <chrono>
#include <cstdio>
#include <functional>
#include <thread>

#include "backend/host_pages.h"
#include "gpu_support.h"
#include "passes/ffn_on_device.h"
#include "passes/head_body.h"
#include "passes/head_on_device.h"
#include "passes/site_on_device.h"
#include "reference_block.h"

namespace struprune::test {
namespace {

constexpr int kRepeats = 10;
constexpr double kMiB = 1 << 20;
// What a Gram matrix is to reach of the rate of a product.
constexpr double kShareAsked = 0.7;

// Seconds of one call, the best of kRepeats after one that warms up.
double SecondsOf(const CudaDevice& gpu, const std::function<void()>& fn) {
  const StreamClock clock(gpu);
  fn();
  double best = 1e9;
  for (int i = 0; i < kRepeats; ++i) {
    double seconds = 0;
    clock.Time(seconds, fn);
    best = std::min(best, seconds);
  }
  return best;
}

struct Rates {
  double product = 0, gram = 0;  // TFLOP/s
};

// XᵀX for X[rows, dim] twice: as a product of floats, its operands rounded on the way; and as a
// Gram matrix in doubles, whose useful flops are half of that.
Rates Measure(const CudaDevice& gpu, size_t rows, size_t dim, const GpuKind& kind) {
  const auto x = Upload(gpu, RandomValues<float>(rows * dim, 1));
  const double flops = 2e-12 * static_cast<double>(rows) * static_cast<double>(dim * dim);
  Rates rates;
  {
    const CudaArray<float> c(gpu, dim * dim);
    rates.product =
        flops / SecondsOf(gpu, [&] {
          gpu.Call(&cuda::Api::gemm_f32, true, false, Int(dim), Int(dim), Int(rows), 1, x.data(),
                   Int(dim), x.data(), Int(dim), 0, c.data(), Int(dim), kind.precision);
        });
  }
  const CudaArray<double> gram(gpu, dim * dim);
  gpu.Call(&cuda::Api::fill, gram.data(), 0, Int(dim * dim * sizeof(double)));
  rates.gram = 0.5 * flops / SecondsOf(gpu, [&] {
                 gpu.Call(&cuda::Api::gram_add, Int(rows), Int(dim), x.data(), 0, Int(dim),
                          gram.data(), kind.precision);
               });
  return rates;
}

void PrintProducts(size_t rows, size_t dim, const std::shared_ptr<CudaDevice>& own,
                   const std::shared_ptr<CudaDevice>& libraries) {
  std::printf("X [%zu, %zu], TFLOP/s; a Gram matrix counts half of the product's flops\n", rows,
              dim);
  for (const GpuKind& kind : AllKinds()) {
    const auto& gpu = kind.libraries ? libraries : own;
    if (!gpu) continue;
    const Rates rates = Measure(*gpu, rows, dim, kind);
    std::printf("%-17s product %7.2f  Gram %7.2f", NameOf(kind).c_str(), rates.product, rates.gram);
    // The same product whole takes twice the flops.
    std::printf("  Gram/product %.2f in useful flops, %.2f in time (asked: %.2f)",
                rates.gram / rates.product, 2 * rates.gram / rates.product, kShareAsked);
    std::printf("\n");
  }
}

// Of a prefill: all windows see all earlier keys, the causal half of S² twice.
void PrintAttention(const CudaDevice& gpu, size_t heads, size_t head_dim) {
  const size_t window = 2048, cells = window * heads * head_dim;
  const auto values = RandomValues<float>(cells, 2);
  const auto q = Upload(gpu, values), k = Upload(gpu, values), v = Upload(gpu, values);
  const CudaArray<float> out(gpu, cells);
  const cuda::AttentionShape shape{Int(window), Int(heads), Int(heads), Int(head_dim),
                                   0,           0.1f,       0,          nullptr};
  const double seconds = SecondsOf(gpu, [&] {
    gpu.Call(&cuda::Api::attention, &shape, 1, q.data(), k.data(), v.data(), out.data());
  });
  std::printf("attention of %zu heads of %zu over %zu tokens: %.2f ms, %.2f TFLOP/s in fp32\n",
              heads, head_dim, window, 1e3 * seconds,
              2e-12 * static_cast<double>(cells * window) / seconds);
}

void PrintMemory(const char* what, const CudaDevice& gpu) {
  const cuda::MemoryReport memory = gpu.memory();
  std::printf("memory, %s: peak %.1f MiB of a budget of %.1f MiB\n", what,
              static_cast<double>(memory.peak) / kMiB, static_cast<double>(memory.limit) / kMiB);
}

// How long `run` takes, and where the time goes.
void PrintRun(const CudaDevice& gpu, const char* what, size_t ways, size_t flight,
              const std::function<void()>& run) {
  const StreamTimes before = gpu.times();
  const double host = gpu.host_seconds();
  const auto start = std::chrono::steady_clock::now();
  run();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const StreamTimes after = gpu.times();
  std::printf(
      "  %s: %.2f s in %zu passes of %zu tokens at a time; copies on the host %.2f s; streams: "
      "copies in %.2f s, forward %.2f s, sums %.2f s, copies out %.2f s\n",
      what, seconds.count(), ways, flight, gpu.host_seconds() - host,
      after.copy_in - before.copy_in, after.forward - before.forward, after.sums - before.sums,
      after.copy_out - before.copy_out);
}

// The passes of Gauss-Newton on the FFN of such a block, and that of the refit after it.
void PrintFfn(const CudaDevice& gpu, const BlockShape& shape,
              const std::shared_ptr<Context>& context, const std::shared_ptr<PageStore>& store) {
  const size_t tokens = 4 * shape.window;
  const auto random = [&](size_t rows, size_t cols, uint32_t seed) {
    auto matrix = std::make_shared<PagedMatrix>(store, rows, cols);
    const auto values = RandomValues<float>(rows * cols, seed);
    matrix->Write(0, rows, values.data());
    return matrix;
  };
  FfnMap map;
  map.activation = Activation::kRelu;
  map.inputs = map.outputs = shape.hidden, map.width = shape.ffn;
  map.in = {random(shape.ffn, shape.hidden, 5)};
  map.down = random(shape.hidden, shape.ffn, 6);
  const InputWeights change = {random(shape.ffn, shape.hidden, 7)};
  const FfnTokens of = {random(tokens, shape.hidden, 8), random(tokens, shape.hidden, 9)};
  const auto pages = AllPages(of);
  const FfnShape ffn{map.activation, false, map.inputs, map.width, map.outputs, pages[0].rows};
  const auto print = [&](const char* what, FfnPass pass, bool sums,
                         const std::function<void()>& run) {
    const FfnPlan plan = PlanFfn(gpu, ffn, pass, sums);
    PrintRun(gpu, what, plan.ways, plan.flight, run);
  };
  const TileSpace space = InMemory(context);
  const auto statistics = [&](size_t dim, bool gram, size_t residual) {
    return std::make_unique<Statistics>(space, dim, gram, residual);
  };
  print("gradient", FfnPass::kGradient, true, [&] {
    PartSums sums, moments;
    sums.push_back(statistics(map.inputs, true, map.width));
    moments.push_back(statistics(map.width, true, 0));
    AddGradientOnDevice(gpu, *context, map, of, pages, sums, moments);
  });
  print("product", FfnPass::kProduct, true, [&] {
    PartSums sums;
    sums.push_back(statistics(map.inputs, false, map.width));
    AddProductOnDevice(gpu, *context, map, of, pages, change, sums);
  });
  print("hidden", FfnPass::kHidden, true, [&] {
    const auto sums = statistics(map.width, true, map.outputs);
    AddHiddenOnDevice(gpu, *context, map, of, *sums);
  });
}

// Scores of tokens by a head, whose table is one piece over and over: what the GPU and the bus
// take.
void PrintHead(const CudaDevice& gpu, const BlockShape& shape) {
  const HeadPlan plan = PlanHead(gpu, shape.hidden, shape.vocab, 4 * shape.window, false);
  const auto values = RandomValues<float>(kHeadPiece * shape.hidden, 10);
  const HeadBody::Fill fill = [&](size_t, size_t count, float* to) {
    std::copy_n(values.data(), count * shape.hidden, to);
  };
  Context context(1, 0);
  HeadBody head(gpu, context, {shape.hidden, plan.flight, kHeadPiece, false}, 0);
  PrintRun(gpu, "head, its table copied by one thread", 1, plan.flight, [&] {
    std::vector<double> log_sum(plan.flight);
    head.Run(plan.flight, nullptr, fill, shape.vocab, fill);
    head.Read({.log_sum = log_sum.data()});
  });
}

}  // namespace

void PrintRates() {
  const auto own = OpenGpu(false), libraries = OpenGpu(true);
  const bool large = TestedGpu().large;
  // Attention's and the FFN's width of a Llama of 7B, a page of tokens.
  for (const size_t dim : large ? std::vector<size_t>{4096, 11008} : std::vector<size_t>{96}) {
    PrintProducts(large ? 4096 : 64, dim, own, libraries);
  }
  if (large) {
    PrintAttention(*own, 32, 128);
    PrintAttention(*own, 32, 64);
  }
  PrintMemory("built-in", *own);
  if (libraries) PrintMemory("libraries", *libraries);
}

void PrintBlock(uint64_t budget, const BlockShape& shape) {
  DecoderSpec spec;
  spec.hidden = shape.hidden, spec.ffn = shape.ffn;
  spec.heads = spec.kv_heads = shape.heads, spec.head_dim = shape.hidden / shape.heads;
  spec.norm = NormKind::kLayer, spec.gated = false, spec.activation = Activation::kRelu;
  const size_t tokens = 4 * shape.window;
  const auto context = std::make_shared<Context>(std::thread::hardware_concurrency(), 0);
  const auto store = std::make_shared<PageStore>(context, 0, "");
  const Block block =
      MakeBlock(context, spec, RandomWeights(spec, {true, true, true, true, true}, 3), store);
  const auto states = [&](size_t cols) {
    return std::make_unique<PagedMatrix>(store, tokens, cols, PagedMatrix::PageRows(shape.window));
  };
  const auto hidden = states(shape.hidden), dense = states(shape.hidden);
  const auto values = RandomValues<float>(tokens * shape.hidden, 4);
  hidden->Write(0, tokens, values.data());
  dense->Write(0, tokens, values.data());

  CudaOptions options = OpenGpu(false)->options();
  options.libraries = OpenGpu(true) != nullptr;
  options.budget = budget;
  options.forward = options.gram = cuda::Precision::kBf16x3;
  const CudaDevice gpu(CudaLibrary::Load(TestedGpu().library), options);
  std::printf("%s within %.0f MiB, %zu tokens in windows of %zu, Gram matrix and feedback:\n",
              shape.name, static_cast<double>(budget) / kMiB, tokens, shape.window);
  for (const size_t site : {kAttention, kFfn}) {
    const size_t width = spec.width(site);
    Statistics sums(InMemory(context), width, true, shape.hidden);
    SiteRun run;
    run.window = shape.window;
    run.advance = false;
    run.hidden = hidden.get(), run.statistics = &sums;
    run.dense_before = run.dense_after = dense.get(), run.alpha = run.beta = 0.5f;
    const SitePlan plan = PlanRun(gpu, block.sublayer(site).spec(), shape.hidden, run);
    PrintRun(gpu, site == kFfn ? "ffn" : "attention", plan.passes, plan.flight,
             [&] { RunSiteOnDevice(gpu, block.sublayer(site), run); });
  }
  PrintFfn(gpu, shape, context, store);
  PrintHead(gpu, shape);
  PrintMemory(shape.name, gpu);
}

}  // namespace struprune::test

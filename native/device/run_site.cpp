#include "device/run_site.h"

#include <algorithm>
#include <deque>
#include <optional>

namespace struprune {
namespace {

constexpr int64_t kMostPasses = 64;
// Rows of the Gram that come back at a time.
constexpr size_t kGramChunk = 256;

int64_t Int(size_t value) { return static_cast<int64_t>(value); }

cuda::Gate GateOf(Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return cuda::Gate::kSilu;
    case Activation::kRelu:
      return cuda::Gate::kRelu;
    case Activation::kGelu:
      return cuda::Gate::kGelu;
  }
  throw Error("ERR_INTERNAL", "an activation that the GPU does not know");
}

cuda::SiteSpec SpecOf(const CudaDevice& gpu, const Block& block, SiteKind site,
                      const SiteRun& run) {
  const BlockSpec& from = block.spec();
  cuda::SiteSpec spec{};
  spec.attention = site == SiteKind::kAttention;
  spec.hidden = Int(from.hidden);
  spec.width = Int(SiteWidth(from, site));
  spec.window = Int(run.window);
  spec.heads = Int(from.heads);
  spec.kv_heads = Int(from.kv_heads);
  spec.head_dim = Int(from.head_dim);
  spec.sliding = Int(from.sliding);
  spec.norm = from.norm == NormKind::kRms ? cuda::Norm::kRms : cuda::Norm::kLayer;
  spec.eps = from.eps;
  spec.post_norm = from.post_norm;
  spec.gate = GateOf(from.activation);
  spec.gated = from.gated;
  spec.advance = run.advance;
  spec.keep = run.keep != nullptr;
  spec.moments = run.statistics != nullptr;
  spec.residual = run.dense_before != nullptr;
  spec.alpha = run.alpha;
  spec.beta = run.beta;
  spec.forward = gpu.options().forward;
  spec.gram = gpu.options().gram;
  return spec;
}

cuda::SiteWeights WeightsOf(const Block& block, SiteKind site, const RopeTable* rope) {
  const auto data = [&](Role role) { return block.data(role); };
  cuda::SiteWeights w{};
  w.out = data(OutputRole(site));
  w.out_bias = data(OutputBiasRole(site));
  if (site == SiteKind::kAttention) {
    w.norm = data(Role::kAttnNorm);
    w.norm_bias = data(Role::kAttnNormBias);
    w.q = data(Role::kQ), w.q_bias = data(Role::kQBias);
    w.k = data(Role::kK), w.k_bias = data(Role::kKBias);
    w.v = data(Role::kV), w.v_bias = data(Role::kVBias);
    if (block.spec().qk_norm) w.q_norm = data(Role::kQNorm), w.k_norm = data(Role::kKNorm);
    if (rope) w.cosine = rope->cosines().data(), w.sine = rope->sines().data();
  } else {
    w.norm = data(Role::kFfnNorm);
    w.norm_bias = data(Role::kFfnNormBias);
    w.up = data(Role::kUp), w.up_bias = data(Role::kUpBias);
    if (block.spec().gated) w.gate = data(Role::kGate), w.gate_bias = data(Role::kGateBias);
  }
  return w;
}

struct Bytes {
  uint64_t device = 0, pinned = 0;
};

Bytes BytesOf(const CudaDevice& gpu, const cuda::SiteSpec& spec) {
  Bytes bytes;
  gpu.Call(&cuda::Api::site_bytes, &spec, &bytes.device, &bytes.pinned);
  return bytes;
}

struct Plan {
  int64_t flight = 0;     // tokens of a page
  int64_t gram_rows = 0;  // of a pass
  Bytes bytes;
};

// The fewest passes over the tokens that the GPU's budget allows, then the largest pages.
Plan PlanFor(const CudaDevice& gpu, cuda::SiteSpec spec, int64_t rows, bool gram) {
  const cuda::MemoryReport memory = gpu.memory();
  const uint64_t room = memory.limit - memory.used;
  Plan plan;
  for (int64_t passes = 1; passes <= (gram ? kMostPasses : 1); passes *= 2) {
    plan.gram_rows = gram ? (spec.width + passes - 1) / passes : 0;
    int64_t windows =
        Int(FlightTokens(static_cast<size_t>(spec.window), static_cast<size_t>(rows))) /
        spec.window;
    for (; windows >= 1; windows /= 2) {
      plan.flight = windows * spec.window;
      spec.flight = plan.flight;
      // The last rows: their cells up to the diagonal are the most.
      spec.gram_row = gram ? spec.width - plan.gram_rows : 0;
      spec.gram_rows = plan.gram_rows;
      plan.bytes = BytesOf(gpu, spec);
      if (plan.bytes.device <= room) return plan;
    }
  }
  throw Error("ERR_BUDGET",
              "one block needs " + std::to_string(plan.bytes.device / (1 << 20) + 1) +
                  " MiB of the GPU's memory, " + std::to_string(room / (1 << 20)) +
                  " MiB of its budget are free",
              "raise --device-memory, or use a smaller --window");
}

class PinnedCharge {
 public:
  PinnedCharge(std::shared_ptr<MemoryBudget> budget, uint64_t bytes)
      : budget_(std::move(budget)), bytes_(bytes) {
    budget_->Charge(bytes_);
  }
  ~PinnedCharge() { budget_->Release(bytes_); }
  PinnedCharge(const PinnedCharge&) = delete;
  PinnedCharge& operator=(const PinnedCharge&) = delete;

 private:
  std::shared_ptr<MemoryBudget> budget_;
  const uint64_t bytes_;
};

class OpenSite {
 public:
  OpenSite(const CudaDevice& gpu, const cuda::SiteSpec& spec, const cuda::SiteWeights& weights)
      : gpu_(gpu) {
    gpu.Call(&cuda::Api::site_open, &spec, &weights, &site_);
  }
  ~OpenSite() {
    try {
      gpu_.Call(&cuda::Api::site_close, site_);
    } catch (const Error&) {
      // The GPU has failed; the call before this one has said so.
    }
  }
  OpenSite(const OpenSite&) = delete;
  OpenSite& operator=(const OpenSite&) = delete;
  cuda::Site* get() const { return site_; }

 private:
  const CudaDevice& gpu_;
  cuda::Site* site_ = nullptr;
};

void Push(const CudaDevice& gpu, cuda::Site* site, const SiteRun& run, size_t row, size_t rows) {
  PagedMatrix::View hidden(*run.hidden, row, rows, true, false);
  std::optional<PagedMatrix::View> before, after;
  if (run.dense_before) before.emplace(*run.dense_before, row, rows, true, false);
  if (run.dense_before && run.beta != 0) after.emplace(*run.dense_after, row, rows, true, false);
  gpu.Call(&cuda::Api::site_push, site, Int(rows), hidden.data(), before ? before->data() : nullptr,
           after ? after->data() : nullptr);
}

void Pop(const CudaDevice& gpu, cuda::Site* site, const SiteRun& run, size_t row, size_t rows) {
  std::optional<PagedMatrix::View> hidden, keep;
  if (run.advance) hidden.emplace(*run.hidden, row, rows, false, true);
  if (run.keep) keep.emplace(*run.keep, row, rows, false, true);
  int32_t finite = 1;
  gpu.Call(&cuda::Api::site_pop, site, hidden ? hidden->data() : nullptr,
           keep ? keep->data() : nullptr, &finite);
  if (run.advance && finite == 0) {
    throw Error("ERR_NAN", "hidden states are no longer finite",
                "the checkpoint may be damaged, or its dtype too narrow for this text");
  }
}

void StreamPages(const CudaDevice& gpu, cuda::Site* site, const Context& context,
                 const SiteRun& run, size_t flight) {
  struct Page {
    size_t row, rows;
  };
  std::deque<Page> waiting;
  const auto pop = [&] {
    Pop(gpu, site, run, waiting.front().row, waiting.front().rows);
    waiting.pop_front();
  };
  for (size_t row = 0; row < run.hidden->rows(); row += flight) {
    context.CheckAbort();
    if (waiting.size() == 2) pop();
    const Page page{row, std::min(flight, run.hidden->rows() - row)};
    Push(gpu, site, run, page.row, page.rows);
    waiting.push_back(page);
  }
  while (!waiting.empty()) pop();
}

void ReadGram(const CudaDevice& gpu, cuda::Site* site, Context& context, Statistics& statistics,
              size_t first, size_t count) {
  auto rows = context.Allocate<double>(std::min(kGramChunk, count) * statistics.dim());
  for (size_t at = 0; at < count; at += kGramChunk) {
    const size_t some = std::min(kGramChunk, count - at);
    gpu.Call(&cuda::Api::site_gram, site, Int(at), Int(some), rows.data());
    statistics.AddGramRows(first + at, some, rows.data());
  }
}

void ReadSums(const CudaDevice& gpu, cuda::Site* site, Context& context, size_t tokens,
              Statistics& statistics) {
  const size_t dim = statistics.dim(), residual = statistics.residual_dim();
  auto squares = context.Allocate<double>(dim), sums = context.Allocate<double>(dim);
  auto cross = context.Allocate<double>(residual * dim);
  auto residual_sums = context.Allocate<double>(residual);
  double energy = 0;
  gpu.Call(&cuda::Api::site_moments, site, squares.data(), sums.data(), cross.data(),
           residual_sums.data(), &energy);
  statistics.AddSums(tokens, squares.data(), sums.data(), cross.data(), residual_sums.data(),
                     energy);
}

}  // namespace

void RunSiteOnDevice(const CudaDevice& gpu, const Block& block, SiteKind site, const SiteRun& run) {
  if (run.window == 0 || run.hidden->rows() % run.window != 0) {
    throw Error("ERR_ARGUMENT", "hidden states must hold whole windows");
  }
  Context& context = block.context();
  const size_t width = SiteWidth(block.spec(), site);
  if (run.hidden->rows() == 0) return;
  // A site without columns is its bias alone: no work for a GPU.
  if (width == 0) return RunSite(block, site, run);
  const cuda::SiteSpec whole = SpecOf(gpu, block, site, run);
  const bool gram = run.statistics && run.statistics->has_gram();
  const Plan plan = PlanFor(gpu, whole, Int(run.hidden->rows()), gram);
  const PinnedCharge pinned(context.budget, plan.bytes.pinned);
  std::optional<RopeTable> rope;
  if (site == SiteKind::kAttention && block.spec().rope) {
    rope.emplace(*block.spec().rope, block.spec().head_dim, run.window);
  }
  const cuda::SiteWeights weights = WeightsOf(block, site, rope ? &*rope : nullptr);

  const size_t part = gram ? static_cast<size_t>(plan.gram_rows) : width;
  for (size_t row = 0; row < width; row += part) {
    const size_t count = std::min(part, width - row);
    const bool last = row + count == width;
    cuda::SiteSpec spec = whole;
    SiteRun pass = run;
    spec.flight = plan.flight;
    spec.gram_row = gram ? Int(row) : 0;
    spec.gram_rows = gram ? Int(count) : 0;
    if (!last) {
      // Only the last pass moves the hidden states on and takes the other sums.
      pass.advance = false;
      pass.keep = nullptr;
      pass.dense_before = nullptr;
      spec.advance = spec.keep = spec.moments = spec.residual = 0;
    }
    const OpenSite open(gpu, spec, weights);
    StreamPages(gpu, open.get(), context, pass, static_cast<size_t>(plan.flight));
    if (gram) ReadGram(gpu, open.get(), context, *run.statistics, row, count);
    if (last && run.statistics) {
      ReadSums(gpu, open.get(), context, run.hidden->rows(), *run.statistics);
    }
  }
}

}  // namespace struprune

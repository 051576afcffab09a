#include <algorithm>

#include "cuda/reduce.h"
#include "cuda/site.h"

namespace struprune::cuda {
namespace {

int64_t If(bool condition, int64_t count) { return condition ? count : 0; }
int64_t QWidth(const SiteSpec& s) { return s.heads * s.head_dim; }
int64_t KvWidth(const SiteSpec& s) { return s.kv_heads * s.head_dim; }

// [outputs, inputs]; nothing for a map of the other site.
struct MapShape {
  int64_t outputs = 0, inputs = 0;
};
MapShape ShapeOf(const SiteSpec& s, SiteMap which) {
  const int64_t d = s.hidden;
  switch (which) {
    case SiteMap::kQ:
      return s.attention ? MapShape{QWidth(s), d} : MapShape{};
    case SiteMap::kK:
    case SiteMap::kV:
      return s.attention ? MapShape{KvWidth(s), d} : MapShape{};
    case SiteMap::kGate:
      return !s.attention && s.gated ? MapShape{s.width, d} : MapShape{};
    case SiteMap::kUp:
      return s.attention ? MapShape{} : MapShape{s.width, d};
    case SiteMap::kOut:
      return {d, s.width};
  }
  return {};
}

// Elements of the arrays of a slot and of the runner: the one list that both the allocations and
// BytesOf read.
struct Counts {
  explicit Counts(const SiteSpec& s)
      : page(s.flight * s.hidden),
        dense_before(If(s.residual, page)),
        dense_after(If(s.residual && s.beta != 0, page)),
        x(s.flight * s.width),
        out(If(s.advance, page)),
        x_out(If(s.keep, x)),
        inputs(If(s.inputs, page)),
        targets(If(s.targets, page)),
        normed(If((!s.post_norm && !s.inputs) || s.residual || s.out_norm, page)),
        q(If(s.attention, s.flight * QWidth(s))),
        kv(If(s.attention, s.flight * KvWidth(s))),
        gate(If(!s.attention && s.gated, x)),
        residual(If(s.residual, page)),
        gram(s.gram_rows * s.width),
        moments(If(s.moments, s.width)),
        band(s.gram_rows > 0 ? s.gram_rows : s.width),
        cross(If(s.residual, s.hidden * band)),
        residual_sums(If(s.residual, s.hidden)),
        stage(WeightStage::Floats(s.hidden * std::max(s.width, If(s.attention, KvWidth(s))),
                                  std::max(s.hidden, s.width))) {}
  int64_t page, dense_before, dense_after, x, out, x_out, inputs, targets, normed, q, kv, gate,
      residual, gram, moments, band, cross, residual_sums, stage;
};

uint64_t Floats(int64_t count) { return ArrayBytes<float>(count); }
uint64_t Doubles(int64_t count) { return ArrayBytes<double>(count); }

}  // namespace

void CheckSpec(const SiteSpec& s) {
  const bool sizes = s.hidden > 0 && s.width > 0 && s.window > 0 && s.flight > 0 &&
                     s.flight % s.window == 0 && s.gram_rows >= 0 && s.gram_rows <= s.width;
  const bool heads = !s.attention || (s.head_dim > 0 && s.kv_heads > 0 &&
                                      s.heads % s.kv_heads == 0 && QWidth(s) == s.width);
  if (!sizes || !heads || (s.residual && (s.post_norm || s.out_norm)) ||
      (s.attention && (s.inputs || s.targets))) {
    throw Error("ERR_ARGUMENT", "a site's shape on the GPU cannot be meant");
  }
}

RunnerBytes BytesOf(const Device& device, const SiteSpec& s) {
  const Counts n(s);
  RunnerBytes bytes{};
  const int64_t d = s.hidden, w = s.width;
  // Biases and norms that are absent make the plan a little too large, never too small.
  bytes.device = 2 * Floats(d) + 2 * Floats(If(s.out_norm, d));
  if (s.attention) {
    bytes.device += 2 * Floats(s.head_dim) + 2 * Floats(s.window * s.head_dim / 2);
  }
  for (size_t i = 0; i < kSiteMaps; ++i) {
    const auto [outputs, inputs] = ShapeOf(s, static_cast<SiteMap>(i));
    if (outputs > 0) bytes.device += LinearMap::Bytes(device, outputs, inputs, s.forward);
  }
  bytes.device += Floats(If(!s.keep, n.x)) + Floats(n.normed) + Floats(n.q) + 2 * Floats(n.kv) +
                  Floats(n.gate) + Floats(n.residual) + Doubles(n.gram) + 2 * Doubles(n.moments) +
                  Doubles(n.cross) + Doubles(n.residual_sums) + Doubles(If(s.residual, 1));
  bytes.device += kSlots * (Floats(n.page) + Floats(n.dense_before) + Floats(n.dense_after) +
                            Floats(n.x_out) + Floats(n.inputs) + Floats(n.targets) + Floats(1));
  uint64_t work = 0;
  if (n.gram > 0) work = std::max(work, GramScratch(device, s.flight, s.gram_rows, w, s.gram));
  if (s.residual) work = std::max(work, CrossScratch(device, s.flight, d, d, w, n.band, s.gram));
  work = std::max({work, LinearMap::ApplyScratch(device, s.flight, std::max(d, w), s.forward),
                   LinearMap::LoadScratch(device, n.stage, s.forward)});
  // Partial sums of ‖R‖².
  bytes.device += std::max<uint64_t>(work, Doubles(kSumBlocks));
  bytes.pinned =
      kSlots * (Floats(n.page) + Floats(n.dense_before) + Floats(n.dense_after) + Floats(n.out) +
                Floats(n.x_out) + Floats(n.inputs) + Floats(n.targets) + Floats(1)) +
      WeightStage::PinnedBytes(n.stage);
  return bytes;
}

Slot::Slot(Device& device, const SiteSpec& spec) {
  const Counts n(spec);
  in = Pinned<float>(device.pinned, n.page);
  before = Pinned<float>(device.pinned, n.dense_before);
  after = Pinned<float>(device.pinned, n.dense_after);
  out = Pinned<float>(device.pinned, n.out);
  x_out = Pinned<float>(device.pinned, n.x_out);
  inputs_out = Pinned<float>(device.pinned, n.inputs);
  targets_out = Pinned<float>(device.pinned, n.targets);
  finite_out = Pinned<int32_t>(device.pinned, 1);
  hidden = device.Allocate<float>(n.page);
  dense_before = device.Allocate<float>(n.dense_before);
  dense_after = device.Allocate<float>(n.dense_after);
  x = device.Allocate<float>(n.x_out);
  inputs = device.Allocate<float>(n.inputs);
  targets = device.Allocate<float>(n.targets);
  finite = device.Allocate<int32_t>(1);
}

SiteRunner::SiteRunner(Device& device, const SiteSpec& spec, const SiteVectors& vectors)
    : device_(device),
      spec_(spec),
      slots_{{device, spec}, {device, spec}},
      stage_(device, Counts(spec).stage) {
  const int64_t d = spec.hidden;
  const int64_t angles = spec.window * spec.head_dim / 2;
  const Counts n(spec);
  clock_.Time(device, device.times.copy_in, "a site's vectors", [&] {
    weights_.norm = Load(vectors.norm, d);
    weights_.norm_bias = Load(vectors.norm_bias, d);
    weights_.out_norm = Load(vectors.out_norm, d);
    weights_.out_norm_bias = Load(vectors.out_norm_bias, d);
    weights_.q_norm = Load(vectors.q_norm, spec.head_dim);
    weights_.k_norm = Load(vectors.k_norm, spec.head_dim);
    weights_.cosine = Load(vectors.cosine, angles);
    weights_.sine = Load(vectors.sine, angles);
    for (size_t i = 0; i < kSiteMaps; ++i) {
      const auto [outputs, inputs] = ShapeOf(spec, static_cast<SiteMap>(i));
      if (outputs == 0) continue;
      const float* const bias = vectors.biases[i];
      weights_.maps[i] = LinearMap(device, outputs, inputs, bias != nullptr, spec.forward);
      if (bias) weights_.maps[i].LoadBias(bias);
    }
  });
  if (!spec.keep) x_ = device.Allocate<float>(n.x);
  normed_ = device.Allocate<float>(n.normed);
  q_ = device.Allocate<float>(n.q);
  k_ = device.Allocate<float>(n.kv);
  v_ = device.Allocate<float>(n.kv);
  gate_ = device.Allocate<float>(n.gate);
  residual_ = device.Allocate<float>(n.residual);
  gram_ = device.Allocate<double>(n.gram);
  squares_ = Zeros(device, n.moments);
  sums_ = Zeros(device, n.moments);
  cross_ = device.Allocate<double>(n.cross);
  residual_sums_ = Zeros(device, n.residual_sums);
  energy_ = Zeros(device, If(spec.residual, 1));
  Check(cudaStreamSynchronize(device.compute), "a site's sums");
}

// The slab's arrays must not go while a stream still uses them.
SiteRunner::~SiteRunner() {
  cudaStreamSynchronize(device_.copy_in);
  cudaStreamSynchronize(device_.compute);
  cudaStreamSynchronize(device_.copy_out);
}

Array<float> SiteRunner::Load(const float* from, int64_t count) {
  if (!from) return {};
  auto array = device_.Allocate<float>(count);
  CopyIn(from, array.data(), count, device_.compute);
  return array;
}

void SiteRunner::Load(SiteMap which, int64_t row, int64_t count) {
  const auto index = static_cast<size_t>(which);
  if (index >= kSiteMaps || row < 0 || count < 0 || row + count > weights_.maps[index].outputs()) {
    throw Error("ERR_ARGUMENT", "rows outside a weight on the GPU");
  }
  LinearMap& map = weights_.maps[index];
  stage_.Send(count * map.inputs(), [&](const float* from) { map.Load(row, count, from); });
}

void SiteRunner::Begin(const Pass& pass) {
  const bool inside = pass.row >= 0 && pass.count >= 0 && pass.count <= spec_.gram_rows &&
                      pass.row + pass.count <= spec_.width;
  if (!inside || !waiting_.empty()) {
    throw Error("ERR_ARGUMENT", "a pass on the GPU cannot be meant");
  }
  stage_.Wait();
  pass_ = pass;
  Clear(device_, gram_, pass.count * spec_.width);
  Clear(device_, cross_, Columns() * spec_.hidden);
}

SitePage SiteRunner::Stage() {
  if (waiting_.size() == kSlots) throw Error("ERR_ARGUMENT", "no page is free on the GPU");
  const Slot& slot = slots_[next_];
  return {slot.in.data(), slot.before.data(), slot.after.data()};
}

void SiteRunner::Push(int64_t rows) {
  const bool inside = rows > 0 && rows <= spec_.flight && rows % spec_.window == 0;
  if (!inside || waiting_.size() == kSlots) {
    throw Error("ERR_ARGUMENT", "a page for the GPU cannot be meant");
  }
  Slot& slot = slots_[next_];
  slot.rows = rows;
  const int64_t count = rows * spec_.hidden;
  const auto upload = [&](const Pinned<float>& from, const Array<float>& to) {
    if (to.data()) CopyIn(from.data(), to.data(), count, device_.copy_in);
  };
  Check(cudaEventRecord(slot.pushed, device_.copy_in), "an event");
  upload(slot.in, slot.hidden);
  upload(slot.before, slot.dense_before);
  upload(slot.after, slot.dense_after);
  Check(cudaEventRecord(slot.uploaded, device_.copy_in), "an event");
  Check(cudaStreamWaitEvent(device_.compute, slot.uploaded, 0), "an event");
  Compute(slot);
  Check(cudaEventRecord(slot.computed, device_.compute), "an event");
  Check(cudaStreamWaitEvent(device_.copy_out, slot.computed, 0), "an event");
  Check(cudaEventRecord(slot.leaving, device_.copy_out), "an event");
  if (pass_.last && spec_.advance) {
    CopyOut(slot.hidden.data(), slot.out.data(), count, device_.copy_out);
  }
  if (pass_.last && spec_.keep) {
    CopyOut(slot.x.data(), slot.x_out.data(), rows * spec_.width, device_.copy_out);
  }
  const auto download = [&](const Array<float>& from, const Pinned<float>& to) {
    if (pass_.last && from.data()) CopyOut(from.data(), to.data(), count, device_.copy_out);
  };
  download(slot.inputs, slot.inputs_out);
  download(slot.targets, slot.targets_out);
  Check(cudaMemcpyAsync(slot.finite_out.data(), slot.finite.data(), sizeof(int32_t),
                        cudaMemcpyDeviceToHost, device_.copy_out),
        "a copy from the GPU");
  Check(cudaEventRecord(slot.downloaded, device_.copy_out), "an event");
  waiting_.push_back(next_);
  next_ = (next_ + 1) % kSlots;
}

SiteResult SiteRunner::Pop() {
  if (waiting_.empty()) throw Error("ERR_ARGUMENT", "no page waits on the GPU");
  Slot& slot = slots_[waiting_.front()];
  waiting_.pop_front();
  Check(cudaEventSynchronize(slot.downloaded), "a page");
  SiteTimes& times = device_.times;
  times.copy_in += Seconds(slot.pushed, slot.uploaded);
  times.forward += Seconds(slot.started, slot.activated) + Seconds(slot.summed, slot.computed);
  times.sums += Seconds(slot.activated, slot.summed);
  times.copy_out += Seconds(slot.leaving, slot.downloaded);
  return {slot.out.data(), slot.x_out.data(), slot.inputs_out.data(), slot.targets_out.data(),
          *slot.finite_out.data()};
}

void SiteRunner::NormInto(int64_t rows, const float* from, const Array<float>& weight,
                          const Array<float>& bias, float* to) {
  NormRows(device_, spec_.norm, rows, spec_.hidden, from, spec_.hidden, weight.data(), bias.data(),
           spec_.eps, to, spec_.hidden);
}

void SiteRunner::RunAttention(int64_t rows, const float* in, float* x) {
  const int64_t hd = spec_.head_dim;
  Map(SiteMap::kQ).Apply(rows, in, 0, q_.data());
  Map(SiteMap::kK).Apply(rows, in, 0, k_.data());
  Map(SiteMap::kV).Apply(rows, in, 0, v_.data());
  const auto prepare = [&](const Array<float>& norm, int64_t heads, float* states) {
    if (norm.data()) {
      NormRows(device_, Norm::kRms, rows * heads, hd, states, hd, norm.data(), nullptr, spec_.eps,
               states, hd);
    }
    if (weights_.cosine.data()) {
      Rope(device_, rows, heads, hd / 2, weights_.cosine.data(), weights_.sine.data(), states,
           heads * hd, 0, spec_.window);
    }
  };
  prepare(weights_.q_norm, spec_.heads, q_.data());
  prepare(weights_.k_norm, spec_.kv_heads, k_.data());
  const AttentionShape shape{spec_.window,   spec_.heads,   spec_.kv_heads,
                             spec_.head_dim, spec_.sliding, spec_.scale};
  Attention(device_, &shape, rows / spec_.window, q_.data(), k_.data(), v_.data(), x);
}

void SiteRunner::RunFfn(int64_t rows, const float* in, float* x) {
  Map(SiteMap::kUp).Apply(rows, in, 0, x);
  if (spec_.gated) Map(SiteMap::kGate).Apply(rows, in, 0, gate_.data());
  Activate(device_, spec_.gate, rows * spec_.width, gate_.data(), x, x);
}

// R = alpha (h_dense - h) + beta (h_dense_after - h_dense - y), docs/method.md, section 1. The
// differences first: they are small against the states.
void SiteRunner::Residual(Slot& slot) {
  const int64_t count = slot.rows * spec_.hidden;
  float* r = residual_.data();
  Combine(device_, count, 1, slot.dense_before.data(), -1, slot.hidden.data(), r);
  if (spec_.beta == 0) return Combine(device_, count, spec_.alpha, r, 0, r, r);
  float* y = normed_.data();
  Map(SiteMap::kOut).Apply(slot.rows, X(slot), 0, y);
  Combine(device_, count, 1, slot.dense_before.data(), 1, y, y);
  Combine(device_, count, 1, slot.dense_after.data(), -1, y, y);
  Combine(device_, count, spec_.alpha, r, spec_.beta, y, r);
}

// What the output map gives, and R.
void SiteRunner::Targets(Slot& slot) {
  float* const to = slot.targets.data();
  Map(SiteMap::kOut).Apply(slot.rows, X(slot), 0, to);
  if (!spec_.residual) return;
  Combine(device_, slot.rows * spec_.hidden, 1, to, 1, residual_.data(), to);
}

void SiteRunner::Statistics(Slot& slot) {
  const int64_t rows = slot.rows, d = spec_.hidden;
  if (pass_.count > 0) {
    GramAdd(device_, rows, spec_.width, X(slot), pass_.row, pass_.count, gram_.data(), spec_.gram);
  }
  if (pass_.last && squares_.data()) {
    MomentsAdd(device_, rows, spec_.width, X(slot), squares_.data(), sums_.data());
  }
  if (!spec_.residual) return;
  Residual(slot);
  CrossAdd(device_, rows, d, 0, d, spec_.width, pass_.row, Columns(), residual_.data(), X(slot),
           cross_.data(), spec_.gram);
  if (!pass_.last) return;
  MomentsAdd(device_, rows, d, residual_.data(), nullptr, residual_sums_.data());
  SquaredDistance(device_, rows * d, residual_.data(), nullptr, energy_.data());
}

void SiteRunner::AddOutput(Slot& slot) {
  const int64_t rows = slot.rows;
  float* const hidden = slot.hidden.data();
  if (spec_.out_norm) {
    float* const y = normed_.data();
    Map(SiteMap::kOut).Apply(rows, X(slot), 0, y);
    NormInto(rows, y, weights_.out_norm, weights_.out_norm_bias, y);
    Combine(device_, rows * spec_.hidden, 1, hidden, 1, y, hidden);
  } else {
    Map(SiteMap::kOut).Apply(rows, X(slot), 1, hidden);
  }
  if (spec_.post_norm) NormInto(rows, hidden, weights_.norm, weights_.norm_bias, hidden);
}

void SiteRunner::Compute(Slot& slot) {
  const int64_t rows = slot.rows;
  const auto reached = [&](cudaEvent_t event) {
    Check(cudaEventRecord(event, device_.compute), "an event");
  };
  reached(slot.started);
  const float* in = slot.hidden.data();
  if (!spec_.post_norm) {
    float* const normed = spec_.inputs ? slot.inputs.data() : normed_.data();
    NormInto(rows, slot.hidden.data(), weights_.norm, weights_.norm_bias, normed);
    in = normed;
  } else if (spec_.inputs) {
    Combine(device_, rows * spec_.hidden, 1, in, 0, in, slot.inputs.data());
  }
  if (spec_.attention) {
    RunAttention(rows, in, X(slot));
  } else {
    RunFfn(rows, in, X(slot));
  }
  reached(slot.activated);
  Statistics(slot);
  reached(slot.summed);
  if (pass_.last && spec_.targets) Targets(slot);
  if (pass_.last && spec_.advance) AddOutput(slot);
  // Any bytes that are not 0: the flag falls to 0 where a value is not finite.
  Check(cudaMemsetAsync(slot.finite.data(), 1, sizeof(int32_t), device_.compute), "a memset");
  TestFinite(device_, rows * spec_.hidden, slot.hidden.data(), slot.finite.data());
}

void SiteRunner::ReadGram(int64_t first, int64_t count, double* gram) {
  if (first < 0 || count < 0 || first + count > pass_.count) {
    throw Error("ERR_ARGUMENT", "rows outside the Gram matrix on the GPU");
  }
  clock_.Time(device_, device_.times.copy_out, "a Gram matrix", [&] {
    // Up to the diagonal of the last row.
    CopyRowsOut(gram_.data() + first * spec_.width, gram, count, pass_.row + first + count,
                spec_.width, device_.compute);
  });
}

void SiteRunner::ReadCross(int64_t first, int64_t count, double* cross) {
  if (first < 0 || count < 0 || !spec_.residual || first + count > spec_.hidden) {
    throw Error("ERR_ARGUMENT", "rows outside the cross products on the GPU");
  }
  clock_.Time(device_, device_.times.copy_out, "cross products", [&] {
    CopyOut(cross_.data() + first * Columns(), cross, count * Columns(), device_.compute);
  });
}

void SiteRunner::ReadMoments(double* squares, double* sums, double* residual_sums, double* energy) {
  const auto read = [&](const Array<double>& from, double* to, int64_t count) {
    if (from.data() && to) CopyOut(from.data(), to, count, device_.compute);
  };
  clock_.Time(device_, device_.times.copy_out, "a site's sums", [&] {
    read(squares_, squares, spec_.width);
    read(sums_, sums, spec_.width);
    read(residual_sums_, residual_sums, spec_.hidden);
    read(energy_, energy, 1);
  });
}

}  // namespace struprune::cuda

#include "passes/site_body.h"

#include <algorithm>

#include "backend/host_pages.h"
#include "core/row_chunks.h"
#include "model/forward_steps.h"
#include "passes/device_codes.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;
using cuda::Api;
using cuda::Queue;

size_t If(bool condition, size_t count) { return condition ? count : 0; }

// Elements of the arrays of a slot and of the body: the one list that both the allocations and
// SiteBytes read.
struct SiteArrays {
  explicit SiteArrays(const SiteShape& s)
      : page(s.flight * s.hidden),
        input(If(s.layer.input == BlockInput::kRead, page)),
        dense_before(If(s.demand.residual, page)),
        dense_after(If(s.demand.residual && s.after, page)),
        x(s.flight * s.layer.width()),
        out(If(s.demand.advance, page)),
        x_out(If(s.demand.keep, x)),
        inputs(If(s.demand.inputs, page)),
        targets(If(s.demand.targets, page)),
        normed(
            If((s.layer.norm && !s.demand.inputs) || s.demand.residual || s.layer.out_norm, page)),
        gram(s.gram_rows * s.layer.width()),
        moments(If(s.demand.moments, s.layer.width())),
        band(s.gram_rows > 0 ? s.gram_rows : s.layer.width()),
        cross(If(s.demand.residual, s.hidden * band)),
        residual_sums(If(s.demand.residual, s.hidden)) {
    const AttentionSpec* const attention = s.layer.attention();
    const size_t kv_width = attention ? attention->kv_width() : 0;
    q = If(attention, x);
    kv = s.flight * kv_width;
    gate = If(!attention && s.layer.ffn()->gated, x);
    q_norm = attention ? attention->normed(attention->heads()) : 0;
    k_norm = attention ? attention->normed(attention->kv_heads) : 0;
    sinks = attention && attention->sinks ? attention->heads() : 0;
    angles = attention ? s.demand.window * (attention->head_dim / 2) : 0;
    stage = WeightLoader::Floats(s.hidden * std::max(s.layer.width(), kv_width),
                                 std::max(s.hidden, s.layer.width()));
  }
  size_t page, input, dense_before, dense_after, x, out, x_out, inputs, targets, normed, gram,
      moments, band, cross, residual_sums;
  size_t q, kv, gate, q_norm, k_norm, sinks, angles, stage;
};

// Where each sum begins in the array of all.
struct SumPlaces : SumLayout {
  explicit SumPlaces(const SiteShape& s) {
    const SiteArrays n(s);
    gram = Put(n.gram), cross = Put(n.cross);
    squares = Put(n.moments), sums = Put(n.moments), residual_sums = Put(n.residual_sums);
    energy = Put(If(s.demand.residual, 1));
  }
  size_t gram, cross, squares, sums, residual_sums, energy;
};

uint64_t Floats(size_t count) { return ArrayBytes<float>(count); }
uint64_t Doubles(size_t count) { return ArrayBytes<double>(count); }

CudaArray<float> Uploaded(const CudaDevice& gpu, const float* from, size_t count) {
  CudaArray<float> array(gpu, from ? count : 0);
  if (from) CopyIn(gpu, Queue::kCompute, from, array.data(), count);
  return array;
}

}  // namespace

Segments SegmentsOf(const CudaDevice& gpu, const SiteShape& s) {
  const Segments segments(s.demand.tokens, s.demand.page);
  const int64_t most = cuda::ProductRows(gpu.has_blas(), gpu.options().gram);
  const bool at_once = s.flight == s.demand.page && Int(s.flight) <= most;
  return at_once && segments.AreSinglePages() ? Segments(s.demand.tokens, s.demand.tokens)
                                              : segments;
}

BodyBytes SiteBytes(const CudaDevice& gpu, const SiteShape& s) {
  const SiteArrays n(s);
  const cuda::Precision forward = gpu.options().forward, gram = gpu.options().gram;
  const size_t d = s.hidden, w = s.layer.width();
  BodyBytes bytes;
  // Biases and norms that are absent make the plan a little too large, never too small.
  const auto norms = [&](const std::optional<NormSpec>& norm) { return norm ? 2 * Floats(d) : 0; };
  bytes.device = norms(s.layer.norm) + norms(s.layer.out_norm) + norms(s.layer.stream_norm) +
                 Floats(n.q_norm) + Floats(n.k_norm) + Floats(n.sinks) + 2 * Floats(n.angles);
  for (const Part part : {Part::kQ, Part::kK, Part::kV, Part::kGate, Part::kUp, Part::kOut}) {
    if (const auto shape = ShapeOf(s.layer, d, part)) {
      bytes.device += DeviceMap::Bytes(gpu, shape->rows, shape->cols, forward);
    }
  }
  bytes.device += Floats(If(!s.demand.keep, n.x)) + Floats(n.normed) + Floats(n.q) +
                  2 * Floats(n.kv) + Floats(n.gate) + Floats(If(s.demand.residual, n.page)) +
                  SegmentSumsOnDevice::Bytes(SumPlaces(s).end(), SegmentsOf(gpu, s));
  bytes.device +=
      kSlots * (Floats(n.page) + Floats(n.input) + Floats(n.dense_before) + Floats(n.dense_after) +
                Floats(n.x_out) + Floats(n.inputs) + Floats(n.targets) + Floats(1));
  uint64_t gram_work = 0, cross_work = 0;
  if (n.gram > 0) {
    gpu.Call(&Api::gram_bytes, Int(s.flight), Int(w), Int(s.gram_rows), gram, &gram_work);
  }
  if (s.demand.residual) {
    gpu.Call(&Api::cross_bytes, Int(s.flight), Int(d), Int(d), Int(w), Int(n.band), gram,
             &cross_work);
  }
  bytes.device += std::max({gram_work, cross_work,
                            DeviceMap::WorkBytes(gpu, n.stage, s.flight, std::max(d, w), forward),
                            Doubles(cuda::kSumBlocks)});
  bytes.pinned = kSlots * (Floats(n.page) + Floats(n.input) + Floats(n.dense_before) +
                           Floats(n.dense_after) + Floats(n.out) + Floats(n.x_out) +
                           Floats(n.inputs) + Floats(n.targets) + Floats(1)) +
                 WeightLoader::PinnedBytes(n.stage);
  return bytes;
}

SiteBody::Slot::Slot(const CudaDevice& gpu, const SiteShape& shape)
    : in(gpu, SiteArrays(shape).page),
      input_in(gpu, SiteArrays(shape).input),
      before(gpu, SiteArrays(shape).dense_before),
      after(gpu, SiteArrays(shape).dense_after),
      out(gpu, SiteArrays(shape).out),
      x_out(gpu, SiteArrays(shape).x_out),
      inputs_out(gpu, SiteArrays(shape).inputs),
      targets_out(gpu, SiteArrays(shape).targets),
      finite_out(gpu, 1),
      hidden(gpu, SiteArrays(shape).page),
      input(gpu, SiteArrays(shape).input),
      dense_before(gpu, SiteArrays(shape).dense_before),
      dense_after(gpu, SiteArrays(shape).dense_after),
      x(gpu, SiteArrays(shape).x_out),
      inputs(gpu, SiteArrays(shape).inputs),
      targets(gpu, SiteArrays(shape).targets),
      finite(gpu, 1) {}

SiteBody::SiteBody(const CudaDevice& gpu, const Sublayer& layer, const SiteRun& run,
                   const SiteShape& shape)
    : gpu_(gpu),
      layer_(layer),
      spec_(layer.spec()),
      run_(run),
      shape_(shape),
      hidden_(shape.hidden),
      width_(layer.width()),
      context_(layer.context()),
      forward_(gpu.options().forward),
      gram_precision_(gpu.options().gram),
      slots_{{gpu, shape}, {gpu, shape}},
      segments_(SegmentsOf(gpu, shape)),
      sums_(gpu, SumPlaces(shape).end(), segments_),
      clock_(gpu),
      loader_(gpu, context_, SiteArrays(shape).stage),
      runner_(gpu, *this) {
  LoadVectors();
  const SiteArrays n(shape);
  if (!shape.demand.keep) x_ = CudaArray<float>(gpu, n.x);
  normed_ = CudaArray<float>(gpu, n.normed);
  q_ = CudaArray<float>(gpu, n.q);
  k_ = CudaArray<float>(gpu, n.kv);
  v_ = CudaArray<float>(gpu, n.kv);
  gate_ = CudaArray<float>(gpu, n.gate);
  residual_ = CudaArray<float>(gpu, If(shape.demand.residual, n.page));
}

// Norms, biases and angles, and room for the maps.
void SiteBody::LoadVectors() {
  const AttentionSpec* const attention = spec_.attention();
  const SiteArrays n(shape_);
  if (attention && attention->rope) {
    rope_.emplace(context_, *attention->rope, attention->head_dim, run_.window);
  }
  clock_.Time(gpu_.times().copy_in, [&] {
    const auto load = [&](Part part, size_t count) {
      return Uploaded(gpu_, layer_.data(part), count);
    };
    norm_ = load(Part::kNorm, hidden_), norm_bias_ = load(Part::kNormBias, hidden_);
    out_norm_ = load(Part::kOutNorm, hidden_), out_norm_bias_ = load(Part::kOutNormBias, hidden_);
    stream_norm_ = load(Part::kStreamNorm, hidden_);
    stream_norm_bias_ = load(Part::kStreamNormBias, hidden_);
    q_norm_ = load(Part::kQNorm, n.q_norm), k_norm_ = load(Part::kKNorm, n.k_norm);
    sinks_ = load(Part::kSinks, n.sinks);
    const size_t angles = rope_ ? run_.window * rope_->half() : 0;
    cosine_ = Uploaded(gpu_, rope_ ? rope_->cosines().data() : nullptr, angles);
    sine_ = Uploaded(gpu_, rope_ ? rope_->sines().data() : nullptr, angles);
    for (size_t i = 0; i < kMaps.size(); ++i) {
      const auto [weight, bias] = kMaps[i];
      if (!layer_.has(weight)) continue;
      const PartShape shape = layer_.shape(weight);
      maps_[i] = DeviceMap(gpu_, shape.rows, shape.cols, layer_.has(bias), forward_);
      if (layer_.has(bias)) maps_[i].LoadBias(layer_.data(bias));
    }
  });
  rope_.reset();
}

void SiteBody::LoadWeights() {
  for (size_t i = 0; i < kMaps.size(); ++i) {
    if (layer_.has(kMaps[i].weight)) loader_.Load(*layer_.matrix(kMaps[i].weight), maps_[i]);
  }
  loader_.Wait();
}

const DeviceMap& SiteBody::Map(Part part) const {
  return maps_[static_cast<size_t>(std::ranges::find(kMaps, part, &MapParts::weight) -
                                   kMaps.begin())];
}

void SiteBody::Pass(size_t row, size_t count, bool last) {
  row_ = row, count_ = count, last_ = last;
  sums_.Begin();
  const auto written = [&](PagedMatrix* matrix) {
    return Stream{last ? matrix : nullptr, Access::kWrite};
  };
  AnnounceFlights(0, run_.rows(),
                  {{run_.hidden, run_.advance && last ? Access::kUpdate : Access::kRead},
                   EarlierStream(layer_, *run_.hidden, 0, run_.advance && last),
                   written(run_.keep),
                   written(run_.targets),
                   written(run_.inputs),
                   {run_.dense_before, Access::kRead},
                   {shape_.after ? run_.dense_after : nullptr, Access::kRead}});
  for (DevicePage page; page.row < run_.rows(); page.row += page.rows) {
    context_.CheckAbort();
    page.rows = run_.hidden->Run(page.row, std::min(shape_.flight, run_.rows() - page.row));
    runner_.Push(page);
  }
  runner_.Drain();
  if (last && run_.advance) ForgetInput(layer_, *run_.hidden, run_.rows());
  if (!run_.statistics) return;
  ReadBand();
  if (last) ReadTotals();
}

void SiteBody::Stage(size_t slot, const DevicePage& page) {
  const Slot& to = slots_[slot];
  const auto copy = [&](PagedMatrix* from, float* pinned) {
    if (!pinned) return;
    const PagedMatrix::View view(*from, page.row, page.rows, Access::kRead);
    CopyPage(gpu_, context_, view.data(), pinned, page.rows * hidden_);
  };
  copy(run_.hidden, to.in.data());
  PagedMatrix* const earlier = EarlierInput(layer_, *run_.hidden, page.row);
  copy(earlier ? earlier : run_.hidden, to.input_in.data());
  if (last_ && run_.advance && spec_.input == BlockInput::kKept) {
    const PagedMatrix::View kept(run_.hidden->KeepEarlier(page.row, layer_.mark()), page.row,
                                 page.rows, Access::kWrite);
    CopyPage(gpu_, context_, to.in.data(), kept.data(), page.rows * hidden_);
  }
  copy(run_.dense_before, to.before.data());
  copy(run_.dense_after, to.after.data());
}

void SiteBody::Upload(size_t slot, const DevicePage& page) {
  const Slot& at = slots_[slot];
  const auto upload = [&](const PinnedArray<float>& from, const CudaArray<float>& to) {
    if (to.data()) CopyIn(gpu_, In(), from.data(), to.data(), page.rows * hidden_);
  };
  upload(at.in, at.hidden);
  upload(at.input_in, at.input);
  upload(at.before, at.dense_before);
  upload(at.after, at.dense_after);
}

void SiteBody::Norm(const NormSpec& norm, const CudaArray<float>& weight,
                    const CudaArray<float>& bias, size_t rows, size_t cols, const float* from,
                    float* to) const {
  gpu_.Call(&Api::norm, CodeOf(norm.kind), Int(rows), Int(cols), from, Int(cols), weight.data(),
            bias.data(), norm.eps, to, Int(cols));
}

void SiteBody::Combine(size_t count, float alpha, const float* a, float beta, const float* b,
                       float* to) const {
  gpu_.Call(&Api::combine, Int(count), alpha, a, beta, b, to);
}

// To the input of the output map.
void SiteBody::Forward(size_t slot, const DevicePage& page) {
  const Slot& at = slots_[slot];
  const float* in = at.input.data() ? at.input.data() : at.hidden.data();
  if (spec_.norm) {
    float* const normed = shape_.demand.inputs ? at.inputs.data() : normed_.data();
    Norm(*spec_.norm, norm_, norm_bias_, page.rows, hidden_, in, normed);
    in = normed;
  } else if (shape_.demand.inputs) {
    Combine(page.rows * hidden_, 1, in, 0, in, at.inputs.data());
  }
  spec_.attention() ? Attention(page, in, X(at)) : FeedForward(page.rows, in, X(at));
}

void SiteBody::Attention(const DevicePage& page, const float* in, float* x) const {
  const AttentionSpec& attention = *spec_.attention();
  const size_t head = attention.head_dim, rows = page.rows;
  Map(Part::kQ).Apply(rows, in, 0, q_.data());
  Map(Part::kK).Apply(rows, in, 0, k_.data());
  Map(Part::kV).Apply(rows, in, 0, v_.data());
  const auto head_norm = [&](const CudaArray<float>& norm, size_t heads, float* states) {
    if (!attention.head_norm) return;
    const size_t width = attention.normed(heads);
    Norm(*attention.head_norm, norm, {}, rows * heads * head / width, width, states, states);
  };
  head_norm(q_norm_, attention.heads(), q_.data());
  head_norm(k_norm_, attention.kv_heads, k_.data());
  const CutWindows& cut = run_.hidden->cut();
  const auto attend = [&](size_t first, size_t count, size_t window) {
    const size_t kv = first * attention.kv_width();
    float* const q = q_.data() + first * width_;
    const auto turn = [&](size_t heads, float* states) {
      gpu_.Call(&Api::rope, Int(count), Int(heads), Int(head),
                Int(attention.rope->turned(head) / 2), cosine_.data(), sine_.data(), states,
                Int(heads * head), 0, Int(window));
    };
    if (attention.rope) {
      turn(attention.heads(), q);
      turn(attention.kv_heads, k_.data() + kv);
    }
    const cuda::AttentionShape shape{
        Int(window),   Int(attention.heads()), Int(attention.kv_heads),
        Int(head),     Int(attention.sliding), ShapeOf(layer_, window).scale,
        attention.cap, sinks_.data()};
    gpu_.Call(&Api::attention, &shape, Int(count / window), q, k_.data() + kv, v_.data() + kv,
              x + first * width_);
  };
  ForSequences(cut, run_.window, page.row, rows, attend);
}

void SiteBody::FeedForward(size_t rows, const float* in, float* x) const {
  Map(Part::kUp).Apply(rows, in, 0, x);
  if (spec_.ffn()->gated) Map(Part::kGate).Apply(rows, in, 0, gate_.data());
  gpu_.Call(&Api::activate, CodeOf(spec_.ffn()->activation), Int(rows * width_), gate_.data(), x,
            x);
}

// R = alpha (h_dense - h) + beta (h_dense_after - h_dense - y), docs/method.md, section 1. The
// differences first: they are small against the states.
void SiteBody::Residual(const Slot& slot, size_t rows) const {
  const size_t count = rows * hidden_;
  float* const r = residual_.data();
  Combine(count, 1, slot.dense_before.data(), -1, slot.hidden.data(), r);
  if (run_.beta == 0) return Combine(count, run_.alpha, r, 0, r, r);
  float* const y = normed_.data();
  Map(Part::kOut).Apply(rows, X(slot), 0, y);
  Combine(count, 1, slot.dense_before.data(), 1, y, y);
  Combine(count, 1, slot.dense_after.data(), -1, y, y);
  Combine(count, run_.alpha, r, run_.beta, y, r);
}

void SiteBody::Sum(size_t slot, const DevicePage& page) {
  const Slot& at = slots_[slot];
  const int64_t rows = Int(page.rows), d = Int(hidden_), width = Int(width_);
  const float* const x = X(at);
  double* const sums = sums_.At(segments_.At(page.row));
  const SumPlaces to(shape_);
  if (shape_.demand.gram) {
    gpu_.Call(&Api::gram_add, rows, width, x, Int(row_), Int(count_), sums + to.gram,
              gram_precision_);
  }
  if (last_ && shape_.demand.moments) {
    gpu_.Call(&Api::moments_add, rows, width, x, sums + to.squares, sums + to.sums);
  }
  if (!shape_.demand.residual) return;
  Residual(at, page.rows);
  gpu_.Call(&Api::cross_add, rows, d, 0, d, width, Int(row_), Int(count_), residual_.data(), x,
            sums + to.cross, gram_precision_);
  if (!last_) return;
  gpu_.Call(&Api::moments_add, rows, d, residual_.data(), nullptr, sums + to.residual_sums);
  gpu_.Call(&Api::squared_distance, rows * d, residual_.data(), nullptr, sums + to.energy);
}

// What goes back, and the states behind the site.
void SiteBody::Finish(size_t slot, const DevicePage& page) {
  const Slot& at = slots_[slot];
  const size_t count = page.rows * hidden_;
  float* const h = at.hidden.data();
  if (last_ && shape_.demand.targets) {
    float* const to = at.targets.data();
    Map(Part::kOut).Apply(page.rows, X(at), 0, to);
    if (shape_.demand.residual) Combine(count, 1, to, 1, residual_.data(), to);
  }
  if (last_ && run_.advance) AddOutput(at, page.rows);
  // Any bytes that are not 0: the flag falls to 0 where a value is not finite.
  gpu_.Call(&Api::fill, at.finite.data(), 1, Int(sizeof(int32_t)));
  gpu_.Call(&Api::test_finite, Int(count), h, at.finite.data());
}

void SiteBody::AddOutput(const Slot& slot, size_t rows) const {
  float* const h = slot.hidden.data();
  if (spec_.out_norm) {
    float* const y = normed_.data();
    Map(Part::kOut).Apply(rows, X(slot), 0, y);
    Norm(*spec_.out_norm, out_norm_, out_norm_bias_, rows, hidden_, y, y);
    Combine(rows * hidden_, 1, h, 1, y, h);
  } else {
    Map(Part::kOut).Apply(rows, X(slot), 1, h);
  }
  if (spec_.stream_norm) {
    Norm(*spec_.stream_norm, stream_norm_, stream_norm_bias_, rows, hidden_, h, h);
  }
}

void SiteBody::Download(size_t slot, const DevicePage& page) {
  if (!last_) return;
  const Slot& at = slots_[slot];
  const auto download = [&](const CudaArray<float>& from, const PinnedArray<float>& to,
                            size_t cols) {
    if (to.data()) CopyOut(gpu_, Queue::kCopyOut, from.data(), to.data(), page.rows * cols);
  };
  download(at.hidden, at.out, hidden_);
  download(at.x, at.x_out, width_);
  download(at.inputs, at.inputs_out, hidden_);
  download(at.targets, at.targets_out, hidden_);
  CopyOut(gpu_, Queue::kCopyOut, at.finite.data(), at.finite_out.data(), 1);
}

void SiteBody::Take(size_t slot, const DevicePage& page) {
  if (!last_) return;
  const Slot& from = slots_[slot];
  const auto copy = [&](const PinnedArray<float>& pinned, PagedMatrix* to) {
    if (!pinned.data()) return;
    const PagedMatrix::View view(*to, page.row, page.rows, Access::kWrite);
    CopyPage(gpu_, context_, pinned.data(), view.data(), page.rows * to->cols());
  };
  copy(from.out, run_.hidden);
  copy(from.x_out, run_.keep);
  copy(from.targets_out, run_.targets);
  if (run_.inputs) TakeInputs(from.inputs_out.data(), page);
  if (run_.advance && *from.finite_out.data() == 0) {
    throw Error("ERR_NAN", "hidden states are no longer finite",
                "the checkpoint may be damaged, or its dtype too narrow for this text");
  }
}

// With a last column of ones where the matrix has one more.
void SiteBody::TakeInputs(const float* from, const DevicePage& page) const {
  const PagedMatrix::View view(*run_.inputs, page.row, page.rows, Access::kWrite);
  const size_t cols = run_.inputs->cols();
  if (cols == hidden_) return CopyPage(gpu_, context_, from, view.data(), page.rows * cols);
  ForChunks(context_, page.rows, [&](size_t first, size_t count, size_t) {
    for (size_t i = first; i < first + count; ++i) {
      float* const end = std::copy_n(from + i * hidden_, hidden_, view.data() + i * cols);
      std::fill(end, view.data() + (i + 1) * cols, 1.0f);
    }
  });
}

// What the pass summed: rows of the Gram, columns of the cross products.
void SiteBody::ReadBand() {
  Statistics& statistics = *run_.statistics;
  const double* const sums = sums_.Total();
  const SumPlaces from(shape_);
  if (statistics.has_gram()) {
    BringSums(gpu_, context_, clock_, {sums + from.gram, count_, width_, row_},
              [&](size_t at, size_t some, const double* rows) {
                statistics.AddGramRows(row_ + at, some, rows);
              });
  }
  BringSums(gpu_, context_, clock_, {sums + from.cross, statistics.residual_dim(), count_},
            [&](size_t at, size_t some, const double* rows) {
              statistics.AddCrossRows(at, some, row_, count_, rows);
            });
}

void SiteBody::ReadTotals() {
  Statistics& statistics = *run_.statistics;
  const MomentCounts n{width_, statistics.residual_dim()};
  auto squares = context_.Allocate<double>(n.sums), sums = context_.Allocate<double>(n.sums);
  auto residual_sums = context_.Allocate<double>(n.residual_sums);
  double energy = 0;
  clock_.Time(gpu_.times().copy_out, [&] {
    const double* const all = sums_.Total();
    const SumPlaces from(shape_);
    const auto read = [&](size_t place, size_t count, double* to) {
      CopyOut(gpu_, Queue::kCompute, all + place, to, count);
    };
    read(from.squares, n.sums, squares.data());
    read(from.sums, n.sums, sums.data());
    if (n.residual_sums == 0) return;
    read(from.residual_sums, n.residual_sums, residual_sums.data());
    read(from.energy, 1, &energy);
  });
  statistics.AddSums(run_.rows(), squares.data(), sums.data(), residual_sums.data(), energy);
}

}  // namespace struprune

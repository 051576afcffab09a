#include <algorithm>

#include "cuda/ffn.h"
#include "cuda/reduce.h"

namespace struprune::cuda {
namespace {

// Elements of the arrays, which both the allocations and BytesOf read.
struct FfnCounts {
  explicit FfnCounts(const FfnSpec& s)
      : parts(s.gated ? 2 : 1),
        hidden(s.pass == FfnPass::kHidden),
        gradient(s.pass == FfnPass::kGradient),
        product(s.pass == FfnPass::kProduct),
        inputs(s.flight * s.inputs),
        targets(product ? 0 : s.flight * s.outputs),
        channels(s.flight * s.width),
        part(hidden ? 0 : channels),
        outputs(s.flight * s.outputs),
        band_gradient(hidden ? 0 : s.band * s.inputs),
        band_curvature(gradient ? s.band * s.width : 0),
        gram(hidden     ? s.band * s.width
             : gradient ? s.inputs * s.inputs
                        : 0),
        cross(hidden ? s.outputs * s.band : 0),
        moments(hidden     ? s.width
                : gradient ? s.inputs
                           : 0),
        output_sums(hidden ? s.outputs : 0),
        stage(WeightStage::Floats(s.width * std::max(s.inputs, s.outputs),
                                  std::max(s.inputs, s.width))) {}
  int64_t parts;
  bool hidden, gradient, product;
  int64_t inputs, targets, channels, part, outputs, band_gradient, band_curvature, gram, cross,
      moments, output_sums, stage;
};

}  // namespace

void CheckSpec(const FfnSpec& s) {
  const bool sizes = s.inputs > 0 && s.width > 0 && s.outputs > 0 && s.flight > 0 && s.band >= 0 &&
                     s.band <= s.width && (s.band > 0 || s.pass == FfnPass::kProduct);
  if (!sizes) throw Error("ERR_ARGUMENT", "an FFN's shape on the GPU cannot be meant");
}

RunnerBytes BytesOf(const Device& device, const FfnSpec& s) {
  const FfnCounts n(s);
  const auto floats = [](int64_t count) { return ArrayBytes<float>(count); };
  const auto doubles = [](int64_t count) { return ArrayBytes<double>(count); };
  const auto parts = static_cast<uint64_t>(n.parts);
  RunnerBytes bytes{};
  bytes.device =
      (n.product ? 2 : 1) * parts * LinearMap::Bytes(device, s.width, s.inputs, s.forward) +
      LinearMap::Bytes(device, s.outputs, s.width, s.forward);
  bytes.device += floats(n.parts * n.channels) + floats(n.channels) + floats(n.part) +
                  floats(n.outputs) + kSlots * (floats(n.inputs) + floats(n.targets));
  bytes.device += parts * (doubles(n.band_gradient) + doubles(n.band_curvature)) + doubles(n.gram) +
                  doubles(n.cross) + 2 * doubles(n.moments) + doubles(n.output_sums) +
                  2 * doubles(1);
  // Of D also its transpose is applied where there are gradients.
  const int64_t columns = std::max({s.inputs, s.width, s.band > 0 ? s.outputs : 0});
  uint64_t work = std::max(LinearMap::ApplyScratch(device, s.flight, columns, s.forward),
                           LinearMap::LoadScratch(device, n.stage, s.forward));
  if (n.hidden) {
    work =
        std::max({work, GramScratch(device, s.flight, s.band, s.width, s.gram),
                  CrossScratch(device, s.flight, s.outputs, s.outputs, s.width, s.band, s.gram)});
  } else if (s.band > 0) {
    work =
        std::max(work, CrossScratch(device, s.flight, s.width, s.band, s.inputs, s.inputs, s.gram));
  }
  if (n.gradient) {
    work = std::max({work, GramScratch(device, s.flight, s.band, s.width, s.gram),
                     GramScratch(device, s.flight, s.inputs, s.inputs, s.gram)});
  }
  bytes.device += std::max<uint64_t>(work, doubles(kSumBlocks));
  bytes.pinned =
      kSlots * (floats(n.inputs) + floats(n.targets)) + WeightStage::PinnedBytes(n.stage);
  return bytes;
}

FfnRunner::Slot::Slot(Device& device, const FfnSpec& spec) {
  const FfnCounts n(spec);
  inputs_in = Pinned<float>(device.pinned, n.inputs);
  targets_in = Pinned<float>(device.pinned, n.targets);
  inputs = device.Allocate<float>(n.inputs);
  targets = device.Allocate<float>(n.targets);
}

FfnRunner::FfnRunner(Device& device, const FfnSpec& spec, const float* bias)
    : device_(device),
      spec_(spec),
      parts_(spec.gated ? 2 : 1),
      slots_{{device, spec}, {device, spec}},
      stage_(device, FfnCounts(spec).stage) {
  const FfnCounts n(spec);
  for (size_t part = 0; part < parts_; ++part) {
    in_[part] = LinearMap(device, spec.width, spec.inputs, false, spec.forward);
    if (n.product) {
      change_[part] = LinearMap(device, spec.width, spec.inputs, false, spec.forward);
    }
    gradients_[part] = device.Allocate<double>(n.band_gradient);
    curvatures_[part] = device.Allocate<double>(n.band_curvature);
  }
  down_ = LinearMap(device, spec.outputs, spec.width, bias != nullptr, spec.forward);
  slopes_ = device.Allocate<float>(n.parts * n.channels);
  hidden_ = device.Allocate<float>(n.channels);
  part_ = device.Allocate<float>(n.part);
  output_ = device.Allocate<float>(n.outputs);
  gram_ = Zeros(device, n.gram);
  cross_ = device.Allocate<double>(n.cross);
  squares_ = Zeros(device, n.moments);
  sums_ = Zeros(device, n.moments);
  output_sums_ = Zeros(device, n.output_sums);
  energy_ = Zeros(device, 1);
  target_ = Zeros(device, 1);
  clock_.Time(device, device.times.copy_in, "an FFN's bias", [&] {
    if (bias) down_.LoadBias(bias);
  });
}

// The slab's arrays must not go while a stream still uses them.
FfnRunner::~FfnRunner() {
  cudaStreamSynchronize(device_.copy_in);
  cudaStreamSynchronize(device_.compute);
}

void FfnRunner::Load(FfnWeight weight, int64_t row, int64_t count) {
  const auto index = static_cast<size_t>(weight);
  // kDown, then the parts, then their changes.
  const bool known = weight == FfnWeight::kDown || (index - 1) % 2 < parts_;
  if (!known || (index > 2 && spec_.pass != FfnPass::kProduct)) {
    throw Error("ERR_ARGUMENT", "a weight that this pass of an FFN on the GPU has not");
  }
  LinearMap& map = weight == FfnWeight::kDown ? down_
                   : index > 2                ? change_[index - 3]
                                              : in_[index - 1];
  if (row < 0 || count < 0 || row + count > map.outputs()) {
    throw Error("ERR_ARGUMENT", "rows outside a weight on the GPU");
  }
  stage_.Send(count * map.inputs(), [&](const float* from) { map.Load(row, count, from); });
}

void FfnRunner::Begin(int64_t row, int64_t count, bool last) {
  if (row < 0 || count < 0 || count > spec_.band || row + count > spec_.width) {
    throw Error("ERR_ARGUMENT", "a pass on the GPU cannot be meant");
  }
  stage_.Wait();
  while (!waiting_.empty()) Wait();
  pass_ = {row, count, last};
  for (size_t part = 0; part < parts_; ++part) {
    Clear(device_, gradients_[part], count * spec_.inputs);
    Clear(device_, curvatures_[part], count * spec_.width);
  }
  if (spec_.pass != FfnPass::kHidden) return;
  Clear(device_, gram_, count * spec_.width);
  Clear(device_, cross_, count * spec_.outputs);
}

// For the oldest page.
void FfnRunner::Wait() {
  Slot& slot = slots_[waiting_.front()];
  waiting_.pop_front();
  Check(cudaEventSynchronize(slot.computed), "a page");
  SiteTimes& times = device_.times;
  times.copy_in += Seconds(slot.pushed, slot.uploaded);
  times.forward += Seconds(slot.started, slot.activated);
  times.sums += Seconds(slot.activated, slot.computed);
}

FfnTokenPage FfnRunner::Stage() {
  if (waiting_.size() == kSlots) Wait();
  const Slot& slot = slots_[next_];
  return {slot.inputs_in.data(), slot.targets_in.data()};
}

void FfnRunner::Push(int64_t rows) {
  if (rows < 1 || rows > spec_.flight || waiting_.size() == kSlots) {
    throw Error("ERR_ARGUMENT", "a page for the GPU cannot be meant");
  }
  Slot& slot = slots_[next_];
  slot.rows = rows;
  const auto record = [](const Event& event, cudaStream_t stream) {
    Check(cudaEventRecord(event, stream), "an event");
  };
  record(slot.pushed, device_.copy_in);
  CopyIn(slot.inputs_in.data(), slot.inputs.data(), rows * spec_.inputs, device_.copy_in);
  if (slot.targets.data()) {
    CopyIn(slot.targets_in.data(), slot.targets.data(), rows * spec_.outputs, device_.copy_in);
  }
  record(slot.uploaded, device_.copy_in);
  Check(cudaStreamWaitEvent(device_.compute, slot.uploaded, 0), "an event");
  // After the wait: the page before may still be computed when this one has come.
  record(slot.started, device_.compute);
  Activations(slot);
  Outputs(slot);
  record(slot.activated, device_.compute);
  AddSums(slot);
  record(slot.computed, device_.compute);
  waiting_.push_back(next_);
  next_ = (next_ + 1) % kSlots;
}

// Hidden activations and, but for a pass that only wants those, their slopes.
void FfnRunner::Activations(const Slot& slot) {
  for (size_t part = 0; part < parts_; ++part) {
    in_[part].Apply(slot.rows, slot.inputs.data(), 0, Slopes(part));
  }
  const int64_t cells = slot.rows * spec_.width;
  float* const gate = spec_.gated ? Slopes(0) : nullptr;
  float* const up = Slopes(parts_ - 1);
  if (spec_.pass == FfnPass::kHidden) {
    Activate(device_, spec_.gate, cells, gate, up, hidden_.data());
  } else {
    ActivateSlopes(device_, spec_.gate, cells, gate, up, hidden_.data());
  }
}

// J v, or what the output misses of the targets.
void FfnRunner::Outputs(const Slot& slot) {
  float* const out = output_.data();
  const int64_t cells = slot.rows * spec_.width, count = slot.rows * spec_.outputs;
  if (spec_.pass != FfnPass::kProduct) {
    down_.Apply(slot.rows, hidden_.data(), 0, out);
    return Combine(device_, count, 1, slot.targets.data(), -1, out, out);
  }
  for (size_t part = 0; part < parts_; ++part) {
    change_[part].Apply(slot.rows, slot.inputs.data(), 0, part_.data());
    MultiplyAdd(device_, cells, part_.data(), Slopes(part), part == 0 ? 0.0f : 1.0f,
                hidden_.data());
  }
  down_.Apply(slot.rows, hidden_.data(), 0, out);
}

void FfnRunner::AddSums(const Slot& slot) {
  const int64_t rows = slot.rows, count = rows * spec_.outputs;
  if (pass_.last) {
    SquaredDistance(device_, count, output_.data(), nullptr, energy_.data());
    if (slot.targets.data()) {
      SquaredDistance(device_, count, slot.targets.data(), nullptr, target_.data());
    }
  }
  if (spec_.pass != FfnPass::kHidden) return AddGradients(slot);
  const float* const p = hidden_.data();
  GramAdd(device_, rows, spec_.width, p, pass_.row, pass_.count, gram_.data(), spec_.gram);
  CrossAdd(device_, rows, spec_.outputs, 0, spec_.outputs, spec_.width, pass_.row, pass_.count,
           output_.data(), p, cross_.data(), spec_.gram);
  if (!pass_.last) return;
  MomentsAdd(device_, rows, spec_.width, p, squares_.data(), sums_.data());
  MomentsAdd(device_, rows, spec_.outputs, output_.data(), nullptr, output_sums_.data());
}

// Of the transpose of J, channel by channel, and with the pass of the gradient what its curvature
// is made of.
void FfnRunner::AddGradients(const Slot& slot) {
  const auto& [row, band, last] = pass_;
  if (band == 0) return;
  const int64_t rows = slot.rows, width = spec_.width;
  const float* const x = slot.inputs.data();
  down_.ApplyTransposed(rows, output_.data(), hidden_.data());
  for (size_t part = 0; part < parts_; ++part) {
    MultiplyAdd(device_, rows * width, hidden_.data(), Slopes(part), 0, part_.data());
    CrossAdd(device_, rows, width, row, band, spec_.inputs, 0, spec_.inputs, part_.data(), x,
             gradients_[part].data(), spec_.gram);
    if (spec_.pass != FfnPass::kGradient) continue;
    GramAdd(device_, rows, width, Slopes(part), row, band, curvatures_[part].data(), spec_.gram);
  }
  if (spec_.pass != FfnPass::kGradient || !last) return;
  GramAdd(device_, rows, spec_.inputs, x, 0, spec_.inputs, gram_.data(), spec_.gram);
  MomentsAdd(device_, rows, spec_.inputs, x, squares_.data(), sums_.data());
}

FfnRunner::Rows FfnRunner::RowsOf(FfnRows which) const {
  switch (which) {
    case FfnRows::kFirstGradient:
    case FfnRows::kSecondGradient:
      return {&gradients_[which == FfnRows::kSecondGradient], pass_.count, spec_.inputs};
    case FfnRows::kFirstCurvature:
    case FfnRows::kSecondCurvature:
      return {&curvatures_[which == FfnRows::kSecondCurvature], pass_.count, spec_.width,
              pass_.row};
    case FfnRows::kGram:
      if (spec_.pass == FfnPass::kHidden) return {&gram_, pass_.count, spec_.width, pass_.row};
      return {&gram_, spec_.inputs, spec_.inputs, 0};
    case FfnRows::kCross:
      return {&cross_, spec_.outputs, pass_.count};
  }
  return {&cross_, 0, 0};
}

void FfnRunner::ReadRows(FfnRows which, int64_t first, int64_t count, double* rows) {
  while (!waiting_.empty()) Wait();
  const Rows of = RowsOf(which);
  if (!of.sums->data() || first < 0 || count < 0 || first + count > of.count) {
    throw Error("ERR_ARGUMENT", "rows of an FFN's sums that the GPU has not");
  }
  clock_.Time(device_, device_.times.copy_out, "an FFN's sums", [&] {
    CopyRowsOut(of.sums->data() + first * of.width, rows, count,
                of.diagonal < 0 ? of.width : of.diagonal + first + count, of.width,
                device_.compute);
  });
}

void FfnRunner::ReadSums(const FfnSums& to) {
  while (!waiting_.empty()) Wait();
  const FfnCounts n(spec_);
  const auto read = [&](const Array<double>& from, double* to, int64_t count) {
    if (from.data() && to) CopyOut(from.data(), to, count, device_.compute);
  };
  clock_.Time(device_, device_.times.copy_out, "an FFN's sums", [&] {
    read(squares_, to.squares, n.moments);
    read(sums_, to.sums, n.moments);
    read(output_sums_, to.output_sums, n.output_sums);
    read(energy_, to.energy, 1);
    read(target_, to.target, 1);
  });
}

}  // namespace struprune::cuda

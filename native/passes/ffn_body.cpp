#include "passes/ffn_body.h"

#include <algorithm>
#include <tuple>

#include "passes/device_codes.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;
using cuda::Api;
using cuda::Precision;

// Elements of the arrays, which both the allocations and FfnBytes read.
struct FfnArrays {
  explicit FfnArrays(const FfnBodyShape& s)
      : hidden(s.pass == FfnPass::kHidden),
        gradient(s.pass == FfnPass::kGradient),
        product(s.pass == FfnPass::kProduct),
        inputs(s.flight * s.map.inputs),
        targets(product ? 0 : s.flight * s.map.outputs),
        channels(s.flight * s.map.width),
        part(hidden ? 0 : channels),
        outputs(s.flight * s.map.outputs),
        band_gradient(hidden ? 0 : s.band * s.map.inputs),
        band_curvature(gradient ? s.band * s.map.width : 0),
        gram(hidden     ? s.band * s.map.width
             : gradient ? s.map.inputs * s.map.inputs
                        : 0),
        cross(hidden ? s.map.outputs * s.band : 0),
        moments(hidden     ? s.map.width
                : gradient ? s.map.inputs
                           : 0),
        output_sums(hidden ? s.map.outputs : 0),
        stage(WeightLoader::Floats(s.map.width * std::max(s.map.inputs, s.map.outputs),
                                   std::max(s.map.inputs, s.map.width))) {}
  bool hidden, gradient, product;
  size_t inputs, targets, channels, part, outputs, band_gradient, band_curvature, gram, cross,
      moments, output_sums, stage;
};

// Where each sum begins in the array of all.
struct SumPlaces : SumLayout {
  explicit SumPlaces(const FfnBodyShape& s) {
    const FfnArrays n(s);
    for (size_t part = 0; part < s.map.parts(); ++part) {
      gradient[part] = Put(n.band_gradient);
      curvature[part] = Put(n.band_curvature);
    }
    gram = Put(n.gram), cross = Put(n.cross);
    squares = Put(n.moments), sums = Put(n.moments), output_sums = Put(n.output_sums);
    energy = Put(1), target = Put(1);
  }
  std::array<size_t, 2> gradient{}, curvature{};
  size_t gram, cross, squares, sums, output_sums, energy, target;
};

Precision PrecisionOf(FfnPass pass, Precision asked) {
  return pass == FfnPass::kHidden ? asked : SearchPrecision(asked);
}

}  // namespace

Precision SearchPrecision(Precision calibration) {
  return calibration == Precision::kBf16x3 ? Precision::kBf16 : calibration;
}

BodyBytes FfnBytes(const CudaDevice& gpu, const FfnBodyShape& s) {
  const FfnArrays n(s);
  const auto [inputs, width, outputs] = std::tuple(s.map.inputs, s.map.width, s.map.outputs);
  const Precision forward = PrecisionOf(s.pass, gpu.options().forward),
                  gram = PrecisionOf(s.pass, gpu.options().gram);
  const auto floats = [](size_t count) { return ArrayBytes<float>(count); };
  const auto doubles = [](size_t count) { return ArrayBytes<double>(count); };
  const size_t parts = s.map.parts();
  BodyBytes bytes;
  bytes.device = (n.product ? 2 : 1) * parts * DeviceMap::Bytes(gpu, width, inputs, forward) +
                 DeviceMap::Bytes(gpu, outputs, width, forward);
  bytes.device += floats(parts * n.channels) + floats(n.channels) + floats(n.part) +
                  floats(n.outputs) + kSlots * (floats(n.inputs) + floats(n.targets));
  bytes.device += SegmentSumsOnDevice::Bytes(SumPlaces(s).end(), s.map.segments);
  const auto gram_work = [&](size_t dim, size_t count) {
    uint64_t work = 0;
    gpu.Call(&Api::gram_bytes, Int(s.flight), Int(dim), Int(count), gram, &work);
    return work;
  };
  const auto cross_work = [&](size_t residual, size_t count, size_t dim, size_t columns) {
    uint64_t work = 0;
    gpu.Call(&Api::cross_bytes, Int(s.flight), Int(residual), Int(count), Int(dim), Int(columns),
             gram, &work);
    return work;
  };
  // Of D also its transpose is applied where there are gradients.
  const size_t columns = std::max({inputs, width, s.band > 0 ? outputs : 0});
  uint64_t work = std::max(DeviceMap::WorkBytes(gpu, n.stage, s.flight, columns, forward),
                           doubles(cuda::kSumBlocks));
  if (n.hidden) {
    work = std::max({work, gram_work(width, s.band), cross_work(outputs, outputs, width, s.band)});
  } else if (s.band > 0) {
    work = std::max(work, cross_work(width, s.band, inputs, inputs));
  }
  if (n.gradient) work = std::max({work, gram_work(width, s.band), gram_work(inputs, inputs)});
  bytes.device += work;
  bytes.pinned =
      kSlots * (floats(n.inputs) + floats(n.targets)) + WeightLoader::PinnedBytes(n.stage);
  return bytes;
}

FfnBody::Slot::Slot(const CudaDevice& gpu, const FfnBodyShape& shape)
    : inputs_in(gpu, FfnArrays(shape).inputs),
      targets_in(gpu, FfnArrays(shape).targets),
      inputs(gpu, FfnArrays(shape).inputs),
      targets(gpu, FfnArrays(shape).targets) {}

FfnBody::FfnBody(const CudaDevice& gpu, Context& context, const FfnMap& map,
                 const FfnTokens& tokens, const FfnBodyShape& shape)
    : gpu_(gpu),
      context_(context),
      map_(map),
      tokens_(tokens),
      shape_(shape),
      pass_(shape.pass),
      parts_(map.parts()),
      forward_(PrecisionOf(shape.pass, gpu.options().forward)),
      gram_precision_(PrecisionOf(shape.pass, gpu.options().gram)),
      slots_{{gpu, shape}, {gpu, shape}},
      sums_(gpu, SumPlaces(shape).end(), shape.map.segments),
      clock_(gpu),
      loader_(gpu, context, FfnArrays(shape).stage),
      runner_(gpu, *this) {
  const FfnArrays n(shape);
  for (size_t part = 0; part < parts_; ++part) {
    in_[part] = DeviceMap(gpu, map.width, map.inputs, false, forward_);
    if (n.product) change_[part] = DeviceMap(gpu, map.width, map.inputs, false, forward_);
  }
  // The move of a product has no bias.
  const bool biased = !n.product && !map.bias.empty();
  down_ = DeviceMap(gpu, map.outputs, map.width, biased, forward_);
  slopes_ = CudaArray<float>(gpu, parts_ * n.channels);
  hidden_ = CudaArray<float>(gpu, n.channels);
  part_ = CudaArray<float>(gpu, n.part);
  output_ = CudaArray<float>(gpu, n.outputs);
  if (biased) clock_.Time(gpu.times().copy_in, [&] { down_.LoadBias(map.bias.data()); });
}

void FfnBody::LoadWeights(const InputWeights* change) {
  loader_.Load(*map_.down, down_);
  for (size_t part = 0; part < parts_; ++part) {
    loader_.Load(*map_.in[part], in_[part]);
    if (change) loader_.Load(*(*change)[part], change_[part]);
  }
  loader_.Wait();
}

void FfnBody::Way(const std::vector<FfnPage>& pages, size_t row, size_t count, bool last) {
  row_ = row, count_ = count, last_ = last;
  sums_.Begin();
  PagedMatrix* const targets = pass_ == FfnPass::kProduct ? nullptr : tokens_.targets.get();
  const Stream streams[] = {{tokens_.inputs.get(), Access::kRead}, {targets, Access::kRead}};
  for (const FfnPage& page : pages) {
    AnnounceFlight(page.row, streams, {});
    for (size_t at = 0; at < page.rows; at += shape_.flight) {
      context_.CheckAbort();
      runner_.Push({page.row + at, std::min(shape_.flight, page.rows - at)});
    }
  }
  runner_.Drain();
}

void FfnBody::Stage(size_t slot, const DevicePage& page) {
  const auto copy = [&](const std::shared_ptr<PagedMatrix>& from, float* pinned) {
    if (!pinned) return;
    const PagedMatrix::View view(*from, page.row, page.rows, Access::kRead);
    CopyPage(gpu_, context_, view.data(), pinned, page.rows * from->cols());
  };
  copy(tokens_.inputs, slots_[slot].inputs_in.data());
  copy(tokens_.targets, slots_[slot].targets_in.data());
}

void FfnBody::Upload(size_t slot, const DevicePage& page) {
  const Slot& at = slots_[slot];
  CopyIn(gpu_, In(), at.inputs_in.data(), at.inputs.data(), page.rows * map_.inputs);
  if (!at.targets.data()) return;
  CopyIn(gpu_, In(), at.targets_in.data(), at.targets.data(), page.rows * map_.outputs);
}

void FfnBody::MultiplyAdd(size_t count, const float* a, const float* b, float beta,
                          float* to) const {
  gpu_.Call(&Api::multiply_add, Int(count), a, b, beta, to);
}

// Hidden activations and, but for a pass that only wants those, their slopes; then J v, or what the
// output misses of the targets.
void FfnBody::Forward(size_t slot, const DevicePage& page) {
  const Slot& at = slots_[slot];
  const size_t rows = page.rows, cells = rows * map_.width;
  for (size_t part = 0; part < parts_; ++part) {
    in_[part].Apply(rows, at.inputs.data(), 0, Slopes(part));
  }
  float* const gate = parts_ == 2 ? Slopes(0) : nullptr;
  float* const up = Slopes(parts_ - 1);
  const cuda::Gate kind = CodeOf(map_.activation);
  if (pass_ == FfnPass::kHidden) {
    gpu_.Call(&Api::activate, kind, Int(cells), gate, up, hidden_.data());
  } else {
    gpu_.Call(&Api::activate_slopes, kind, Int(cells), gate, up, hidden_.data());
  }
  if (pass_ == FfnPass::kProduct) {
    for (size_t part = 0; part < parts_; ++part) {
      change_[part].Apply(rows, at.inputs.data(), 0, part_.data());
      MultiplyAdd(cells, part_.data(), Slopes(part), part == 0 ? 0.0f : 1.0f, hidden_.data());
    }
  }
  float* const out = output_.data();
  down_.Apply(rows, hidden_.data(), 0, out);
  if (pass_ == FfnPass::kProduct) return;
  gpu_.Call(&Api::combine, Int(rows * map_.outputs), 1, at.targets.data(), -1, out, out);
}

void FfnBody::Sum(size_t slot, const DevicePage& page) {
  const Slot& at = slots_[slot];
  double* const sums = sums_.At(shape_.map.segments.At(page.row));
  if (last_) {
    const SumPlaces to(shape_);
    const int64_t count = Int(page.rows * map_.outputs);
    gpu_.Call(&Api::squared_distance, count, output_.data(), nullptr, sums + to.energy);
    if (at.targets.data()) {
      gpu_.Call(&Api::squared_distance, count, at.targets.data(), nullptr, sums + to.target);
    }
  }
  if (pass_ == FfnPass::kHidden) {
    SumHidden(page.rows, sums);
  } else if (count_ > 0) {
    SumGradients(at, page.rows, sums);
  }
}

void FfnBody::SumHidden(size_t rows, double* sums) const {
  const SumPlaces to(shape_);
  const int64_t tokens = Int(rows), width = Int(map_.width), outputs = Int(map_.outputs);
  const float* const p = hidden_.data();
  gpu_.Call(&Api::gram_add, tokens, width, p, Int(row_), Int(count_), sums + to.gram,
            gram_precision_);
  gpu_.Call(&Api::cross_add, tokens, outputs, 0, outputs, width, Int(row_), Int(count_),
            output_.data(), p, sums + to.cross, gram_precision_);
  if (!last_) return;
  gpu_.Call(&Api::moments_add, tokens, width, p, sums + to.squares, sums + to.sums);
  gpu_.Call(&Api::moments_add, tokens, outputs, output_.data(), nullptr, sums + to.output_sums);
}

// Of the transpose of J, channel by channel, and with the pass of the gradient what its curvature
// is made of.
void FfnBody::SumGradients(const Slot& slot, size_t rows, double* sums) const {
  const SumPlaces to(shape_);
  const int64_t tokens = Int(rows), width = Int(map_.width), inputs = Int(map_.inputs);
  const bool gradient = pass_ == FfnPass::kGradient;
  const float* const x = slot.inputs.data();
  down_.ApplyBack(rows, output_.data(), hidden_.data());
  for (size_t part = 0; part < parts_; ++part) {
    MultiplyAdd(rows * map_.width, hidden_.data(), Slopes(part), 0, part_.data());
    gpu_.Call(&Api::cross_add, tokens, width, Int(row_), Int(count_), inputs, 0, inputs,
              part_.data(), x, sums + to.gradient[part], gram_precision_);
    if (!gradient) continue;
    gpu_.Call(&Api::gram_add, tokens, width, Slopes(part), Int(row_), Int(count_),
              sums + to.curvature[part], gram_precision_);
  }
  if (!gradient || !last_) return;
  gpu_.Call(&Api::gram_add, tokens, inputs, x, 0, inputs, sums + to.gram, gram_precision_);
  gpu_.Call(&Api::moments_add, tokens, inputs, x, sums + to.squares, sums + to.sums);
}

DeviceSums FfnBody::Gradient(size_t part) {
  return {sums_.Total() + SumPlaces(shape_).gradient[part], count_, map_.inputs};
}

DeviceSums FfnBody::Curvature(size_t part) {
  return {sums_.Total() + SumPlaces(shape_).curvature[part], count_, map_.width, row_};
}

DeviceSums FfnBody::Gram() {
  const double* const gram = sums_.Total() + SumPlaces(shape_).gram;
  if (pass_ == FfnPass::kHidden) return {gram, count_, map_.width, row_};
  return {gram, map_.inputs, map_.inputs, 0};
}

DeviceSums FfnBody::Cross() {
  return {sums_.Total() + SumPlaces(shape_).cross, map_.outputs, count_};
}

void FfnBody::ReadTotals(const Totals& to) {
  const FfnArrays n(shape_);
  const SumPlaces from(shape_);
  clock_.Time(gpu_.times().copy_out, [&] {
    const auto read = [&](size_t place, size_t count, double* values) {
      if (values) CopyOut(gpu_, cuda::Queue::kCompute, sums_.Total() + place, values, count);
    };
    read(from.squares, n.moments, to.squares);
    read(from.sums, n.moments, to.sums);
    read(from.output_sums, n.output_sums, to.output_sums);
    read(from.energy, 1, to.energy);
    read(from.target, 1, to.target);
  });
}

}  // namespace struprune

#include "passes/head_body.h"

#include <algorithm>

#include "backend/host_pages.h"

namespace struprune {
namespace {

using cuda::Api;
using cuda::Queue;

// cuBLAS has its fast kernels for rows of whole 16 bytes of bf16.
size_t StrideOf(const HeadBodyShape& shape) { return (shape.flight + 7) / 8 * 8; }

}  // namespace

BodyBytes HeadBytes(const CudaDevice& gpu, const HeadBodyShape& s) {
  const auto floats = [](size_t count) { return ArrayBytes<float>(count); };
  const cuda::Precision forward = gpu.options().forward;
  const size_t stride = StrideOf(s);
  BodyBytes bytes;
  // The map has no bias.
  bytes.device = DeviceMap::Bytes(gpu, stride, s.width, forward) - floats(stride) +
                 floats(s.piece * stride) + (s.means ? floats(s.flight * s.width) : 0) +
                 5 * floats(s.flight) + 2 * ArrayBytes<double>(s.flight) +
                 kSlots * floats(s.piece * s.width);
  const size_t loaded = std::min(s.piece, s.flight) * s.width;
  uint64_t means = 0;
  if (s.means) {
    gpu.Call(&Api::gemm_bytes, true, false, Int(s.flight), Int(s.width), Int(s.piece), forward,
             &means);
  }
  bytes.device += std::max(DeviceMap::WorkBytes(gpu, loaded, s.piece, s.width, forward), means);
  bytes.pinned = kSlots * floats(s.piece * s.width);
  return bytes;
}

HeadBody::Slot::Slot(const CudaDevice& gpu, const HeadBodyShape& shape)
    : rows(gpu, shape.piece * shape.width), table(gpu, shape.piece * shape.width) {}

HeadBody::HeadBody(const CudaDevice& gpu, Context& context, const HeadBodyShape& shape, float cap)
    : gpu_(gpu),
      context_(context),
      shape_(shape),
      cap_(cap),
      stride_(StrideOf(shape)),
      map_(gpu, stride_, shape.width, false, gpu.options().forward),
      logits_(gpu, shape.piece * stride_),
      means_(gpu, shape.means ? shape.flight * shape.width : 0),
      top_(gpu, shape.flight),
      target_logit_(gpu, shape.flight),
      factor_(gpu, shape.flight),
      sum_(gpu, shape.flight),
      log_sum_(gpu, shape.flight),
      targets_(gpu, shape.flight),
      best_(gpu, shape.flight),
      slots_{{gpu, shape}, {gpu, shape}},
      clock_(gpu),
      runner_(gpu, *this) {}

cuda::TokenStates HeadBody::States() const {
  return {top_.data(), sum_.data(), target_logit_.data(), best_.data(), factor_.data()};
}

void HeadBody::Run(size_t tokens, const int32_t* targets, const Fill& inputs, size_t vocab,
                   const Fill& table) {
  tokens_ = tokens;
  const cuda::TokenStates states = States();
  gpu_.Call(&Api::scores_start, Int(tokens), &states);
  clock_.Time(gpu_.times().copy_in, [&] {
    if (targets) return CopyIn(gpu_, Queue::kCompute, targets, targets_.data(), tokens);
    // Every byte of -1.
    gpu_.Call(&Api::fill, targets_.data(), 0xff, Int(tokens * sizeof(int32_t)));
  });
  PushAll(false, tokens, inputs);
  PushAll(true, vocab, table);
}

void HeadBody::PushAll(bool is_table, size_t total, const Fill& fill) {
  is_table_ = is_table, fill_ = &fill;
  for (size_t row = 0; row < total; row += shape_.piece) {
    context_.CheckAbort();
    runner_.Push({row, std::min(shape_.piece, total - row)});
  }
  runner_.Drain();
}

void HeadBody::Stage(size_t slot, const DevicePage& page) {
  const HostClock clock(gpu_);
  (*fill_)(page.row, page.rows, slots_[slot].rows.data());
}

void HeadBody::Upload(size_t slot, const DevicePage& page) {
  const Slot& at = slots_[slot];
  if (!is_table_) return map_.Load(page.row, page.rows, at.rows.data());
  CopyIn(gpu_, In(), at.rows.data(), at.table.data(), page.rows * shape_.width);
}

// means <- factor * means + exponentialsᵀ W; what they hold before the first piece does not count.
void HeadBody::Forward(size_t slot, const DevicePage& page) {
  if (!is_table_) return;
  const float* const table = slots_[slot].table.data();
  const cuda::TokenStates states = States();
  map_.Apply(page.rows, table, 0, logits_.data());
  gpu_.Call(&Api::scores_add, Int(tokens_), Int(page.row), Int(page.rows), logits_.data(),
            Int(stride_), shape_.means, cap_, targets_.data(), &states);
  if (!shape_.means) return;
  if (page.row > 0) ScaleMeans();
  const int64_t width = Int(shape_.width);
  gpu_.Call(&Api::gemm_f32, true, false, Int(tokens_), width, Int(page.rows), 1, logits_.data(),
            Int(stride_), table, width, page.row > 0 ? 1.0f : 0.0f, means_.data(), width,
            gpu_.options().forward);
}

void HeadBody::ScaleMeans() const {
  gpu_.Call(&Api::scale_rows, Int(tokens_), Int(shape_.width), factor_.data(), means_.data());
}

void HeadBody::Read(const Scores& to) {
  const cuda::TokenStates states = States();
  gpu_.Call(&Api::scores_finish, Int(tokens_), &states, log_sum_.data());
  if (shape_.means) ScaleMeans();
  clock_.Time(gpu_.times().copy_out, [&] {
    const auto read = [&](const auto& from, auto* values) {
      if (values) CopyOut(gpu_, Queue::kCompute, from.data(), values, tokens_);
    };
    read(log_sum_, to.log_sum);
    read(target_logit_, to.target_logit);
    read(best_, to.best);
  });
}

void HeadBody::ReadMeans(
    const std::function<void(size_t row, size_t count, const float* means)>& take) {
  float* const pinned = slots_[0].rows.data();
  for (size_t row = 0; row < tokens_; row += shape_.piece) {
    context_.CheckAbort();
    const size_t count = std::min(shape_.piece, tokens_ - row);
    clock_.Time(gpu_.times().copy_out, [&] {
      CopyOut(gpu_, Queue::kCompute, means_.data() + row * shape_.width, pinned,
              count * shape_.width);
    });
    take(row, count, pinned);
  }
}

}  // namespace struprune

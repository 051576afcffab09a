// Norms, rope, activations, attention and the loss on the GPU against native/ops on the CPU.
#include "core/context.h"
#include "gpu_support.h"
#include "ops/activation.h"
#include "ops/attention.h"
#include "ops/gemm.h"
#include "ops/norm.h"
#include "ops/rope.h"

namespace struprune::test {
namespace {

class GpuRows : public GpuTest {};

struct NormShape {
  size_t rows, cols, stride;
};

TEST_P(GpuRows, NormsEqualTheCpus) {
  std::vector<NormShape> shapes = {{1, 1, 1}, {3, 65, 65}, {9, 576, 600}, {70, 31, 33}};
  if (TestedGpu().large) shapes.push_back({4099, 4096, 4096});
  for (const auto& [rows, cols, stride] : shapes) {
    const auto x = RandomValues<float>(rows * stride, 1), weight = RandomValues<float>(cols, 2),
               bias = RandomValues<float>(cols, 3);
    const auto on_gpu = Upload(gpu(), x), w = Upload(gpu(), weight), b = Upload(gpu(), bias);
    for (const bool layer : {false, true}) {
      for (const bool with_bias : {false, true}) {
        auto wanted = x;
        Norm(layer ? NormKind::kLayer : NormKind::kRms, rows, cols, x.data(), stride, weight.data(),
             with_bias ? bias.data() : nullptr, 1e-5f, wanted.data(), stride);
        // In place: what lies between the rows must stay.
        const auto out = Upload(gpu(), x);
        gpu().Call(&cuda::Api::norm, layer ? cuda::Norm::kLayer : cuda::Norm::kRms, Int(rows),
                   Int(cols), out.data(), Int(stride), w.data(), with_bias ? b.data() : nullptr,
                   1e-5f, out.data(), Int(stride));
        ExpectClose(Download(out), wanted, 1e-5, "norm");
      }
    }
  }
}

TEST_P(GpuRows, RopeEqualsTheCpus) {
  const size_t rows = 21, heads = 3, head_dim = 10, window = 7, stride = heads * head_dim + 2;
  Context context(1, 0);
  const RopeTable table(context, RopeSpec{.dims = 6}, head_dim, window);
  auto wanted = RandomValues<float>(rows * stride, 4);
  const auto x = Upload(gpu(), wanted), cosine = Upload(gpu(), table.cosines()),
             sine = Upload(gpu(), table.sines());
  table.Apply(rows, heads, wanted.data(), stride, 3, window);
  gpu().Call(&cuda::Api::rope, Int(rows), Int(heads), Int(head_dim), Int(table.half()),
             cosine.data(), sine.data(), x.data(), Int(stride), 3, Int(window));
  ExpectClose(Download(x), wanted, 1e-6, "rope");
}

TEST_P(GpuRows, ActivationsEqualTheCpus) {
  const size_t count = TestedGpu().large ? 10'000'019 : 3001;
  auto gate = RandomValues<float>(count, 5);
  const auto up = RandomValues<float>(count, 6);
  for (size_t i = 0; i < count; ++i) gate[i] *= 20;
  gate[0] = -200, gate[1] = 200;
  const auto g = Upload(gpu(), gate), u = Upload(gpu(), up);
  const std::pair<Activation, cuda::Gate> kinds[] = {
      {Activation::kSilu, cuda::Gate::kSilu},
      {Activation::kRelu, cuda::Gate::kRelu},
      {Activation::kGelu, cuda::Gate::kGelu},
      {Activation::kGeluTanh, cuda::Gate::kGeluTanh}};
  for (const auto& [kind, code] : kinds) {
    for (const bool gated : {false, true}) {
      std::vector<float> wanted(count);
      const auto& plain = gated ? up : gate;
      Activate(kind, count, gated ? gate.data() : nullptr, plain.data(), wanted.data());
      const auto out = Upload(gpu(), plain);
      gpu().Call(&cuda::Api::activate, code, Int(count), gated ? g.data() : nullptr, out.data(),
                 out.data());
      ExpectClose(Download(out), wanted, 1e-6, "activation");
      // The same with slopes, which take the place of what they are slopes at.
      auto gates = gate, ups = plain;
      ActivateWithSlopes(kind, count, gated ? gates.data() : nullptr, ups.data(), wanted.data());
      const auto gate_slopes = Upload(gpu(), gate), up_slopes = Upload(gpu(), plain);
      gpu().Call(&cuda::Api::activate_slopes, code, Int(count),
                 gated ? gate_slopes.data() : nullptr, up_slopes.data(), out.data());
      ExpectClose(Download(out), wanted, 1e-6, "activation beside its slopes");
      ExpectClose(Download(up_slopes), ups, 1e-6, "slopes");
      if (gated) ExpectClose(Download(gate_slopes), gates, 1e-6, "slopes of the gate");
    }
  }
}

struct Heads {
  size_t window, heads, kv_heads, head_dim, sliding;
  float cap = 0;  // of scores
  bool sinks = false;
};

TEST_P(GpuRows, AttentionEqualsTheCpus) {
  InitialiseBlas();
  std::vector<Heads> shapes = {
      {1, 1, 1, 4, 0},           {37, 4, 2, 16, 0, 1.5f}, {130, 2, 1, 64, 0},
      {100, 2, 2, 64, 17, 0.8f}, {70, 2, 1, 80, 0},       {67, 3, 1, 128, 1},
      {45, 2, 2, 130, 33},       {33, 1, 1, 256, 0},      {100, 4, 2, 64, 17, 0, true}};
  if (TestedGpu().large) shapes.push_back({2048, 32, 8, 128, 0});
  if (TestedGpu().large) shapes.push_back({4096, 8, 2, 64, 1000});
  for (const auto& s : shapes) {
    const size_t windows = 2, rows = windows * s.window;
    const size_t wide = s.heads * s.head_dim, narrow = s.kv_heads * s.head_dim;
    const auto q = RandomValues<float>(rows * wide, 7), k = RandomValues<float>(rows * narrow, 8),
               v = RandomValues<float>(rows * narrow, 9);
    const float scale = 2.0f / std::sqrt(static_cast<float>(s.head_dim));
    const auto sinks = RandomValues<float>(s.heads, 10);
    const AttentionShape shape{s.window,  s.heads, s.kv_heads, s.head_dim,
                               s.sliding, scale,   s.cap,      s.sinks ? sinks.data() : nullptr};
    std::vector<float> wanted(rows * wide);
    AttentionScratch scratch;
    for (size_t w = 0; w < windows; ++w) {
      for (size_t head = 0; head < s.heads; ++head) {
        for (size_t first = 0; first < s.window; first += kQueryTile) {
          AttendTile(shape, head, first, std::min(kQueryTile, s.window - first),
                     q.data() + w * s.window * wide, k.data() + w * s.window * narrow,
                     v.data() + w * s.window * narrow, nullptr, wanted.data() + w * s.window * wide,
                     nullptr, scratch);
        }
      }
    }
    const auto qg = Upload(gpu(), q), kg = Upload(gpu(), k), vg = Upload(gpu(), v),
               sinks_on_gpu = Upload(gpu(), sinks);
    const cuda::AttentionShape on_gpu{
        Int(s.window),  Int(s.heads), Int(s.kv_heads), Int(s.head_dim),
        Int(s.sliding), scale,        s.cap,           s.sinks ? sinks_on_gpu.data() : nullptr};
    const CudaArray<float> out(gpu(), rows * wide);
    gpu().Call(&cuda::Api::attention, &on_gpu, Int(windows), qg.data(), kg.data(), vg.data(),
               out.data());
    ExpectClose(Download(out), wanted, 1e-5, "attention");
  }
}

INSTANTIATE_TEST_SUITE_P(Gpu, GpuRows, testing::Values(ExactKinds()[0]),
                         [](const auto& info) { return NameOf(info.param); });

}  // namespace
}  // namespace struprune::test

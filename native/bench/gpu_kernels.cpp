#include "bench/gpu_kernels.h"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "backend/streams.h"
#include "bench/stopwatch.h"
#include "ops/rope.h"
#include "passes/device_codes.h"
#include "passes/head_body.h"
#include "passes/head_on_device.h"

namespace struprune::bench {
namespace {

using cuda::Api;
using cuda::Precision;

// Sides of the products of a roof at most, and elements of the arrays of its sum.
constexpr size_t kSide = 4096, kLength = size_t{1} << 26;

const char* NameOf(Precision precision) {
  switch (precision) {
    case Precision::kExact:
      return "f32";
    case Precision::kTf32:
      return "tf32";
    case Precision::kBf16x3:
      return "bf16x3";
    case Precision::kBf16:
      return "bf16";
  }
  return "f32";
}

// The stopwatch by the GPU's own clock, which may not have moved; `prepare` is not timed.
template <typename Prepare, typename Work>
Lap RepeatOnGpu(const CudaDevice& gpu, double seconds, Prepare prepare, Work work) {
  const StreamClock clock(gpu);
  return RepeatTimed(seconds, [&] {
    prepare();
    double elapsed = 0;
    clock.Time(elapsed, work);
    return std::max(elapsed, 1e-6);
  });
}
template <typename Work>
Lap RepeatOnGpu(const CudaDevice& gpu, double seconds, Work work) {
  return RepeatOnGpu(gpu, seconds, [] {}, work);
}

// Elements that are on the host at a time while an array is filled.
constexpr size_t kFill = size_t{1} << 20;

// An array of value(i).
template <typename T, typename Value>
CudaArray<T> Filled(const CudaDevice& gpu, size_t count, Value value) {
  CudaArray<T> array(gpu, count);
  std::vector<T> values;
  for (size_t at = 0; at < count; at += kFill) {
    values.resize(std::min(kFill, count - at));
    for (size_t i = 0; i < values.size(); ++i) values[i] = value(at + i);
    gpu.Upload(array.data() + at, values.data(), values.size() * sizeof(T));
  }
  return array;
}

template <typename T>
CudaArray<T> GpuValues(const CudaDevice& gpu, size_t count) {
  Noise noise;
  return Filled<T>(gpu, count, [&](size_t) { return static_cast<T>(noise.Next()); });
}

class GpuKernels {
 public:
  GpuKernels(const CudaDevice& gpu, const BlockSpec& spec, const KernelRun& run)
      : gpu_(gpu),
        attention_layer_(spec.sublayers[SublayersOf(spec).attention]),
        ffn_layer_(spec.sublayers[SublayersOf(spec).ffn]),
        attention_(*attention_layer_.attention()),
        ffn_(*ffn_layer_.ffn()),
        norm_(ffn_layer_.norm.value_or(NormSpec{})),
        hidden_(spec.hidden),
        run_(run),
        // Without cuBLAS every mode is kExact.
        forward_(gpu.has_blas() ? gpu.options().forward : Precision::kExact),
        gram_(gpu.has_blas() ? gpu.options().gram : Precision::kExact) {}

  std::vector<Timing> All(const HeadShape& head) {
    Maps();
    Attention();
    Rotation();
    Pointwise();
    Sums();
    if (head.vocab > 0) Head(head);
    Factors();
    return std::move(found_);
  }

 private:
  template <typename Work>
  void Time(Timing about, Work work) {
    Time(std::move(about), [] {}, work);
  }
  template <typename Prepare, typename Work>
  void Time(Timing about, Prepare prepare, Work work) {
    const Lap lap = RepeatOnGpu(gpu_, run_.seconds, prepare, work);
    about.seconds = lap.seconds;
    about.repeats = lap.repeats;
    found_.push_back(std::move(about));
  }

  void Maps() {
    for (const SublayerSpec* layer : {&attention_layer_, &ffn_layer_}) {
      for (const Part part : {Part::kQ, Part::kK, Part::kV, Part::kGate, Part::kUp, Part::kOut}) {
        const auto shape = ShapeOf(*layer, hidden_, part);
        const std::string name(kPartNames[static_cast<size_t>(part)]);
        if (shape) LinearMap(layer->name + "." + name, shape->cols, shape->rows);
      }
    }
  }

  void LinearMap(const std::string& name, size_t in, size_t out) {
    const auto x = GpuValues<float>(gpu_, run_.tokens * in), w = GpuValues<float>(gpu_, in * out);
    const CudaArray<float> y(gpu_, run_.tokens * out);
    const double weights = D(in * out), tokens = D(run_.tokens);
    Time({"linear " + name, ShapeText(run_.tokens, in) + " × " + ShapeText(in, out),
          NameOf(forward_), 2 * weights * tokens, 4 * (weights + tokens * D(in + out))},
         [&] {
           gpu_.Call(&Api::gemm_f32, false, true, Int(run_.tokens), Int(out), Int(in), 1, x.data(),
                     Int(in), w.data(), Int(in), 0, y.data(), Int(out), forward_);
         });
  }

  void Attention() {
    const size_t q = attention_.q_width(), kv = attention_.kv_width();
    const double tokens = D(run_.tokens), window = D(run_.window);
    const double seen =
        attention_.sliding ? std::min(D(attention_.sliding), (window + 1) / 2) : (window + 1) / 2;
    const auto queries = GpuValues<float>(gpu_, run_.tokens * q),
               keys = GpuValues<float>(gpu_, run_.tokens * kv);
    const CudaArray<float> out(gpu_, run_.tokens * q);
    const cuda::AttentionShape shape{
        Int(run_.window),         Int(attention_.heads()),
        Int(attention_.kv_heads), Int(attention_.head_dim),
        Int(attention_.sliding),  1.0f / static_cast<float>(attention_.head_dim),
        attention_.cap,           attention_.sinks ? queries.data() : nullptr};
    Time(
        {"attention", std::to_string(run_.tokens / run_.window) + " × " + ShapeText(run_.window, q),
         "f32", 4 * D(q) * seen * tokens, 4 * tokens * D(2 * q + 2 * kv)},
        [&] {
          gpu_.Call(&Api::attention, &shape, Int(run_.tokens / run_.window), queries.data(),
                    keys.data(), keys.data(), out.data());
        });
  }

  void Rotation() {
    if (!attention_.rope) return;
    const size_t head = attention_.head_dim, half = attention_.rope->turned(head) / 2;
    const size_t cols = attention_.q_width();
    const auto x = GpuValues<float>(gpu_, run_.tokens * cols),
               angles = GpuValues<float>(gpu_, run_.window * half);
    const double values = D(run_.tokens * cols);
    Time({"rope q", ShapeText(run_.tokens, cols), "f32", 3 * values, 8 * values}, [&] {
      gpu_.Call(&Api::rope, Int(run_.tokens), Int(attention_.heads()), Int(head), Int(half),
                angles.data(), angles.data(), x.data(), Int(cols), 0, Int(run_.window));
    });
  }

  // Flops are counted as on the CPU (bench/kernels.cpp).
  void Pointwise() {
    const size_t d = hidden_, n = ffn_.width, count = run_.tokens * n;
    const auto weight = GpuValues<float>(gpu_, d), states = GpuValues<float>(gpu_, run_.tokens * d);
    const CudaArray<float> normed(gpu_, run_.tokens * d);
    const double values = D(run_.tokens * d), cells = D(count);
    Time({"norm", ShapeText(run_.tokens, d), "f32", 4 * values, 8 * values}, [&] {
      gpu_.Call(&Api::norm, CodeOf(norm_.kind), Int(run_.tokens), Int(d), states.data(), Int(d),
                weight.data(), nullptr, norm_.eps, normed.data(), Int(d));
    });
    const auto gate = GpuValues<float>(gpu_, count), up = GpuValues<float>(gpu_, count);
    const CudaArray<float> out(gpu_, count);
    const double inputs = ffn_.gated ? 2 : 1;
    const cuda::Gate kind = CodeOf(ffn_.activation);
    Time({ffn_.gated ? "gated activation" : "activation", ShapeText(run_.tokens, n), "f32",
          (inputs + 2) * cells, 4 * (inputs + 1) * cells},
         [&] {
           gpu_.Call(&Api::activate, kind, Int(count), ffn_.gated ? gate.data() : nullptr,
                     up.data(), out.data());
         });
    Time({"activation and slopes", ShapeText(run_.tokens, n), "f32", 2 * (inputs + 2) * cells,
          4 * (2 * inputs + 1) * cells},
         [&] {
           gpu_.Call(&Api::activate_slopes, kind, Int(count), ffn_.gated ? gate.data() : nullptr,
                     up.data(), out.data());
         });
    Time({"product of cells", ShapeText(run_.tokens, n), "f32", cells, 12 * cells},
         [&] { gpu_.Call(&Api::multiply_add, Int(count), gate.data(), up.data(), 0, out.data()); });
    Time({"sum of cells", ShapeText(run_.tokens, n), "f32", 3 * cells, 12 * cells},
         [&] { gpu_.Call(&Api::combine, Int(count), 1, gate.data(), -1, up.data(), out.data()); });
  }

  // XᵀX is symmetric: half of the products are useful.
  void Sums() {
    const size_t n = ffn_.width, d = hidden_;
    const auto x = GpuValues<float>(gpu_, run_.tokens * n),
               r = GpuValues<float>(gpu_, run_.tokens * d);
    const double tokens = D(run_.tokens);
    {
      const CudaArray<double> gram(gpu_, n * n);
      gpu_.Call(&Api::fill, gram.data(), 0, Int(n * n * sizeof(double)));
      Time({"gram", ShapeText(n, run_.tokens) + " × " + ShapeText(run_.tokens, n), NameOf(gram_),
            tokens * D(n) * D(n), 4 * tokens * D(n) + 8 * D(n) * D(n)},
           [&] {
             gpu_.Call(&Api::gram_add, Int(run_.tokens), Int(n), x.data(), 0, Int(n), gram.data(),
                       gram_);
           });
    }
    const CudaArray<double> cross(gpu_, d * n), sums(gpu_, 2 * n);
    gpu_.Call(&Api::fill, cross.data(), 0, Int(d * n * sizeof(double)));
    gpu_.Call(&Api::fill, sums.data(), 0, Int(2 * n * sizeof(double)));
    Time({"cross products", ShapeText(d, run_.tokens) + " × " + ShapeText(run_.tokens, n),
          NameOf(gram_), 2 * tokens * D(n) * D(d), 4 * tokens * D(n + d) + 16 * D(n) * D(d)},
         [&] {
           gpu_.Call(&Api::cross_add, Int(run_.tokens), Int(d), 0, Int(d), Int(n), 0, Int(n),
                     r.data(), x.data(), cross.data(), gram_);
         });
    Time({"column sums", ShapeText(run_.tokens, n), "f64", 3 * tokens * D(n), 4 * tokens * D(n)},
         [&] {
           gpu_.Call(&Api::moments_add, Int(run_.tokens), Int(n), x.data(), sums.data(),
                     sums.data() + n);
         });
    const auto other = GpuValues<float>(gpu_, run_.tokens * d);
    Time({"reconstruction loss", ShapeText(run_.tokens, d), "f64", 3 * tokens * D(d),
          8 * tokens * D(d)},
         [&] {
           gpu_.Call(&Api::squared_distance, Int(run_.tokens * d), r.data(), other.data(),
                     sums.data());
         });
  }

  // As on the CPU (lib/bench/kernels/whole-calls.ts), but that rows of the table are there: what
  // the bus and the GPU take.
  void Head(const HeadShape& shape) {
    const size_t d = shape.width, vocab = shape.vocab;
    const HeadPlan plan = PlanHead(gpu_, d, vocab, run_.tokens, false);
    Context context(1, 0);
    HeadBody head(gpu_, context, {d, plan.flight, std::min(kHeadPiece, vocab), false}, 0);
    Noise noise;
    bool filled = false;
    const HeadBody::Fill fill = [&](size_t row, size_t count, float* to) {
      // Both slots keep what they were filled with.
      if (filled || row >= 2 * kHeadPiece) return;
      std::generate_n(to, count * d, [&] { return static_cast<float>(noise.Next()); });
    };
    std::vector<double> log_sum(plan.flight);
    const double tokens = D(plan.flight);
    Time({"head and NLL", ShapeText(plan.flight, d) + " × " + ShapeText(d, vocab), NameOf(forward_),
          2 * tokens * D(d) * D(vocab), 4 * D(d) * (tokens + D(vocab))},
         [&] {
           head.Run(plan.flight, nullptr, fill, vocab, fill);
           head.Read({.log_sum = log_sum.data()});
           filled = true;
         });
  }

  // What the solvers do with a Gram matrix.
  void Factors() {
    const size_t n = ffn_.width, rows = hidden_;
    const auto cell = [n](size_t i) { return i % (n + 1) == 0 ? D(n) : 0.5; };
    const double cube = D(n) * D(n) * D(n), square = 8 * D(n) * D(n);
    // A factor is made in place: the matrix is written anew before each, which is not timed.
    const auto matrix = Filled<double>(gpu_, n * n, cell);
    const CudaArray<double> work(gpu_, n * n);
    int32_t done = 1;
    const CudaArray<double> one(gpu_, std::span<const double>(std::array{1.0}));
    Time(
        {"cholesky", ShapeText(n, n), "f64", cube / 3, square},
        // A copy on the GPU: a product with 1.
        [&] {
          gpu_.Call(&Api::gemm_f64, false, false, Int(n * n), 1, 1, 1, matrix.data(), 1, one.data(),
                    1, 0, work.data(), 1);
        },
        [&] { gpu_.Call(&Api::cholesky, Int(n), work.data(), Int(n), &done); });
    if (done == 0) throw Error("ERR_INTERNAL", "a positive matrix was not factored");
    const auto right = GpuValues<double>(gpu_, rows * n);
    Time({"triangular solves", ShapeText(rows, n) + " / " + ShapeText(n, n), "f64",
          2 * D(rows) * D(n) * D(n), square / 2 + 16 * D(rows * n)},
         [&] {
           for (const bool forward : {true, false}) {
             gpu_.Call(&Api::solve_lower, forward, Int(n), work.data(), Int(n), Int(rows),
                       right.data(), Int(n));
           }
         });
    const CudaArray<double> product(gpu_, rows * n);
    Time({"product in doubles", ShapeText(rows, n) + " × " + ShapeText(n, n), "f64",
          2 * D(rows) * D(n) * D(n), square + 16 * D(rows * n)},
         [&] {
           gpu_.Call(&Api::gemm_f64, false, false, Int(rows), Int(n), Int(n), 1, right.data(),
                     Int(n), work.data(), Int(n), 0, product.data(), Int(n));
         });
    const auto places = Filled<int32_t>(gpu_, n, [](size_t i) { return static_cast<int32_t>(i); });
    Time({"rows and columns put together", ShapeText(n, n), "f64", 0, 2 * square},
         [&] { gpu_.Call(&Api::compact, Int(n), Int(n), places.data(), work.data()); });
  }

  const CudaDevice& gpu_;
  const SublayerSpec &attention_layer_, &ffn_layer_;
  const AttentionSpec attention_;
  const FeedForwardSpec ffn_;
  const NormSpec norm_;
  const size_t hidden_;
  const KernelRun& run_;
  const Precision forward_, gram_;
  std::vector<Timing> found_;
};

}  // namespace

GpuRoofs MeasureGpuRoofs(const CudaDevice& gpu, double seconds) {
  const cuda::MemoryReport memory = gpu.memory();
  const uint64_t room = (memory.limit - memory.used) / 2;
  GpuRoofs roofs;
  // Three matrices of floats and what splits them, or three of doubles.
  size_t n = kSide;
  while (n > 64 && 32 * n * n > room) n /= 2;
  const double flops = 2e-9 * D(n) * D(n) * D(n);
  {
    const auto a = GpuValues<float>(gpu, n * n), b = GpuValues<float>(gpu, n * n);
    const CudaArray<float> c(gpu, n * n);
    std::vector<Precision> precisions = {Precision::kExact};
    if (gpu.has_blas()) {
      precisions.insert(precisions.end(), {Precision::kTf32, Precision::kBf16x3, Precision::kBf16});
    }
    for (const Precision precision : precisions) {
      const Lap lap = RepeatOnGpu(gpu, seconds, [&] {
        gpu.Call(&Api::gemm_f32, false, true, Int(n), Int(n), Int(n), 1, a.data(), Int(n), b.data(),
                 Int(n), 0, c.data(), Int(n), precision);
      });
      roofs.rates.push_back({NameOf(precision), flops / lap.seconds});
    }
  }
  {
    const auto a = GpuValues<double>(gpu, n * n), b = GpuValues<double>(gpu, n * n);
    const CudaArray<double> c(gpu, n * n);
    const Lap lap = RepeatOnGpu(gpu, seconds, [&] {
      gpu.Call(&Api::gemm_f64, false, true, Int(n), Int(n), Int(n), 1, a.data(), Int(n), b.data(),
               Int(n), 0, c.data(), Int(n));
    });
    roofs.rates.push_back({"f64", flops / lap.seconds});
  }
  const size_t length = std::min<size_t>(kLength, room / 16);
  const auto a = GpuValues<float>(gpu, length), b = GpuValues<float>(gpu, length);
  const CudaArray<float> c(gpu, length);
  const Lap lap = RepeatOnGpu(gpu, seconds, [&] {
    gpu.Call(&Api::combine, Int(length), 1, a.data(), 1, b.data(), c.data());
  });
  roofs.bandwidth = 12e-9 * D(length) / lap.seconds;
  return roofs;
}

std::vector<Timing> TimeGpuKernels(const CudaDevice& gpu, const BlockSpec& spec,
                                   const HeadShape& head, const KernelRun& run) {
  RequireWholeWindows(run);
  return GpuKernels(gpu, spec, run).All(head);
}

}  // namespace struprune::bench

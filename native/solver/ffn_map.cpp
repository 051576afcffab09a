#include "solver/ffn_map.h"

#include <algorithm>

#include "core/simd.h"
#include "ops/gemm.h"

namespace struprune {
namespace {

// to[i] += a[i] * b[i].
STRUPRUNE_CLONES
void AddProduct(size_t count, const float* a, const float* b, float* to) {
  for (size_t i = 0; i < count; ++i) to[i] += a[i] * b[i];
}

// to[i] = a[i] * b[i], rows of `to` being `stride` apart.
STRUPRUNE_CLONES
void WriteProduct(size_t rows, size_t width, const float* a, const float* b, float* to,
                  size_t stride) {
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < width; ++j) to[i * stride + j] = a[i * width + j] * b[i * width + j];
  }
}

}  // namespace

void PreActivations(const FfnMap& map, const float* weight, size_t rows, const float* x, float* pre,
                    size_t stride) {
  for (size_t part = 0; part < map.parts; ++part) {
    Gemm(Trans::kNo, Trans::kYes, rows, map.width, map.inputs, 1.0f, x, map.inputs,
         weight + part * map.width * map.inputs, map.inputs, 0.0f, pre + part * stride, map.width);
  }
}

void HiddenAndSlopes(const FfnMap& map, size_t rows, float* pre, size_t stride, float* hidden) {
  float* gate = map.parts == 2 ? pre : nullptr;
  ActivateWithSlopes(map.activation, rows * map.width, gate, gate ? pre + stride : pre, hidden);
}

void SubtractOutput(const FfnMap& map, size_t rows, const float* hidden, float* y) {
  Gemm(Trans::kNo, Trans::kYes, rows, map.outputs, map.width, -1.0f, hidden, map.width,
       map.down.data(), map.width, 1.0f, y, map.outputs);
  if (map.bias.empty()) return;
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < map.outputs; ++j) y[i * map.outputs + j] -= map.bias[j];
  }
}

void PushForward(const FfnMap& map, size_t rows, const float* change, size_t change_stride,
                 const float* slopes, size_t stride, float* scratch, float* to) {
  std::fill_n(scratch, rows * map.width, 0.0f);
  for (size_t part = 0; part < map.parts; ++part) {
    AddProduct(rows * map.width, change + part * change_stride, slopes + part * stride, scratch);
  }
  Gemm(Trans::kNo, Trans::kYes, rows, map.outputs, map.width, 1.0f, scratch, map.width,
       map.down.data(), map.width, 0.0f, to, map.outputs);
}

void PullBack(const FfnMap& map, size_t rows, const float* from, const float* slopes, size_t stride,
              float* scratch, float* to) {
  Gemm(Trans::kNo, Trans::kNo, rows, map.width, map.outputs, 1.0f, from, map.outputs,
       map.down.data(), map.width, 0.0f, scratch, map.width);
  for (size_t part = 0; part < map.parts; ++part) {
    WriteProduct(rows, map.width, scratch, slopes + part * stride, to + part * map.width,
                 map.rows());
  }
}

}  // namespace struprune

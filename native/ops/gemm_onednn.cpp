#include "ops/gemm_onednn.h"

#include <cstdint>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/simd.h"
#include "ops/half.h"

// The wheel runs its loops on GNU OpenMP; the header of that runtime needs -fopenmp, which would
// link it into the default build as well.
extern "C" void omp_set_num_threads(int threads);

namespace struprune {
namespace {

using dnnl::memory;

// Our pool already has a thread a core; the setting is one per calling thread.
void KeepToThisThread() {
  thread_local const bool done = (omp_set_num_threads(1), true);
  (void)done;
}

const dnnl::engine& Cpu() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

// in[rows, cols] with row stride ld -> dense bf16 out[rows, cols].
STRUPRUNE_CLONES
void Pack(const float* in, size_t rows, size_t cols, size_t ld, std::vector<uint16_t>& out) {
  out.resize(rows * cols);
  for (size_t i = 0; i < rows; ++i) {
    const float* from = in + i * ld;
    uint16_t* to = out.data() + i * cols;
    for (size_t j = 0; j < cols; ++j) to[j] = FloatToBfloat16(from[j]);
  }
}

// A matrix op(X)[rows, cols] whose stored rows are `stride` apart.
memory::desc Matrix(size_t rows, size_t cols, memory::data_type type, bool transposed,
                    size_t stride) {
  const auto dim = [](size_t value) { return static_cast<memory::dim>(value); };
  const memory::dims strides =
      transposed ? memory::dims{1, dim(stride)} : memory::dims{dim(stride), 1};
  return {{dim(rows), dim(cols)}, type, strides};
}

void Sgemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, float alpha,
           const float* a, size_t lda, const float* b, size_t ldb, float beta, float* c,
           size_t ldc) {
  const auto dim = [](size_t value) { return static_cast<dnnl_dim_t>(value); };
  const dnnl_status_t status =
      dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', dim(m), dim(n), dim(k), alpha, a,
                 dim(lda), b, dim(ldb), beta, c, dim(ldc));
  if (status != dnnl_success) {
    throw Error("ERR_INTERNAL", "dnnl_sgemm failed with status " + std::to_string(status));
  }
}

void Bf16Gemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, float alpha,
              const float* a, size_t lda, const float* b, size_t ldb, float beta, float* c,
              size_t ldc) {
  thread_local std::vector<uint16_t> packed_a, packed_b;
  const size_t width_a = transpose_a ? m : k, width_b = transpose_b ? k : n;
  Pack(a, transpose_a ? k : m, width_a, lda, packed_a);
  Pack(b, transpose_b ? n : k, width_b, ldb, packed_b);

  const memory::desc type_a = Matrix(m, k, memory::data_type::bf16, transpose_a, width_a);
  const memory::desc type_b = Matrix(k, n, memory::data_type::bf16, transpose_b, width_b);
  const memory::desc type_c = Matrix(m, n, memory::data_type::f32, false, ldc);
  dnnl::post_ops after;
  if (alpha != 1.0f) after.append_eltwise(dnnl::algorithm::eltwise_linear, alpha, 0.0f);
  if (beta != 0.0f) after.append_sum(beta);
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(after);
  // Building a primitive is a look-up in oneDNN's own cache after the first of its shape.
  const dnnl::matmul product({Cpu(), type_a, type_b, type_c, attributes});
  dnnl::stream stream(Cpu());
  product.execute(stream, {{DNNL_ARG_SRC, memory(type_a, Cpu(), packed_a.data())},
                           {DNNL_ARG_WEIGHTS, memory(type_b, Cpu(), packed_b.data())},
                           {DNNL_ARG_DST, memory(type_c, Cpu(), c)}});
  stream.wait();
}

}  // namespace

void OneDnnGemm(bool bf16, bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k,
                float alpha, const float* a, size_t lda, const float* b, size_t ldb, float beta,
                float* c, size_t ldc) {
  KeepToThisThread();
  try {
    const auto gemm = bf16 ? Bf16Gemm : Sgemm;
    gemm(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  } catch (const dnnl::error& error) {
    throw Error("ERR_INTERNAL", std::string("oneDNN: ") + error.what());
  }
}

}  // namespace struprune

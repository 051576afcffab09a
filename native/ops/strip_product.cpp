#include "ops/strip_product.h"

#include <algorithm>

#include "ops/gemm.h"
#include "ops/packed_weights.h"

namespace struprune {
namespace {

const std::vector<PackedOperand>* Packed(const Context& context, const PagedMatrix& weight,
                                         Trans trans) {
  return context.packed ? context.packed->Find(weight, trans) : nullptr;
}

// False: one of the weights is not packed.
bool PackedProducts(Context& context, std::span<const WeightTerm> terms, size_t rows, float alpha,
                    const float* x, float beta) {
  std::vector<AmxTerm> products;
  size_t k = 0, parts = 0;
  for (const auto& [weight, out] : terms) {
    const auto* strips = Packed(context, *weight, Trans::kYes);
    if (!strips) return false;
    float* to = out;
    for (const PackedOperand& strip : *strips) {
      products.push_back({.b = strip.At(), .n = strip.lines(), .c = to, .ldc = weight->rows()});
      to += strip.lines();
      parts = strip.parts();
    }
    k = weight->cols();
  }
  if (products.empty()) return false;
  context.CheckAbort();
  AmxGemm(parts, rows, k, alpha, {.data = x, .ld = k}, products, beta);
  return true;
}

}  // namespace

void StripProduct(Context& context, PagedMatrix& weight, size_t rows, float alpha, const float* x,
                  float beta, float* out) {
  const size_t n = weight.rows(), k = weight.cols();
  if (k == 0 && beta == 0) std::fill_n(out, rows * n, 0.0f);
  const WeightTerm term{&weight, out};
  if (PackedProducts(context, {&term, 1}, rows, alpha, x, beta)) return;
  EachStrip(context, weight, [&](size_t first, size_t count, const float* w) {
    Gemm(Trans::kNo, Trans::kYes, rows, count, k, alpha, x, k, w, k, beta, out + first, n);
  });
}

void StripProducts(Context& context, std::span<const WeightTerm> terms, size_t rows, float alpha,
                   const float* x, float beta) {
  if (PackedProducts(context, terms, rows, alpha, x, beta)) return;
  for (const auto& [weight, out] : terms) {
    StripProduct(context, *weight, rows, alpha, x, beta, out);
  }
}

void StripProductBack(Context& context, PagedMatrix& weight, size_t rows, const float* x,
                      float beta, float* out) {
  const size_t n = weight.rows(), k = weight.cols();
  if (n == 0 && beta == 0) std::fill_n(out, rows * k, 0.0f);
  const auto keep = [&](size_t first) { return first == 0 ? beta : 1.0f; };
  if (const auto* strips = Packed(context, weight, Trans::kNo)) {
    size_t first = 0;
    for (const PackedOperand& strip : *strips) {
      context.CheckAbort();
      Gemm(Trans::kNo, rows, k, strip.depth(), 1, x + first, n, {strip}, keep(first), out, k);
      first += strip.depth();
    }
    return;
  }
  EachStrip(context, weight, [&](size_t first, size_t count, const float* w) {
    Gemm(Trans::kNo, Trans::kNo, rows, k, count, 1.0f, x + first, n, w, k, keep(first), out, k);
  });
}

}  // namespace struprune

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

// A weight's packed strips, each with its columns of out[rows, rows of the weight].
std::vector<AmxTerm> PackedTerms(const Context& context, const WeightTerm& term) {
  std::vector<AmxTerm> terms;
  const auto* strips = Packed(context, *term.weight, Trans::kYes);
  if (!strips) return terms;
  float* to = term.out;
  for (const PackedOperand& strip : *strips) {
    terms.push_back({.b = strip.At(), .n = strip.lines(), .c = to, .ldc = term.weight->rows()});
    to += strip.lines();
  }
  return terms;
}

size_t PackedParts(const Context& context, const WeightTerm& term) {
  return Packed(context, *term.weight, Trans::kYes)->front().parts();
}

// False: one of the weights is not packed.
bool PackedProducts(Context& context, std::span<const WeightTerm> terms, size_t rows, float alpha,
                    const float* x, float beta) {
  std::vector<AmxTerm> products;
  for (const WeightTerm& term : terms) {
    const std::vector<AmxTerm> own = PackedTerms(context, term);
    if (own.empty()) return false;
    products.insert(products.end(), own.begin(), own.end());
  }
  if (products.empty()) return false;
  const size_t k = terms.front().weight->cols();
  context.CheckAbort();
  AmxGemm(PackedParts(context, terms.front()), rows, k, alpha, {.data = x, .ld = k}, products,
          beta);
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

bool JoinedStripProducts(Context& context, const WeightTerm& first, const WeightTerm& second,
                         size_t rows, const float* x, const StripJoin& join) {
  const std::vector<AmxTerm> firsts = PackedTerms(context, first);
  const std::vector<AmxTerm> seconds = PackedTerms(context, second);
  const auto rows_of = [](const AmxTerm& strip) { return strip.n; };
  if (firsts.empty() || !std::ranges::equal(firsts, seconds, {}, rows_of, rows_of)) return false;
  std::vector<AmxTerm> pairs;
  for (size_t i = 0; i < firsts.size(); ++i) pairs.insert(pairs.end(), {firsts[i], seconds[i]});
  const size_t k = first.weight->cols();
  context.CheckAbort();
  AmxGemmJoined(PackedParts(context, first), rows, k, {.data = x, .ld = k}, pairs, join);
  return true;
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

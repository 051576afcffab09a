// Weights in the form that the thread's GEMM path reads, for a pass that multiplies many tokens by
// them.
#pragma once

#include <vector>

#include "core/paged_matrix.h"
#include "ops/packed_operand.h"

namespace struprune {

// While it lives, products of this context with these weights (ops/strip_product.h) find them
// packed, as far as there is memory to spare and rows enough to make up for it. One at a time; the
// weights must not change meanwhile.
class PackedWeights {
 public:
  // forward: for x Wᵀ, backward: for x W; null: none. `rows` is how many will be multiplied.
  PackedWeights(Context& context, size_t rows, const std::vector<PagedMatrix*>& forward,
                const std::vector<PagedMatrix*>& backward = {});
  ~PackedWeights();
  PackedWeights(const PackedWeights&) = delete;
  PackedWeights& operator=(const PackedWeights&) = delete;

  // Operands B of products with a weight's strips, in order; null: not packed. kYes: of x Wᵀ.
  const std::vector<PackedOperand>* Find(const PagedMatrix& weight, Trans trans) const;

 private:
  void Pack(PagedMatrix& weight, Trans trans);

  struct Entry {
    const PagedMatrix* weight;
    Trans trans;
    std::vector<PackedOperand> strips;
  };
  Context& context_;
  std::vector<Entry> entries_;
};

// Whether products of the running pass find it packed, in one order at least; null: no.
bool IsPacked(const Context& context, const PagedMatrix* weight);

}  // namespace struprune

#include "ops/packed_weights.h"

#include "ops/weight_strips.h"

namespace struprune {
namespace {

// Rows from which on packing once, by itself, takes less than packing in every product.
constexpr size_t kWorthPacking = 1024;

}  // namespace

PackedWeights::PackedWeights(Context& context, size_t rows,
                             const std::vector<PagedMatrix*>& forward,
                             const std::vector<PagedMatrix*>& backward)
    : context_(context) {
  if (rows < kWorthPacking) return;
  for (PagedMatrix* weight : forward) {
    if (weight) Pack(*weight, Trans::kYes);
  }
  for (PagedMatrix* weight : backward) {
    if (weight) Pack(*weight, Trans::kNo);
  }
  if (!entries_.empty()) context_.packed = this;
}

PackedWeights::~PackedWeights() {
  if (context_.packed == this) context_.packed = nullptr;
}

void PackedWeights::Pack(PagedMatrix& weight, Trans trans) {
  const size_t k = weight.cols();
  if (weight.rows() * k == 0) return;
  std::vector<PackedOperand> strips;
  for (size_t row = 0; row < weight.rows(); row += weight.page_rows()) {
    const size_t count = weight.Run(row, weight.page_rows());
    strips.push_back(trans == Trans::kYes ? PackedOperand(context_, OperandSide::kB, count, k)
                                          : PackedOperand(context_, OperandSide::kB, k, count));
    if (strips.back().empty()) return;
  }
  auto strip = strips.begin();
  EachStrip(context_, weight,
            [&](size_t, size_t, const float* w) { (strip++)->Fill(context_, trans, w, k); });
  entries_.push_back({&weight, trans, std::move(strips)});
}

const std::vector<PackedOperand>* PackedWeights::Find(const PagedMatrix& weight,
                                                      Trans trans) const {
  for (const Entry& entry : entries_) {
    if (entry.weight == &weight && entry.trans == trans) return &entry.strips;
  }
  return nullptr;
}

bool IsPacked(const Context& context, const PagedMatrix* weight) {
  if (!context.packed || !weight) return false;
  return context.packed->Find(*weight, Trans::kYes) || context.packed->Find(*weight, Trans::kNo);
}

}  // namespace struprune

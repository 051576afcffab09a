#include "ops/packed_operand.h"

#include <algorithm>

#include "ops/gemm_path.h"

namespace struprune {

PackedOperand::PackedOperand(Context& context, OperandSide side, size_t lines, size_t depth)
    : side_(side), parts_(PartsOf(CurrentGemmPath())), lines_(lines), depth_(depth) {
  if (parts_ == 0 || lines * depth == 0) return;
  data_ = Buffer<uint16_t>::Spare(context.budget, AmxPackedSize(parts_, lines, depth));
}

void PackedOperand::Fill(Context& context, Trans trans, const float* from, size_t ld) {
  context.pool.ParallelFor((lines_ + kAmxLines - 1) / kAmxLines, [&](size_t index, size_t) {
    FillLines(trans, from, ld, index * kAmxLines, kAmxLines);
  });
}

void PackedOperand::Fill(Trans trans, const float* from, size_t ld) {
  FillLines(trans, from, ld, 0, lines_);
}

void PackedOperand::Fill(Trans trans, const float* from, size_t ld, PackedOperand& other) {
  FillLines(trans, from, ld, 0, lines_, other.data_.data());
}

// At most `count` lines, from the first of a panel on.
void PackedOperand::FillLines(Trans trans, const float* from, size_t ld, size_t line, size_t count,
                              uint16_t* other) {
  const bool second = side_ == OperandSide::kB;
  const bool deep_rows = (trans == Trans::kYes) == second;
  AmxPack(parts_, second, deep_rows, deep_rows ? from + line * ld : from + line, ld,
          std::min(count, lines_ - line), depth_,
          data_.data() + AmxOffset(parts_, AmxPanelSize(parts_, depth_), line, 0), other);
}

AmxOperand PackedOperand::At(size_t line, size_t k) const {
  static_assert(kAlignment == kAmxLines);
  const size_t panel = AmxPanelSize(parts_, depth_);
  return {.packed = data_.data() + AmxOffset(parts_, panel, line, k), .panel = panel};
}

void Gemm(Trans ta, size_t m, size_t n, size_t k, float alpha, const float* a, size_t lda,
          const PackedPart& b, float beta, float* c, size_t ldc) {
  const AmxTerm term{.b = b.operand.At(b.line, b.k), .n = n, .c = c, .ldc = ldc};
  AmxGemm(b.operand.parts(), m, k, alpha, {.data = a, .ld = lda, .transposed = ta == Trans::kYes},
          {&term, 1}, beta);
}

void Gemm(size_t m, size_t n, size_t k, float alpha, const PackedPart& a, const PackedPart& b,
          float beta, float* c, size_t ldc) {
  const AmxTerm term{.b = b.operand.At(b.line, b.k), .n = n, .c = c, .ldc = ldc};
  AmxGemm(b.operand.parts(), m, k, alpha, a.operand.At(a.line, a.k), {&term, 1}, beta);
}

void GemmLower(size_t n, size_t k, const PackedPart& a, const PackedPart& b, float* c, size_t ldc) {
  const AmxTerm term{.b = b.operand.At(b.line, b.k), .n = n, .c = c, .ldc = ldc, .lower = true};
  AmxGemm(b.operand.parts(), n, k, 1, a.operand.At(a.line, a.k), {&term, 1}, 0);
}

}  // namespace struprune

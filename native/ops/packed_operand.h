// Operands of float products as the thread's GEMM path reads them, made once for many products.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/context.h"
#include "ops/gemm.h"
#include "ops/gemm_amx.h"

namespace struprune {

// Which operand of C = op(A) op(B).
enum class OperandSide : bool { kA, kB };

// op(A)[lines, depth] or op(B)[depth, lines]. Products have the same bits with it.
class PackedOperand {
 public:
  PackedOperand() = default;
  // Not filled. Empty where the path reads operands as they are, or no memory is to spare.
  PackedOperand(Context& context, OperandSide side, size_t lines, size_t depth);

  bool empty() const { return data_.empty(); }
  size_t parts() const { return parts_; }
  size_t lines() const { return lines_; }
  size_t depth() const { return depth_; }
  // Makes it from op(from), on the pool or by the calling thread alone.
  void Fill(Context& context, Trans trans, const float* from, size_t ld);
  void Fill(Trans trans, const float* from, size_t ld);
  // The same with `other`, of the other side, from the transposed of op(from): in one pass.
  void Fill(Trans trans, const float* from, size_t ld, PackedOperand& other);
  // From that line and that k on, multiples of kAlignment.
  static constexpr size_t kAlignment = 32;
  AmxOperand At(size_t line = 0, size_t k = 0) const;

 private:
  void FillLines(Trans trans, const float* from, size_t ld, size_t line, size_t count,
                 uint16_t* other = nullptr);

  OperandSide side_ = OperandSide::kA;
  size_t parts_ = 0, lines_ = 0, depth_ = 0;
  Buffer<uint16_t> data_;
};

// Lines of an operand, and a run of its k, of which both begin at multiples of kAlignment.
struct PackedPart {
  const PackedOperand& operand;
  size_t line = 0, k = 0;
};

// Gemm and GemmLower with operands that are packed, of which none may be empty.
void Gemm(Trans ta, size_t m, size_t n, size_t k, float alpha, const float* a, size_t lda,
          const PackedPart& b, float beta, float* c, size_t ldc);
void Gemm(size_t m, size_t n, size_t k, float alpha, const PackedPart& a, const PackedPart& b,
          float beta, float* c, size_t ldc);
void GemmLower(size_t n, size_t k, const PackedPart& a, const PackedPart& b, float* c, size_t ldc);

}  // namespace struprune

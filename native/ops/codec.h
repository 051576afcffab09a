// Conversion between stored tensor types and fp32. The block formats are ggml's: a run of 32 or 256
// consecutive values shares its scales.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/dtype.h"

namespace struprune {

// Bytes of `elements` consecutive values, which must be whole blocks.
uint64_t StorageBytes(Dtype dtype, uint64_t elements);

// dst[elements] <- src[StorageBytes(dtype, elements)]; src needs no alignment. `elements` must be
// whole blocks, else ERR_INTERNAL. Every product below fits in fp32's 24 bits and is exact, so the
// result is the same bits on every machine, with fused multiply-add or without.
void Dequantise(Dtype dtype, const std::byte* src, size_t elements, float* dst);

// Values that a block may take: those of the steps 0 … most, ascending.
struct BlockSteps {
  float scale, shift;
  int centre, most;
  // Whether a block that is to be written again as it was needs its highest step too, and not the
  // lowest alone.
  bool whole;
  // The steps are E2M1's, times the scale, and any of them may be left out.
  bool of_four = false;

  float value(int step) const;
  // The step nearest to a value.
  int Nearest(double value) const;
};
// Whether they are few, and known by StepsOf: Q4_0, Q4_1, Q5_0, Q5_1, MXFP4.
bool HasSteps(Dtype dtype);
// Those that Encode would give a block of these values; ERR_INTERNAL for other types. Empty where
// the block is lost.
std::optional<BlockSteps> StepsOf(Dtype dtype, const float* values);

// Whether Encode can write the type: all but the K types and parts of others.
bool CanEncode(Dtype dtype);

// dst[StorageBytes(dtype, elements)] <- src[elements]. F16 and BF16 round to nearest, ties to even;
// blocks as ggml's reference does: Q8_0 by the largest magnitude / 127, halves away from zero; Q4_0
// and Q5_0 by the value of the largest magnitude / −8 or −16, Q4_1 and Q5_1 from the smallest value
// on, halves up; MXFP4 by the power with the least squared error, halves to even codes. What one of
// these was read from is written again as it was, where its blocks use
// their lowest step, and those with a minimum their highest too, as ggml's do. Returns how many of
// the written values are not finite, through overflow or because they were not before (a block is
// lost as a whole): the caller's error to raise. ERR_INTERNAL for other types and for a part of a
// block.
size_t Encode(Dtype dtype, const float* src, size_t elements, std::byte* dst);

// dst <- what MXFP4 blocks hold as a tensor of its own: their values, two neighbours a byte
// (F4_E2M1), or their powers (F8_E8M0).
void PartOfMXFP4(Dtype part, std::span<const std::byte> blocks, std::byte* dst);

}  // namespace struprune

// Conversion between stored tensor types and fp32. The block formats are ggml's: a run of 32 or 256
// consecutive values shares its scales.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace struprune {

// Bytes of `elements` consecutive values, which must be whole blocks.
uint64_t StorageBytes(Dtype dtype, uint64_t elements);

// dst[elements] <- src[StorageBytes(dtype, elements)]; src needs no alignment. `elements` must be
// whole blocks, else ERR_INTERNAL. Every product below fits in fp32's 24 bits and is exact, so the
// result is the same bits on every machine, with fused multiply-add or without.
void Dequantise(Dtype dtype, const std::byte* src, size_t elements, float* dst);

// Whether Encode can write the type: F32, F16, BF16, Q8_0.
bool CanEncode(Dtype dtype);

// dst[StorageBytes(dtype, elements)] <- src[elements]. F16 and BF16 round to nearest, ties to even;
// Q8_0 as ggml does (scale = largest magnitude / 127, halves away from zero). Returns how many of
// the written values are not finite, through overflow or because they were not before: the caller's
// error to raise. ERR_INTERNAL for other types and for a part of a block.
size_t Encode(Dtype dtype, const float* src, size_t elements, std::byte* dst);

}  // namespace struprune

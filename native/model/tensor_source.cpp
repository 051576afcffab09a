#include "model/tensor_source.h"

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "ops/codec.h"
#include "ops/finite.h"

namespace struprune {
namespace {

// The stored position of Hugging Face's row (or element) `row` when heads are interleaved.
size_t StoredIndex(size_t row, size_t total, size_t heads) {
  if (heads == 0) return row;
  const size_t head_dim = total / heads;
  const size_t within = row % head_dim;
  const size_t half = within / (head_dim / 2);
  return row - within + 2 * (within % (head_dim / 2)) + half;
}

void CheckFinite(const TensorSource& source, const float* values, size_t count) {
  if (AllFinite(values, count)) return;
  throw Error(
      "ERR_NAN",
      "tensor " + source.name + " in " + source.file->path() + " holds values that are not finite",
      "the checkpoint is damaged or was saved from a run that diverged: get it again");
}

}  // namespace

void LoadRows(const TensorSource& source, size_t row, size_t count, float* out) {
  const DtypeLayout layout = LayoutOf(source.dtype);
  const size_t row_bytes = source.cols / layout.elements * layout.bytes;
  const auto bytes = source.file->Range(source.offset, source.bytes);
  const bool vector = source.rows == 1;
  if (vector || source.rope_heads == 0) {
    Dequantise(source.dtype, bytes.data() + row * row_bytes, count * source.cols, out);
    if (vector && source.rope_heads != 0) {
      const std::vector<float> stored(out, out + source.cols);
      for (size_t i = 0; i < source.cols; ++i) {
        out[i] = stored[StoredIndex(i, source.cols, source.rope_heads)];
      }
    }
  } else {
    for (size_t i = 0; i < count; ++i) {
      const size_t from = StoredIndex(row + i, source.rows, source.rope_heads);
      Dequantise(source.dtype, bytes.data() + from * row_bytes, source.cols, out + i * source.cols);
    }
  }
  CheckFinite(source, out, count * source.cols);
  source.file->Drop(source.offset + row * row_bytes, count * row_bytes);
}

void RoundTo(Dtype dtype, size_t rows, size_t cols, float* values) {
  if (dtype == Dtype::F32) return;
  const DtypeLayout layout = LayoutOf(dtype);
  std::vector<std::byte> row(cols / layout.elements * layout.bytes);
  for (size_t i = 0; i < rows; ++i) {
    Encode(dtype, values + i * cols, cols, row.data());
    Dequantise(dtype, row.data(), cols, values + i * cols);
  }
}

}  // namespace struprune
